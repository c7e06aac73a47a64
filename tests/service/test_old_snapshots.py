"""Whoever holds the database back is told of to operators, by the server and for any operation."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from longshore.access.keeper import Keeper
from longshore.stores.postgres import condition
from longshore.v1.operation_service_pb2 import ExplainOperationRequest
from longshore.v1.server_service_pb2 import GetStatusRequest
from tests.service.harness import (
    LASTING,
    PATIENCE_SECONDS,
    World,
    options,
    serving,
    submission,
)
from tests.tools.postgres import databases
from tests.tools.principals import Principals, Said

UNREGISTERED = submission(options=options(allow_unregistered=True))


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what has only begun be old already."""
    monkeypatch.setattr(condition, "OLD_SECONDS", 0)


async def told(world: World, operation: str, says: Said) -> list[list[str]]:
    """Return what somebody is warned of, one way and the other."""
    status = await world.servers.GetStatus(GetStatusRequest(), metadata=says)
    asked = ExplainOperationRequest(id=operation)
    explained = await world.operations.ExplainOperation(asked, metadata=says)
    return [list(status.warnings), list(explained.warnings)]


@pytest.mark.usefixtures("at_once")
async def test_operators_are_warned_of_who_holds_the_database_back_and_nobody_else_is(
    tmp_path: Path,
) -> None:
    principals = Principals(tmp_path / "principals.toml")
    operator, submitter = (principals.add(role, role) for role in ("operator", "submitter"))
    url = databases().url(tmp_path)
    async with (
        Keeper(principals.file) as keeper,
        # Nothing is written by itself, which would be old at once as well.
        serving(tmp_path / "store", LASTING, access=keeper, database=url) as world,
    ):
        task = (await world.tasks.SubmitTask(UNREGISTERED, metadata=submitter)).task
        reader = await asyncpg.connect(url, server_settings={"application_name": "a report"})
        await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM head")
        [warning], [explained] = await told(world, task.metadata.id, operator)
        assert "'a report'" in warning
        assert explained == warning
        assert await told(world, task.metadata.id, submitter) == [[], []]
        await reader.close()
        async with asyncio.timeout(PATIENCE_SECONDS):  # The database learns of it in a moment.
            while await told(world, task.metadata.id, operator) != [[], []]:
                await asyncio.sleep(0.01)
    databases().give_back(tmp_path)
