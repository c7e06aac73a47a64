"""`longshore db copy` as it is typed: what it says to people, programs, and of what is wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from longshore.cli.main import main
from longshore.stores.tables import TABLES
from tests.conformance.candidates import CANDIDATES
from tests.conformance.keeping import upload_changes
from tests.conformance.world import World
from tests.tools.postgres import databases


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Where a file is in which something is."""

    async def fill() -> None:
        world = World(CANDIDATES["sqlite"], tmp_path)
        await world.open()
        await world.submit()
        await world.apply(*upload_changes())
        await world.store.close()

    asyncio.run(fill())
    return f"sqlite:{tmp_path}/store.db"


@pytest.fixture
def database(tmp_path: Path) -> Generator[str]:
    """Where an empty database is."""
    yield databases().url(tmp_path)
    databases().drop(tmp_path)


def copy(*words: str) -> Result:
    return CliRunner().invoke(main, ["db", "copy", *words])


def test_people_are_told_how_much_was_copied(source: str, database: str) -> None:
    result = copy(source, database)
    assert result.exit_code == 0, result.output
    head, first, *_, last = result.stdout.splitlines()
    assert head.split("\t") == ["TABLE", "ROWS", "DIGEST"]
    assert first.split("\t")[:2] == ["operations", "1"]
    path = source.removeprefix("sqlite:")
    assert last == f"what is in files stays where it is, by default in {path}.files"


def test_a_pipe_is_told_where_it_is(source: str, database: str) -> None:
    lines = copy(source, database).stderr.splitlines()
    assert lines[:3] == ["copying operations", "copying documents", "copying events"]
    assert lines[-1] == "verifying counts"
    assert len(lines) == len(set(lines))


def test_a_terminal_has_bars_that_go_away(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longshore.cli.copying.sys", _Terminal())
    result = copy(source, f"sqlite:{tmp_path}/other.db")
    assert result.exit_code == 0, result.output
    assert "copying operations\n" not in result.stderr


class _Terminal:
    """A module `sys` whose stderr is a terminal."""

    class stderr:  # noqa: N801
        isatty = staticmethod(lambda: True)


def test_programs_are_told_in_json(source: str, database: str, tmp_path: Path) -> None:
    there = copy(source, database, "--json").stdout.splitlines()
    back = copy(database, f"sqlite:{tmp_path}/back.db", "--json").stdout.splitlines()
    assert there == back
    told = [json.loads(line) for line in there]
    assert [one["table"] for one in told] == [table.name for table in TABLES]
    assert {len(one["digest"]) for one in told} == {64}
    assert told[0]["rows"] == 1


def test_what_is_wrong_is_said_and_the_target_left_alone(source: str, tmp_path: Path) -> None:
    missing = copy(f"sqlite:{tmp_path}/none.db", source)
    assert missing.exit_code == 1
    assert "Error: there is no store" in missing.stderr
    full = copy(source, source.replace("store.db", "other.db"))
    assert full.exit_code == 0
    again = copy(source, source.replace("store.db", "other.db"))
    assert again.exit_code == 1
    assert "Error: the target is not empty" in again.stderr


def test_a_password_is_not_shown(source: str) -> None:
    result = copy(source, "postgresql://ada:secret@127.0.0.1:1/work")
    assert result.exit_code == 1
    assert "cannot be reached" in result.stderr
    assert "secret" not in result.output


@pytest.mark.parametrize("words", [(), ("sqlite:a.db",), ("sqlite:a.db", "mysql://db/work")])
def test_what_is_no_store_is_refused(words: tuple[str, ...]) -> None:
    assert copy(*words).exit_code == 2
