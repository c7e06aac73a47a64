"""What a gateway may be told to be, alone and inside a server, and what it refuses to be."""

from __future__ import annotations

import ipaddress
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from longshore.cli import gateway as command
from longshore.cli import serve as serve_command
from longshore.cli.main import main
from longshore.cli.settings import PREFIX
from longshore.gateway.settings import GatewaySettings, Mount, TlsFiles
from tests.tools.missing import call_without

HERE = ("127.0.0.1:8080", "[::1]:8080", "localhost:0")
EVERYWHERE = ("0.0.0.0:8080", "[::]:443", "example.org:80")


class Built(Exception):
    """Instead of being run, a gateway is shown."""

    def __init__(self, settings: GatewaySettings) -> None:
        super().__init__()
        self.settings = settings


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def show(settings: GatewaySettings, *_: Any) -> None:
        raise Built(settings)

    def show_serving(serving: Any, *_: Any) -> None:
        raise Built(serving.gateway)

    monkeypatch.setattr(command, "_run", show)
    monkeypatch.setattr(serve_command, "run_server", show_serving)


def call(*words: str | Path, command: str = "gateway") -> Result:
    return CliRunner().invoke(main, [command, *map(str, words)])


def built(*words: str | Path, command: str = "gateway") -> GatewaySettings:
    result = call(*words, command=command)
    assert isinstance(result.exception, Built), result.output
    return result.exception.settings


def said(result: Result) -> str:
    assert result.exit_code == 2, result.output
    return " ".join(result.output.split())


def test_without_options_a_gateway_is_the_usual_one() -> None:
    assert built() == GatewaySettings()


def test_a_server_speaks_no_http_unless_it_is_told_where() -> None:
    assert built(command="serve") is None
    assert built("--http", "127.0.0.1:9", command="serve") == GatewaySettings(
        listen="127.0.0.1:9"
    )


@pytest.mark.parametrize("command", ["gateway", "serve"])
def test_every_option_becomes_a_setting(command: str, tmp_path: Path) -> None:
    names = ("server.pem", "server.key", "signing", "login")
    certificate, key, secret, login = (tmp_path / name for name in names)
    for file in (certificate, key, secret, login):
        file.write_text(f" {file.name}\n")
    settings = built(
        *("--http", "127.0.0.1:1", "--http-cert", certificate, "--http-key", key),
        *("--public-url", "https://work.example/api"),
        *("--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "::1"),
        *("--mount", "vitam=/v1", "--mount", "asapi=asapi.example/", "--mount", "ehealth=off"),
        *("--mount", "dataone=:8081/"),
        *("--no-callbacks", "--callback-allow", "127.0.0.0/8", "--callback-timeout", "3s"),
        *("--callback-secret-file", secret),
        *("--max-body", "1MiB", "--max-upload", "2GiB"),
        *("--asapi-error", "--asapi-register-again"),
        *("--dataone-login-key-file", login, "--dataone-login-lifetime", "1h"),
        *("--ehealth-entity", "eHealth/things", "--ehealth-scope-401"),
        command=command,
    )
    assert settings.tls == TlsFiles(certificate, key)
    assert settings.public_url == "https://work.example/api"
    assert settings.trusted_proxies == (
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("::1"),
    )
    assert settings.mounts == {
        "vitam": Mount("/v1"),
        "asapi": Mount("", "asapi.example"),
        "dataone": Mount("", port=8081),
        "mdworkbench": Mount("/mdworkbench"),
    }
    rules = settings.callbacks
    assert not rules.enabled
    assert rules.allowed_networks == (ipaddress.ip_network("127.0.0.0/8"),)
    assert (rules.secret, rules.timeout) == ("signing", timedelta(seconds=3))
    assert (settings.limits.body_bytes, settings.limits.upload_bytes) == (2**20, 2**31)
    assert settings.asapi_error
    assert settings.asapi_register_again
    assert settings.dataone_login_key == "login"
    assert settings.dataone_login_lifetime == timedelta(hours=1)
    assert (settings.ehealth_entity, settings.ehealth_scope_401) == ("eHealth/things", True)
    assert "signing" not in repr(settings)
    assert "login'" not in repr(settings)


def test_options_come_from_the_environment_and_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "longshore.toml"
    config.write_text('[gateway]\nmount = ["vitam=/v1"]\nhttp = "127.0.0.1:7"\n')
    monkeypatch.setenv("LONGSHORE_TRUSTED_PROXY", "10.0.0.0/8 192.168.0.0/16")
    monkeypatch.setenv("LONGSHORE_NO_CALLBACKS", "1")
    settings = built("--config", config)
    assert settings.listen == "127.0.0.1:7"
    assert settings.mounts["vitam"] == Mount("/v1")
    assert len(settings.trusted_proxies) == 2
    assert not settings.callbacks.enabled


@pytest.mark.parametrize(
    "words, why",
    [
        (("--http", "8080"), "--http 8080: write HOST:PORT, as in 127.0.0.1:8080"),
        (("--http", "127.0.0.1:70000"), "write HOST:PORT"),
        (("--http-cert", __file__), "HTTPS takes both --http-cert and --http-key"),
        (("--http-key", __file__), "HTTPS takes both --http-cert and --http-key"),
        (("--public-url", "work.example"), "write https://HOST, and perhaps a path"),
        (("--public-url", "https://work.example/?a=b"), "write https://HOST"),
        (("--trusted-proxy", "10.0.0.1/8"), "'10.0.0.1/8' is no network"),
        (("--callback-allow", "localhost"), "'localhost' is no network"),
        (("--callback-timeout", "0s"), "--callback-timeout must be above 0"),
        (("--callback-secret", "whsec_a"), "what follows whsec_ in the secret is no base64"),
        (("--callback-secret", "a", "--callback-secret-file", __file__), "either"),
        (("--mount", "nobody=/v1"), "dialects are vitam, asapi, dataone, mdworkbench, ehealth"),
        (("--mount", "vitam"), "write DIALECT=PLACE"),
        (("--mount", "vitam=v1"), "write /PATH, HOST/PATH or :PORT/PATH"),
        (("--mount", "vitam=/asapi"), "are at the same place"),
        (("--max-body", "much"), "'much' is no size; write 500KiB, 4MiB or 1GiB"),
        (("--max-upload", "0"), "'0' is no size"),
        (("--dataone-login-key-file", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_is_said_with_what_can(words: tuple[str, ...], why: str) -> None:
    assert why in said(call(*words))


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    assert "secret is empty" in said(call("--callback-secret-file", "secret"))


@pytest.mark.parametrize("listen", HERE)
@pytest.mark.parametrize("command", ["gateway", "serve"])
def test_on_loopback_http_may_do_without_anything(listen: str, command: str) -> None:
    assert built("--http", listen, command=command).listen == listen


def test_elsewhere_a_gateway_has_a_principal_of_its_own_and_tls(tmp_path: Path) -> None:
    pem = tmp_path / "some.pem"
    pem.touch()
    tls = ("--http-cert", pem, "--http-key", pem)
    for listen in EVERYWHERE:
        assert built("--http", listen, "--token", "lsk_x", *tls)
        assert built("--http", listen, "--insecure")
        told = said(call("--http", listen))
        assert f"--http {listen} would let anyone on the network in" in told
        assert "longshore principals add gateway" in told
        assert "--http-cert and --http-key" in told
        assert "longshore principals" not in said(call("--http", listen, "--token", "lsk_x"))
        assert "--http-cert" not in said(call("--http", listen, *tls))


def test_elsewhere_a_server_that_speaks_http_has_principals_and_tls(tmp_path: Path) -> None:
    pem, people = tmp_path / "some.pem", tmp_path / "people.toml"
    pem.touch()
    people.touch()
    tls = ("--http-cert", pem, "--http-key", pem)
    for listen in EVERYWHERE:
        words = ("--http", listen)
        assert built(*words, "--principals", people, *tls, command="serve")
        assert built(*words, "--insecure", command="serve")
        told = said(call(*words, *tls, command="serve"))
        assert f"--http {listen} would let anyone on the network in" in told
        assert "longshore principals add" in told
        told = said(call(*words, "--principals", people, command="serve"))
        assert "--http-cert and --http-key" in told


def test_credentials_are_not_sent_in_the_clear_to_other_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    result = call("--server", "example.org:50051", "--http", "127.0.0.1:0")
    assert result.exit_code == 1
    assert "sent there in the clear" in result.output


def test_certificates_that_are_none_keep_a_gateway_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    pem = tmp_path / "server.pem"
    pem.write_text("nonsense")
    result = call("--http", "127.0.0.1:0", "--http-cert", pem, "--http-key", pem)
    assert result.exit_code == 1
    assert "are no certificate and its key" in result.output


@pytest.mark.parametrize("words", [("gateway",), ("serve", "--http", "127.0.0.1:0")])
def test_what_is_not_installed_is_named_with_what_installs_it(words: tuple[str, ...]) -> None:
    done = call_without(["fastapi"], *words)
    assert done.returncode == 2
    told = " ".join(done.stderr.split())
    assert (
        "HTTP needs fastapi, which is not installed: pip install 'longshore[gateway]'" in told
    )


def test_other_commands_need_nothing_of_the_gateway() -> None:
    done = call_without(["fastapi", "uvicorn", "httpx"], "serve", "--help")
    assert done.returncode == 0, done.stderr


def test_help_shows_examples() -> None:
    for name in ("gateway", "serve"):
        told = call("--help", command=name).output
        assert "longshore " in told.partition("Examples:")[2]
    assert click.unstyle(told)
