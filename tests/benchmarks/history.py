"""A long history and a long queue, made by the database itself of one operation of each kind."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg

from longshore.core.operations import Facts, Operation, State
from longshore.v1.task_service_pb2_grpc import TaskServiceStub
from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.messages import publish, submit_request
from tests.benchmarks.workers import run_raw
from tests.tools.cluster import Cluster

_AT_ONCE: Final = 100_000
_TELL_EVERY: Final = 1_000_000

_COLUMNS: Final = (*Operation._fields, *Facts._fields)
#: What tells a copy from its sample; `n` counts the copies.
_OWN: Final = {
    "number": "head.last_number + n",
    "position": "head.last_number + n",
    "id": "decode(lpad(to_hex(head.last_number + n), 32, '0'), 'hex')",
    "revision": "head.revision + n * $4::bigint",
    "wake_time": "sample.wake_time + n",
}
_OPERATIONS: Final = f"""
    INSERT INTO operations ({", ".join(_COLUMNS)})
    SELECT {", ".join(_OWN.get(name, f"sample.{name}") for name in _COLUMNS)}
    FROM operations AS sample, head, generate_series($2::bigint, $3::bigint) AS n
    WHERE sample.number = $1
"""
_DOCUMENTS: Final = """
    INSERT INTO documents (number, part, data)
    SELECT head.last_number + n, part, data
    FROM documents AS sample, head, generate_series($2::bigint, $3::bigint) AS n
    WHERE sample.number = $1
"""
_EVENTS: Final = """
    INSERT INTO events (revision, number, time, kind, state, tenant, detail, origin)
    SELECT head.revision + (n - 1) * $4::bigint + place, head.last_number + n, sample.time, kind,
        state, tenant, detail, origin
    FROM (
        SELECT *, row_number() OVER (ORDER BY revision) AS place FROM events WHERE number = $1
    ) AS sample, head, generate_series($2::bigint, $3::bigint) AS n
"""
_COUNT: Final = """
    UPDATE counts SET count = count + $2 FROM operations AS sample
    WHERE sample.number = $1 AND (counts.lane, counts.kind, counts.state)
        = (sample.lane, sample.kind, sample.state)
"""
_HEAD: Final = """
    UPDATE head SET version = version + 1, last_number = last_number + $1,
        revision = revision + $1 * $2
"""


@dataclass(frozen=True, slots=True)
class History:
    """A database of a server that is stopped, in which one operation of each state stands."""

    connection: asyncpg.Connection[asyncpg.Record]
    say: Callable[[str], None]

    async def grow(self, state: State, count: int) -> None:
        """Add as many copies of the operation of a state, with documents and events."""
        fetch = self.connection.fetchval
        sample = await fetch("SELECT max(number) FROM operations WHERE state = $1", state)
        events = await fetch("SELECT count(*) FROM events WHERE number = $1", sample)
        for first in range(1, count + 1, _AT_ONCE):
            last = min(count, first + _AT_ONCE - 1)
            async with self.connection.transaction():
                await self.connection.execute(_OPERATIONS, sample, first, last, events)
                await self.connection.execute(_DOCUMENTS, sample, first, last)
                await self.connection.execute(_EVENTS, sample, first, last, events)
            if last % _TELL_EVERY == 0:
                self.say(f"{last:,} of {count:,} {state.name}")
        await self.connection.execute(_COUNT, sample, count)
        await self.connection.execute(_HEAD, count, events)

    async def settle(self) -> None:
        """Leave it as it is after a while without load."""
        await self.connection.execute("VACUUM (ANALYZE)")
        await self.connection.execute("CHECKPOINT")


@asynccontextmanager
async def history(
    bench: Bench, cluster: Cluster, name: str
) -> AsyncGenerator[tuple[str, History]]:
    """Let one operation end and another wait in a new database; yield its URL as well.

    The server has the name, and is gone again.
    """
    url = await cluster.database()
    async with bench.server(name, store=url) as server, connected(server.address) as channel:
        await publish(channel)
        stub = TaskServiceStub(channel)
        await stub.SubmitTask(submit_request())
        await run_raw(channel, 1, slots=1)
        await stub.SubmitTask(submit_request())
    connection = await cluster.connect(url.rpartition("/")[2])
    try:
        yield url, History(connection, bench.say)
    finally:
        await connection.close()
