"""`longshore principals`: who may call, at the command line."""

from __future__ import annotations

import json
import os
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from longshore.access.configuration import read
from longshore.access.passwords import PasswordChecks
from longshore.access.tokens import matches, parts
from longshore.cli.main import main
from longshore.cli.principals import principals
from longshore.cli.settings import PREFIX


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that is edited where nobody names one; there is none yet."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "principals.toml"


def call(*words: str | Path, data: str | None = None, **environment: str) -> Result:
    line = ["principals", *map(str, words)]
    return CliRunner().invoke(main, line, input=data, env=environment)


def done(*words: str | Path, data: str | None = None) -> Result:
    result = call(*words, data=data)
    assert result.exit_code == 0, result.output
    return result


def added(*words: str) -> str:
    return done("add", *words).stdout.strip()


def kept(file: Path, name: str) -> dict[str, Any]:
    said: list[dict[str, Any]] = tomllib.loads(file.read_text())["principals"]
    (found,) = [one for one in said if one["name"] == name]
    return found


def test_a_token_stands_alone_on_standard_output(file: Path) -> None:
    result = done("add", "ada", "--role", "submitter")
    (token,) = result.stdout.splitlines()
    said = parts(token)
    assert said is not None
    assert matches(said.secret, kept(file, "ada")["tokens"][0]["hash"])
    assert f"token {said.id}, shown this once" in result.stderr
    assert said.secret not in result.stderr


def test_as_json_all_that_is_made_stands_on_standard_output(file: Path) -> None:
    result = done("add", "ada", "--role", "viewer", "--api-key", "--json")
    told = json.loads(result.stdout)
    assert told.keys() == {"name", "token_id", "token", "api_key"}
    assert matches(told["api_key"], kept(file, "ada")["api_key"])
    assert result.stderr == ""
    assert json.loads(done("token", "ada", "--json").stdout).keys() == {
        *("name", "token_id", "token")
    }


def test_an_api_key_is_explained_and_does_not_get_between_a_script_and_its_token(
    file: Path,
) -> None:
    result = done("add", "ada", "--role", "viewer", "--api-key")
    assert parts(result.stdout.strip())
    found = re.search(r"api-key, shown this once: (\S+)", result.stderr)
    assert found is not None
    assert matches(found[1], kept(file, "ada")["api_key"])


def test_every_option_stands_in_the_file(file: Path) -> None:
    done(
        *("add", "press", "--role", "worker", "--role", "viewer", "--tenant", "north"),
        *("--tenant", "*", "--action", "archive/*", "--queue", "longshore.callbacks"),
        *("--value", "archive/ingest/data=sms", "--value", "archive/ingest/data=photos"),
        *("--delivery", "channel", "--stream", "0f6d", "--no-token"),
        "--go-between",
        *("--certificate", "CN=press,O=Longshore", "--certificate", "press.example.org"),
    )
    assert kept(file, "press") == {
        "name": "press",
        "roles": ["worker", "viewer"],
        "tenants": ["north", "*"],
        "actions": ["archive/*"],
        "queues": ["longshore.callbacks"],
        "values": {"archive/ingest/data": ["sms", "photos"]},
        "delivery": "channel",
        "stream": "0f6d",
        "go_between": True,
        "certificates": ["CN=press,O=Longshore", "press.example.org"],
    }


def test_the_file_is_named_by_an_option_the_environment_or_the_file_of_settings(
    tmp_path: Path,
) -> None:
    one, two, three = (tmp_path / f"{name}.toml" for name in ("one", "two", "three"))
    done("add", "ada", "--role", "viewer", "--principals", one)
    call("add", "ada", "--role", "viewer", LONGSHORE_PRINCIPALS=str(two))
    three.write_text(
        '[serve]\nlisten = "127.0.0.1:0"\n\n[[principals]]\nname = "root"\nroles = ["admin"]\n'
    )
    done("add", "ada", "--role", "viewer", "--config", three)
    assert [len(read(file).principals) for file in (one, two, three)] == [1, 1, 2]
    assert tomllib.loads(three.read_text())["serve"] == {"listen": "127.0.0.1:0"}


@pytest.mark.parametrize("command", [("add", "ada", "--role", "viewer"), ("password", "ada")])
async def test_a_password_is_typed_twice_or_piped_in_and_never_shown(
    command: tuple[str, ...], file: Path
) -> None:
    if command[0] == "password":
        added("ada", "--role", "viewer")
    else:
        command = (*command, "--password")
    typed = done(*command, data="ahoy\nahoy\n")
    assert "ahoy" not in typed.output
    checks = PasswordChecks()
    assert await checks.matches("ahoy", kept(file, "ada")["password"])
    done("remove", "ada")
    added("ada", "--role", "viewer")
    piped = done("password", "ada", "--password-stdin", data="a hoy\n")
    assert "hoy" not in piped.output
    assert await checks.matches("a hoy", kept(file, "ada")["password"])


def test_passwords_that_differ_or_are_empty_change_nothing(file: Path) -> None:
    words = ("add", "ada", "--role", "viewer")
    assert call(*words, "--password", data="one\ntwo\n").exit_code == 1
    result = call(*words, "--password-stdin", data="\n")
    assert result.exit_code == 2
    assert "standard input is empty" in result.output
    assert not file.exists()


def test_a_list_names_credentials_and_never_a_hash(file: Path) -> None:
    token = parts(added("ada", "--role", "operator", "--expires-in", "90d", "--api-key"))
    assert token is not None
    done("password", "ada", "--password-stdin", data="ahoy")
    added(
        "press", "--role", "worker", "--tenant", "*", "--no-token", "--certificate", "CN=press"
    )
    shown = [
        call("list"),
        call("list", "--json"),
        call("show", "ada"),
        call("show", "ada", "--json"),
    ]
    for result in shown:
        assert result.exit_code == 0
        assert token.id in result.output
        assert token.secret not in result.output
        assert "sha256$" not in result.output
        assert "argon2" not in result.output
    head, ada, press = shown[0].output.splitlines()
    assert head.split("\t") == ["NAME", "ROLES", "TENANTS", "CREDENTIALS"]
    assert re.fullmatch(
        rf"ada\toperator\tdefault\ttoken {token.id}, made \S+, expires \S+; password; api-key",
        ada,
    )
    assert press == "press\tworker\t*\tcertificate CN=press"
    told = json.loads(shown[3].output)
    assert (told["password"], told["api_key"]) == (True, True)
    assert told["tokens"][0].keys() == {"id", "created", "expires"}


def test_an_expired_token_is_said_to_be(file: Path) -> None:
    added("ada", "--role", "viewer", "--expires-in", "1d")
    text = re.sub(r"expires = \S+", "expires = 2020-01-01T00:00:00Z", file.read_text())
    file.write_text(text)
    assert re.search(r"expired (2020-01-01|2019-12-31)", call("show", "ada").output)


def test_a_token_is_rotated(file: Path) -> None:
    first = parts(added("ada", "--role", "viewer"))
    second = parts(done("token", "ada").stdout.strip())
    assert first is not None
    assert second is not None
    assert "the token of ada is revoked" in done("revoke", first.id).output
    assert [one["id"] for one in kept(file, "ada")["tokens"]] == [second.id]


def test_a_removed_principal_is_gone(file: Path) -> None:
    added("ada", "--role", "viewer")
    assert "ada is no longer known" in done("remove", "ada").output
    assert call("list").output == "NAME\tROLES\tTENANTS\tCREDENTIALS\n"


@pytest.mark.parametrize(
    "words",
    [
        ("remove", "adda"),
        ("show", "adda"),
        ("token", "adda"),
        ("password", "adda", "--password-stdin"),
    ],
    ids=" ".join,
)
def test_an_unknown_principal_is_named_with_those_that_are_alike(
    words: tuple[str, ...],
) -> None:
    added("ada", "--role", "viewer")
    result = call(*words, data="ahoy")
    assert result.exit_code == 3
    assert "principals.toml has no principal 'adda'; do you mean 'ada'?" in result.output


@pytest.mark.parametrize(
    "words, said",
    [
        (("add", "ada", "--role", "viewer"), "principals.toml has a principal 'ada' already"),
        (("add", "anonymous", "--role", "viewer"), "'anonymous' is reserved"),
        (("add", "b", "--role", "viewer", "--action", "a/b/c"), "'a/b/c' is no action"),
        (("revoke", "aaaaaaaaaa"), "principals.toml has no token 'aaaaaaaaaa'"),
        (
            ("revoke", "lsk_aaaaaaaaaa_hush"),
            "principals.toml has no such token, and that is no",
        ),
        (("list", "--principals", "no.toml"), "no.toml: cannot be read: No such file"),
        (("add", "b", "--role", "viewer", "--principals", "no/a.toml"), "cannot be used"),
    ],
)
def test_what_cannot_be_done_says_so_and_changes_nothing(
    words: tuple[str, ...], said: str, file: Path
) -> None:
    added("ada", "--role", "viewer")
    before = file.read_bytes()
    result = call(*words)
    assert result.exit_code == 3
    assert said in result.output
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ("add", "ada"),
        ("add", "ada", "--role", "root"),
        ("add", "ada", "--role", "viewer", "--value", "archive/ingest/data"),
        ("add", "ada", "--role", "viewer", "--expires-in", "0s"),
        ("add", "ada", "--role", "viewer", "--expires-in", "9000000d"),
        ("add", "ada", "--role", "viewer", "--expires-in", "1d", "--no-token"),
        ("add", "ada", "--role", "viewer", "--delivery", "pigeon"),
    ],
    ids=" ".join,
)
def test_a_mistake_on_the_command_line_makes_no_file(
    words: tuple[str, ...], file: Path
) -> None:
    assert call(*words).exit_code == 2
    assert not file.exists()


def test_a_check_names_everything_that_is_wrong(file: Path) -> None:
    added("ada", "--role", "viewer")
    assert "principals.toml is valid; principals: 1, issuers: 0" in done("check").output
    file.write_text(
        '[[principals]]\nname = "ada"\nroles = ["root"]\n\n'
        '[[principals]]\nname = "b"\nroles = ["viewer"]\ncolour = "red"\n'
    )
    result = call("check")
    assert result.exit_code == 1
    assert "principals.toml is invalid:" in result.output
    assert "principals[0].roles" in result.output
    assert "principals[1].colour: unknown key" in result.output


def test_a_shell_is_offered_names(file: Path) -> None:
    def offered(*words: str) -> list[str]:
        shell = ShellComplete(main, {}, "longshore", "_LONGSHORE_COMPLETE")
        return [item.value for item in shell.get_completions(["principals", *words], "a")]

    assert offered("token") == []
    added("ada", "--role", "viewer")
    added("bob", "--role", "viewer")
    assert offered("token") == ["ada"]
    assert offered("token", "--principals", "nowhere.toml") == []


def test_every_example_is_a_command_line_that_does_what_it_says(file: Path) -> None:
    examples = [
        line.strip().removeprefix("longshore principals ")
        for command in (principals, *principals.commands.values())
        for line in (command.epilog or "").splitlines()
        if line.strip().startswith("longshore ")
    ]
    assert len(examples) >= len(principals.commands)
    for example in examples:
        file.unlink(missing_ok=True)
        token = (
            parts(added("ada", "--role", "viewer")) if " ada --role" not in example else None
        )
        if token is not None:
            file.write_text(file.read_text().replace(token.id, "k3v6x2m7q4"))
        Path("new.toml").touch()
        words, _, piped = example.partition(" < ")
        data = "ahoy" if piped else "ahoy\nahoy\n"
        result = call(*shlex.split(words), data=data)
        assert result.exit_code == 0, f"{example}\n{result.output}"


def test_commands_of_principals_ask_no_server() -> None:
    for name, command in principals.commands.items():
        assert isinstance(command, click.Command)
        assert not [one for one in command.params if one.name == "server"], name
