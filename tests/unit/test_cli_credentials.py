"""Options that say who calls and whom to trust: where they come from, and what is not shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from longshore.cli.credentials import Credentials, take_credentials, with_credentials
from longshore.cli.main import main
from longshore.cli.settings import PREFIX, config_option
from longshore.client import Tls
from tests.tools.certificates import Authority

SECRET = "lsk_k3v9x2m7q4_" + "s" * 43
NOBODY = "127.0.0.1:1"
ELSEWHERE = "192.0.2.1:50051"

taken: list[Credentials] = []


@click.group(context_settings={"auto_envvar_prefix": PREFIX})
@config_option
def program() -> None:
    pass


@program.command()
@with_credentials
@config_option
def ask(**options: Any) -> None:
    taken.append(take_credentials(options))
    assert not options


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    yield
    taken.clear()


def call(*words: str | Path, command: click.Command = program, **environment: str) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words], env=environment)


def given(*words: str | Path, **environment: str) -> Credentials:
    result = call("ask", *words, command=program, **environment)
    assert result.exit_code == 0, result.output
    return taken.pop()


def test_nothing_is_shown_and_nobody_trusted_unless_told_to() -> None:
    assert given() == {"token": None, "tls": None, "insecure": False}


def test_a_token_comes_from_the_line_the_environment_or_a_file(tmp_path: Path) -> None:
    assert given("--token", SECRET)["token"] == SECRET
    assert given(LONGSHORE_TOKEN=SECRET)["token"] == SECRET
    assert given("--token-file", "here")["token"] == Path("here")
    assert given(LONGSHORE_TOKEN_FILE="here")["token"] == Path("here")
    file = tmp_path / "longshore.toml"
    file.write_text(f"token = {SECRET!r}")
    assert given("--config", file)["token"] == SECRET


def test_what_is_said_more_directly_holds(tmp_path: Path) -> None:
    file = tmp_path / "longshore.toml"
    file.write_text(f"token = {SECRET!r}")
    assert given("--config", file, LONGSHORE_TOKEN_FILE="here")["token"] == Path("here")
    assert given("--token", "mine", LONGSHORE_TOKEN_FILE="here")["token"] == "mine"
    assert given("--token-file", "here", LONGSHORE_TOKEN=SECRET)["token"] == Path("here")
    both = call("ask", "--token", SECRET, "--token-file", "here")
    assert "either --token or --token-file says who you are" in both.output
    assert SECRET not in both.output


def test_any_file_of_tls_means_tls(authority: Authority) -> None:
    pair = authority.issue(subject="ada")
    assert given("--tls")["tls"] == Tls()
    assert given(LONGSHORE_TLS="1")["tls"] == Tls()
    assert given("--ca", authority.ca)["tls"] == Tls(authority.ca)
    assert given("--server-name", "quay")["tls"] == Tls(server_name="quay")
    own = ("--cert", pair.certificate, "--key", pair.key)
    assert given(*own, LONGSHORE_CA=str(authority.ca))["tls"] == Tls(authority.ca, *pair)
    alone = call("ask", "--cert", pair.certificate)
    assert "--cert and --key go together" in alone.output


def test_a_file_of_settings_says_it_for_all_commands(tmp_path: Path) -> None:
    file = tmp_path / "longshore.toml"
    file.write_text(
        'token-file = "here"\nca = "ca.pem"\ncert = "a.pem"\nkey = "a.key"\nserver-name = "q"'
    )
    credentials = given("--config", file)
    assert credentials["token"] == Path("here")
    assert credentials["tls"] == Tls(Path("ca.pem"), Path("a.pem"), Path("a.key"), "q")


def test_what_is_insecure_is_said_to_every_command_anew(tmp_path: Path) -> None:
    assert given("--insecure")["insecure"]
    assert not given(LONGSHORE_INSECURE="1")["insecure"]
    file = tmp_path / "longshore.toml"
    file.write_text("insecure = true")
    assert "unknown key 'insecure'" in call("ask", "--config", file).output


@pytest.mark.parametrize("command", ["status", "worker"])
def test_help_names_the_token_and_never_shows_it(command: str, tmp_path: Path) -> None:
    file = tmp_path / "longshore.toml"
    file.write_text(f"token = {SECRET!r}")
    for words, environment in (
        ((), {"LONGSHORE_TOKEN": SECRET}),
        (("--token", SECRET), {}),
        (("--config", file), {}),
    ):
        shown = call(command, *words, "--help", command=main, **environment)
        assert shown.exit_code == 0
        assert "LONGSHORE_TOKEN" in shown.output
        assert SECRET not in shown.output


@pytest.mark.parametrize(
    "words, code",
    [
        (("status", "--server", NOBODY), 3),
        (("status", "--server", ELSEWHERE), 2),
        (("status", "--timeout", "nonsense"), 2),
        (("status", "too much"), 2),
        (("worker", "tests.acceptance.talk:worker", "--server", ELSEWHERE), 2),
    ],
)
def test_no_error_shows_the_token(words: tuple[str, ...], code: int) -> None:
    shown = call(*words, "--token", SECRET, command=main)
    assert shown.exit_code == code, shown.output
    assert SECRET not in shown.output


def test_a_token_is_not_sent_in_the_clear_to_another_machine() -> None:
    shown = call("status", "--server", ELSEWHERE, "--token", SECRET, command=main)
    assert "use tls, or say insecure if the network is yours alone" in " ".join(
        shown.output.split()
    )


def test_a_file_that_cannot_be_used_is_a_mistake_of_the_command_line(tmp_path: Path) -> None:
    shown = call("status", "--ca", tmp_path / "gone", command=main)
    assert shown.exit_code == 2
    assert f"CA {tmp_path / 'gone'}: No such file or directory" in shown.output
