"""Stores as they are named on a command line, and what of that is never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from longshore.cli.main import main
from longshore.cli.parameters import Processes
from longshore.cli.settings import PREFIX
from longshore.cli.stores import InvalidStore, StorePlace
from tests.tools.missing import call_without

SECRET = "hush"
HERE = ("--listen", "127.0.0.1:0")
DATABASE = f"postgresql://ada:{SECRET}@127.0.0.1:1/longshore"


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def call(*words: str | Path, **environment: str) -> Result:
    return CliRunner().invoke(main, [*map(str, words)], env=environment)


def said(result: Result) -> str:
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    "url, shown",
    [
        ("sqlite:a/b.db", "sqlite:a/b.db"),
        ("postgresql://localhost/work", "postgresql://localhost/work"),
        ("postgresql://ada:hush@db:5432/work?pooled=true", "postgresql://db:5432/work"),
        ("postgresql://ada:h%40u%2Fs%3Ah@db/work", "postgresql://db/work"),
        ("postgresql://ada@one:1,two:2/work", "postgresql://one:1,two:2/work"),
        ("postgresql://ada:hush@[::1]:5432/work", "postgresql://[::1]:5432/work"),
        ("postgresql:///work?host=/run/postgresql&password=hush", "postgresql:///work"),
    ],
)
def test_a_store_is_shown_without_a_password(url: str, shown: str) -> None:
    place = StorePlace.parse(url)
    assert str(place) == shown
    assert SECRET not in repr(place)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ada:hush@db/work",
        "postgres:ada:hush@db",
        "postgresql://ada:hush@hush@db/work",
        "postgresql://ada:hu/hush@db/work",
        "postgresql://ada:1?hush@db/work",
        "postgresql://ada:1#hush@db/work",
        "postgresql://ada:hush/work",
        "postgresql://ada:[hush@db/work",
    ],
)
def test_what_cannot_be_a_store_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(InvalidStore) as caught:
        StorePlace.parse(url)
    assert SECRET not in str(caught.value)
    for words in (("serve", "--store", url), ("db", "status", "--store", url)):
        result = call(*words)
        assert result.exit_code == 2
        assert "Invalid value for '--store'" in result.output
        assert SECRET not in result.output
        assert SECRET not in call(words[0], *words[1:-2], LONGSHORE_STORE=url).output


@pytest.mark.parametrize("command", [("serve",), ("db", "status"), ("db", "migrate")])
def test_help_shows_no_password_wherever_it_comes_from(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "options.toml"
    file.write_text(f'[{".".join(command)}]\nstore = "{DATABASE}"\n')
    cases: list[tuple[tuple[str | Path, ...], str]] = [
        (("--config", file, *command, "--help"), ""),
        ((*command, "--config", file, "--help"), ""),
        ((*command, "--help"), DATABASE),
    ]
    for words, variable in cases:
        result = call(*words, **({"LONGSHORE_STORE": variable} if variable else {}))
        assert result.exit_code == 0
        assert "sqlite:longshore.db" in result.output
        assert SECRET not in result.output


@pytest.mark.parametrize("command", [("serve", *HERE, "--files", "f"), ("db", "status")])
def test_a_database_that_is_not_there_is_named(command: tuple[str, ...]) -> None:
    result = call(*command, LONGSHORE_STORE=DATABASE)
    assert result.exit_code == 1
    assert "the store postgresql://127.0.0.1:1/longshore cannot be reached" in said(result)
    assert SECRET not in result.output


def test_a_server_over_a_database_is_told_where_all_servers_find_files() -> None:
    result = call("serve", *HERE, "--store", DATABASE)
    assert result.exit_code == 2
    assert "--store postgresql://127.0.0.1:1/longshore needs --files" in said(result)
    assert SECRET not in result.output


def test_only_one_process_can_have_a_file() -> None:
    result = call("serve", *HERE, "--processes", "2")
    assert result.exit_code == 2
    assert "only one process can have the file of sqlite:longshore.db" in said(result)
    assert "--store postgresql://" in said(result)


@pytest.mark.parametrize("processes", ["0", "-1", "many", "1.5"])
def test_a_server_has_a_number_of_processes(processes: str) -> None:
    assert call("serve", *HERE, "--processes", processes).exit_code == 2


def test_a_server_has_as_many_processes_as_cores_if_it_is_told_so() -> None:
    assert Processes().convert("auto", None, None) == len(os.sched_getaffinity(0))


def test_without_its_libraries_postgresql_says_what_to_install() -> None:
    words = ("db", "status", "--store", "postgresql://localhost/longshore")
    done = call_without(["asyncpg"], *words)
    assert done.returncode == 2
    told = " ".join(done.stderr.split())
    assert "PostgreSQL needs asyncpg, which is not installed" in told
    assert "pip install 'longshore[postgres]'" in told


def test_a_file_is_prepared_and_looked_at(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'a.db'}"
    before = call("db", "status", "--store", store)
    assert "schema    none" in before.output
    assert not (tmp_path / "a.db").exists()
    assert call("db", "migrate", "--store", store).output.startswith("tables_of_0_1")
    assert call("db", "migrate", "--store", store).output == "nothing to change\n"
    assert "pending" not in call("db", "status", "--store", store).output
