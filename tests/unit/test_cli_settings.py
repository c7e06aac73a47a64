"""Options from the command line, the environment and a file; and what needs no server."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from longshore.cli.main import main
from longshore.cli.parameters import Span
from longshore.cli.serving import Serving
from longshore.cli.settings import PREFIX, config_option, setting
from longshore.cli.stores import StorePlace


@click.group(context_settings={"auto_envvar_prefix": PREFIX})
@config_option
def program() -> None:
    pass


@program.command()
@setting("--server", default="nobody")
@click.option("--run-timeout", type=Span())
@click.option("--label", "labels", multiple=True)
@config_option
def ask(**options: Any) -> None:
    click.echo(repr(options))


@program.group()
def submit() -> None:
    pass


@submit.command()
@setting("--server", default="nobody")
@click.option("--queue")
@config_option
def task(**options: Any) -> None:
    click.echo(repr(options))


@program.command()
@setting("--principals")
@config_option
def guarded(**options: Any) -> None:
    click.echo(repr(options))


@program.command()
@click.option("--loud", is_flag=True)
def alone(**options: Any) -> None:
    click.echo(repr(options))


def call(*words: str | Path, command: click.Command = program, **environment: str) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words], env=environment)


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "longshore.toml"
    file.write_text(
        """
        server = "shared:1"

        [ask]
        run-timeout = "90s"
        labels = ["team=north"]

        [submit.task]
        server = "own:1"
        queue = "night"

        [alone]
        loud = true
        """.replace("labels", "label")
    )
    return file


def test_the_environment_has_a_short_and_a_long_name_for_shared_options() -> None:
    assert "'here:1'" in call("ask", LONGSHORE_SERVER="here:1").output
    assert "'here:1'" in call("ask", LONGSHORE_ASK_SERVER="here:1").output
    assert "'late'" in call("submit", "task", LONGSHORE_SUBMIT_TASK_QUEUE="late").output


@pytest.mark.parametrize("before", [True, False])
def test_a_file_gives_options_wherever_it_is_named(file: Path, before: bool) -> None:
    words = ("--config", file, "ask") if before else ("ask", "--config", file)
    output = call(*words).output
    assert "'server': 'shared:1'" in output
    assert "seconds=90" in output
    assert "('team=north',)" in output


@pytest.mark.parametrize(
    "table", ["[[principals]]\nname = 'ada'", "[[issuers]]\nname = 'corp'"]
)
def test_a_file_that_says_who_may_call_is_the_file_of_principals(
    table: str, file: Path
) -> None:
    file.write_text(f"{file.read_text()}\n{table}\n")
    assert f"'principals': '{file}'" in call("guarded", "--config", file).output
    assert "'principals': 'b'" in call("guarded", "--config", file, "--principals", "b").output
    assert "'server': 'shared:1'" in call("ask", "--config", file).output


def test_a_file_names_the_file_of_principals_for_all_commands(file: Path) -> None:
    file.write_text(f'principals = "people.toml"\n{file.read_text()}')
    assert "'principals': 'people.toml'" in call("guarded", "--config", file).output


def test_the_environment_may_name_the_file(file: Path) -> None:
    assert "'shared:1'" in call("ask", LONGSHORE_CONFIG=str(file)).output


def test_a_table_wins_over_what_stands_above_all_tables(file: Path) -> None:
    output = call("submit", "task", "--config", file).output
    assert "'server': 'own:1'" in output
    assert "'queue': 'night'" in output


def test_what_is_shared_is_kept_from_commands_that_know_nothing_of_it(file: Path) -> None:
    assert call("--config", file, "alone").output == "{'loud': True}\n"


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(file: Path) -> None:
    words = ("submit", "task", "--config", file)
    assert "'queue': 'dawn'" in call(*words, LONGSHORE_SUBMIT_TASK_QUEUE="dawn").output
    output = call(*words, "--queue", "noon", LONGSHORE_SUBMIT_TASK_QUEUE="dawn").output
    assert "'queue': 'noon'" in output


@pytest.mark.parametrize(
    "text, said",
    [
        ("servers = 1", "unknown key 'servers'; known are alone, ask"),
        ("[asks]", "unknown key 'asks'"),
        ("[submit.job]", "unknown key 'job' in [submit]; known are task"),
        (
            "[submit.task]\nqeue = 1",
            "unknown key 'qeue' in [submit.task]; known are queue, server",
        ),
        ("ask = 1", "[ask] must be a table"),
        ("[ask", "longshore.toml: "),
    ],
)
def test_a_file_with_a_mistake_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "longshore.toml"
    file.write_text(text)
    result = call("ask", "--config", file)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_a_file_that_is_not_there_is_refused() -> None:
    result = call("ask", "--config", "/nowhere/longshore.toml")
    assert result.exit_code == 2
    assert "does not exist" in result.output


def test_help_tells_the_exit_codes_and_every_command() -> None:
    output = call("--help", command=main).output
    assert "the work failed or was canceled" in output
    for name in (
        *("serve", "worker", "submit", "run", "get", "list", "watch", "cancel", "explain"),
        *("history", "status"),
    ):
        assert f"\n  {name} " in output


def test_the_version_is_that_of_the_package() -> None:
    assert call("--version", command=main).output == "longshore 0.1.0\n"


def test_an_unknown_command_is_a_mistake_of_the_command_line() -> None:
    assert call("frobnicate", command=main).exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("get", "1"),
        ("list",),
        ("watch", "1"),
        ("cancel", "1"),
        ("explain", "1"),
        ("history", "1"),
        ("status",),
        ("submit", "task", "scan"),
        ("run", "task", "scan"),
    ],
    ids=" ".join,
)
def test_without_a_server_a_command_says_how_to_start_one(
    words: tuple[str, ...], unused_tcp_port: int
) -> None:
    server = f"127.0.0.1:{unused_tcp_port}"
    result = call(*words, "--server", server, command=main)
    assert result.exit_code == 3
    assert f"no server answers at {server}: start one with `longshore serve`" in result.output


def test_what_cannot_be_sent_is_a_mistake_of_the_command_line() -> None:
    result = call("submit", "task", command=main)
    assert result.exit_code == 2
    assert "either an action or a plan" in result.output


@pytest.mark.parametrize(
    "listen, said",
    [
        ("0.0.0.0:1", "let anyone on the network in"),
        ("[::]:1", "let anyone on the network in"),
        ("example.org:1", "let anyone on the network in"),
        ("50051", "write HOST:PORT"),
        ("127.0.0.1:", "write HOST:PORT"),
        ("127.0.0.1:99999", "write HOST:PORT"),
    ],
)
def test_a_server_lets_nobody_in_from_elsewhere_unless_told_to(listen: str, said: str) -> None:
    result = call("serve", "--listen", listen, command=main)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize("store", ["longshore.db", "sqlite:", "postgres://x"])
def test_a_store_is_named_by_its_kind(store: str) -> None:
    result = call("serve", "--store", store, command=main)
    assert result.exit_code == 2
    assert "write sqlite:PATH" in result.output


@pytest.mark.parametrize("files", ["http://example.org/files", "s3://", "://files"])
def test_where_files_are_kept_is_a_folder_or_a_bucket(files: str, tmp_path: Path) -> None:
    words = ("serve", "--listen", "127.0.0.1:0", "--store", f"sqlite:{tmp_path / 'a.db'}")
    result = call(*words, LONGSHORE_FILES=files, command=main)
    assert result.exit_code == 1
    assert "s3://bucket" in result.output


def test_files_are_kept_beside_the_store_unless_somebody_says_where() -> None:
    def place(files: str) -> str:
        listen, store = "127.0.0.1:50051", StorePlace.parse("sqlite:/var/lib/longshore.db")
        serving = Serving(listen=listen, store=store, files=files)
        return serving.place_of_files

    assert place("") == "/var/lib/longshore.db.files"
    assert place("/srv/files") == "/srv/files"
    assert place("s3://files/longshore") == "s3://files/longshore"


@pytest.mark.parametrize(
    "target, said",
    [
        ("archive", "write module:worker"),
        ("no_such_module:worker", "there is no module no_such_module"),
        ("has_no_worker:worker", "has no 'worker'; it has no worker at all"),
        ("has_workers:workers", "has no 'workers'; its workers are first, second"),
        ("has_workers:number", "has something else as 'number'"),
        ("needs_more:worker", "module needs_more needs no_such_module, which is not installed"),
    ],
)
@pytest.mark.parametrize("command", ["worker", "serve"])
def test_a_worker_that_is_not_there_is_named(
    command: str, target: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "has_no_worker.py").write_text("")
    (tmp_path / "has_workers.py").write_text(
        "from longshore.worker import Worker\n"
        "first, second, number = Worker('first'), Worker('second'), 1\n"
    )
    (tmp_path / "needs_more.py").write_text("import no_such_module\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    words = [target] if command == "worker" else ["--worker", target]
    result = call(command, *words, command=main)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
