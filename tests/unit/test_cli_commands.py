"""Every command: its help, its examples, and what a shell is offered."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem, ShellComplete
from click.testing import CliRunner

from longshore.cli.main import main

NOBODY = "127.0.0.1:1"


def commands(command: click.Command, *path: str) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            one = command.get_command(context, name)
            assert one is not None
            yield from commands(one, *path, name)


COMMANDS = dict(commands(main))
EXAMPLES = [
    line.strip().removeprefix("longshore ")
    for command in COMMANDS.values()
    for line in (command.epilog or "").splitlines()
    if re.match(
        r" +longshore (?!certs|completion|db|deployment|gateway|principals|serve|worker )", line
    )
]

#: What examples read.
FILES = {
    "archive.json": '{"name": "archive"}',
    "archive.yaml": "name: archive",
    "box.json": "{}",
    "drawing.svg": "<svg/>",
    "nightly.json": '{"name": "nightly"}',
    "nightly.yaml": "name: nightly",
    "notes.txt": "notes",
    "orders.yaml": "name: orders",
    "photo.png": "a photo",
    "plan.json": '[{"action": "scan"}]',
}


def offered(*words: str) -> list[str]:
    *before, incomplete = words
    shell = ShellComplete(main, {}, "longshore", "_LONGSHORE_COMPLETE")
    items: list[CompletionItem] = shell.get_completions(before, incomplete)
    return [item.value for item in items]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name])
def test_every_command_says_what_it_does_and_shows_an_example(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert f"longshore {name}" in (command.epilog or "")


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_command_line_that_is_understood(
    example: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LONGSHORE_SERVER", NOBODY)
    for name, text in FILES.items():
        Path(name).write_text(text)
    words, _, read = re.split(r" [>|] ", example)[0].partition(" < ")
    result = CliRunner().invoke(main, shlex.split(words), input=FILES.get(read))
    assert "no server answers" in result.output
    assert result.exit_code == 3


def test_a_group_lists_where_no_command_is_named() -> None:
    for words in (["queue"], ["launches", "--kind", "ruleset"], ["contracts", "--json"]):
        result = CliRunner().invoke(main, [*words, "--server", NOBODY])
        assert result.exit_code == 3
        assert "no server answers" in result.output


def test_a_command_that_is_not_there_is_named() -> None:
    result = CliRunner().invoke(main, ["queue", "paus", "night"])
    assert result.exit_code == 2
    assert "No such command 'paus'" in result.output


def test_a_shell_is_offered_commands_options_and_choices() -> None:
    assert offered("sub") == ["submit"]
    assert offered("submit", "") == ["job", "launch", "task"]
    assert offered("launches", "") == ["move", "queue"]
    assert offered("launches", "move", "b") == ["bottom"]
    assert offered("mode", "") == ["active", "suspended", "maintenance"]
    assert offered("list", "j") == ["jobs"]
    assert "--external-id" in offered("submit", "job", "archive", "ingest", "--ex")


@pytest.mark.parametrize(
    "words",
    [
        ("submit", "job", ""),
        ("submit", "job", "archive", ""),
        ("submit", "launch", ""),
        ("submit", "task", ""),
        ("submit", "task", "scan", "--queue", ""),
        ("queue", "pause", ""),
        ("contracts", "show", ""),
        ("schedules", "delete", ""),
        ("services", ""),
    ],
)
def test_a_shell_is_offered_nothing_where_no_server_answers(
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LONGSHORE_SERVER", NOBODY)
    assert offered(*words) == []
    assert capfd.readouterr() == ("", "")


def test_a_shell_is_offered_what_it_can_be_where_the_file_of_settings_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "longshore.toml"
    file.write_text("nonsense = [")
    monkeypatch.setenv("LONGSHORE_CONFIG", str(file))
    assert offered("mode", "act") == ["active"]


def test_where_no_server_is_named_is_told_before_anything_is_asked() -> None:
    result = CliRunner().invoke(main, ["status", "--server", ","])
    assert result.exit_code == 2
    assert "write host:port, or several with commas between" in result.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_be_taught(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell], prog_name="longshore")
    assert result.exit_code == 0
    assert "_LONGSHORE_COMPLETE" in result.output
    assert f"{shell}_complete" in result.output
