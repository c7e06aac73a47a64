"""What a server may be told to be: whom it lets in from where, and what it refuses to be."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from longshore.cli.main import main
from longshore.cli.protection import Protection
from longshore.cli.serving import Serving
from longshore.cli.settings import PREFIX
from longshore.cli.stores import StorePlace
from longshore.server.reflection import Reflection
from longshore.server.tls import Tls

TLS = Tls(Path("server.pem"), Path("server.key"))
PEOPLE = Path("principals.toml")

HERE = ("127.0.0.1:50051", "[::1]:50051", "localhost:50051", "127.8.8.8:1")
EVERYWHERE = ("0.0.0.0:50051", "[::]:50051", "192.0.2.7:50051", "example.org:50051")


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["serve", *map(str, words)])


def said(result: Result) -> str:
    return " ".join(result.output.split())


def serving(listen: str, protection: Protection) -> Serving:
    store = StorePlace.parse("sqlite:longshore.db")
    return Serving(listen=listen, store=store, protection=protection)


@pytest.mark.parametrize("listen", HERE)
@pytest.mark.parametrize(
    "principals, tls, insecure",
    [*itertools.product([None, PEOPLE], [None, TLS], [False, True])],
)
def test_on_loopback_a_server_may_do_without_anything(
    listen: str, principals: Path | None, tls: Tls | None, insecure: bool
) -> None:
    protection = Protection(principals=principals, tls=tls, insecure=insecure)
    assert serving(listen, protection)
    assert protection.missing(listen) == []


@pytest.mark.parametrize("listen", EVERYWHERE)
def test_elsewhere_a_server_has_principals_and_tls(listen: str) -> None:
    protection = Protection(principals=PEOPLE, tls=TLS)
    assert serving(listen, protection)
    assert protection.missing(listen) == []


@pytest.mark.parametrize("listen", EVERYWHERE)
@pytest.mark.parametrize(
    "principals, tls, wanted, unwanted",
    [
        (None, None, ["longshore principals add", "longshore certs dev"], []),
        (None, TLS, ["longshore principals add"], ["longshore certs dev"]),
        (PEOPLE, None, ["longshore certs dev"], ["longshore principals add"]),
    ],
)
def test_elsewhere_it_says_which_of_them_is_missing_and_what_to_do_unless_it_may_be_insecure(
    listen: str,
    principals: Path | None,
    tls: Tls | None,
    wanted: list[str],
    unwanted: list[str],
) -> None:
    with pytest.raises(click.UsageError) as caught:
        serving(listen, Protection(principals=principals, tls=tls))
    message = caught.value.message
    assert f"--listen {listen} would let anyone on the network in" in message
    assert "--insecure" in message
    assert all(one in message for one in wanted)
    assert not any(one in message for one in unwanted)
    insecure = Protection(principals=principals, tls=tls, insecure=True)
    assert serving(listen, insecure)
    assert len(insecure.missing(listen)) == len(wanted)


@pytest.mark.parametrize(
    "listen, chosen, who",
    [
        ("127.0.0.1:1", "auto", Reflection.OPEN),
        ("0.0.0.0:1", "auto", Reflection.KNOWN),
        ("0.0.0.0:1", "on", Reflection.OPEN),
        ("127.0.0.1:1", "off", Reflection.OFF),
    ],
)
def test_what_can_be_called_is_told_on_loopback_unless_somebody_says_otherwise(
    listen: str, chosen: str, who: Reflection
) -> None:
    assert Protection(reflection=chosen).who_may_reflect(listen) is who


def test_a_file_of_principals_that_is_not_there_is_made_by_the_command_that_is_told() -> None:
    result = call("--principals", "people.toml")
    assert result.exit_code == 2
    assert (
        "there is no such file; `longshore principals add NAME --role admin "
        "--principals people.toml` makes it"
    ) in said(result)


@pytest.mark.parametrize(
    "options",
    [("--tls-cert",), ("--tls-key",), ("--tls-client-ca",), ("--tls-cert", "--tls-client-ca")],
)
def test_tls_takes_a_certificate_and_its_key(options: tuple[str, ...], tmp_path: Path) -> None:
    pem = tmp_path / "some.pem"
    pem.touch()
    result = call(*(word for option in options for word in (option, pem)))
    assert result.exit_code == 2
    assert "TLS takes both --tls-cert and --tls-key" in said(result)


@pytest.mark.parametrize(
    "words",
    [
        ("--rate-per-principal", "0"),
        ("--rate-per-address", "-1"),
        ("--streams-per-principal", "0"),
        ("--reflection", "perhaps"),
        ("--tls-cert", "nowhere.pem"),
    ],
)
def test_a_limit_that_lets_nobody_in_is_a_mistake(words: tuple[str, ...]) -> None:
    assert call(*words).exit_code == 2


def test_principals_that_are_wrong_keep_a_server_from_starting(tmp_path: Path) -> None:
    file = tmp_path / "people.toml"
    file.write_text('[[principals]]\nname = "ada"\nroles = ["root"]\n')
    result = call("--listen", "127.0.0.1:0", "--principals", file)
    assert result.exit_code == 1
    assert "people.toml: principals[0].roles" in said(result)
    assert "'root' is no role" in said(result)


def test_certificates_that_are_none_keep_a_server_from_starting(tmp_path: Path) -> None:
    pem = tmp_path / "server.pem"
    pem.write_text("nonsense")
    result = call("--listen", "127.0.0.1:0", "--tls-cert", pem, "--tls-key", pem)
    assert result.exit_code == 1
    assert "server.pem holds no certificate as PEM" in said(result)


def test_an_audit_log_that_cannot_be_written_keeps_a_server_from_starting(
    tmp_path: Path,
) -> None:
    result = call("--listen", "127.0.0.1:0", "--audit-log", tmp_path / "nowhere" / "audit.log")
    assert result.exit_code == 3
    assert "audit.log cannot be written: No such file or directory" in said(result)
