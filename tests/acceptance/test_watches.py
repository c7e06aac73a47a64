from __future__ import annotations

import asyncio
from pathlib import Path

import grpc.aio
import pytest

from longshore.client import Client
from longshore.v1.operation_pb2 import End, Event, State
from longshore.v1.operation_service_pb2 import (
    WatchOperationsRequest,
    WatchOperationsResponse,
)
from longshore.v1.task_service_pb2 import BatchSubmitTasksRequest, Task
from tests.acceptance.checkers import check_everything, check_order
from tests.acceptance.office import Office, all_ended, events_of, facts_of, reason_of, request
from tests.acceptance.processes import Dockhand, Server
from tests.acceptance.waiting import eventually, eventually_answered, within
from tests.tools.proxy import Proxy

#: gRPC itself reads little ahead for a caller that does not ask for messages.
NARROW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))


async def work_through(office: Office, count: int) -> list[str]:
    """Submit tasks and wait until all have ended."""
    ids = [(await office.submit("quick")).metadata.id for _ in range(count)]
    await all_ended(office, ids)
    return ids


async def submit_many(office: Office, count: int) -> None:
    """Submit tasks that nobody works on, a thousand at a time."""
    one = request("quick")
    for start in range(0, count, 1_000):
        batch = BatchSubmitTasksRequest(
            requests=[one] * min(1_000, count - start),
        )
        await within(office.tasks.BatchSubmitTasks(batch), "a batch of submits")


async def test_a_watcher_cut_at_every_message_boundary_sees_each_event_once_in_order(
    store: Path, journal: Path
) -> None:
    async with (
        Server(store) as server,
        Dockhand(server.address, journal),
        Office(server.address) as office,
        Office(server.address) as watcher,
    ):
        events: list[Event] = []
        seen = 0
        streams = 0
        while len([one for one in events if one.state == State.STATE_SUCCEEDED]) < 60:
            if streams < 60:
                await office.submit("quick")
            streams += 1
            async for message in watcher.messages(after=seen):
                events += events_of(message)
                seen = message.revision
                break
        assert events == await office.history()
        check_everything(events, most_attempts=1)


async def test_a_watcher_whose_connection_breaks_anywhere_misses_and_repeats_nothing(
    store: Path, journal: Path
) -> None:
    async with (
        Server(store) as server,
        Dockhand(server.address, journal),
        Office(server.address) as office,
        Proxy(server.address) as proxy,
        Client(proxy.address) as client,
    ):
        events: list[Event] = []

        async def watch() -> None:
            async with client.tasks.watch(after_revision=0) as changes:
                async for change in changes:
                    events.append(change.event)
                    if sum(one.state == State.STATE_SUCCEEDED for one in events) == 100:
                        return

        async def more_than(count: int, *works: asyncio.Task[list[str]]) -> None:
            await eventually(
                lambda: len(events) > count or any(one.done() for one in works),
                "the watch to go on",
            )

        watching = asyncio.create_task(watch())
        for _ in range(5):
            before = len(events)
            working = asyncio.create_task(work_through(office, 20))
            await more_than(before)
            proxy.cut()
            while not working.done():
                await more_than(len(events), working)
                proxy.cut()
            await working
        await within(watching, "the end of the watch")
        assert events == await office.history()


async def test_a_watcher_that_never_reads_costs_no_memory_and_loses_nothing(
    store: Path,
) -> None:
    watchers, count = 30, 10_000
    async with Server(store) as server, Office(server.address) as office:
        offices = [Office(server.address, *NARROW) for _ in range(4)]
        streams = [
            offices[index % 4].operations.WatchOperations(
                WatchOperationsRequest(after_revision=0)
            )
            for index in range(watchers)
        ]
        for stream in streams:
            await within(stream.wait_for_connection(), "a stream")
        # What every stream may hold it holds now: a message or so, and gRPC's own buffers.
        await submit_many(office, count)
        before = server.resident_bytes()
        await submit_many(office, count)
        # Kept for 30 watchers these changes would be 25 MB.
        assert server.resident_bytes() - before < 12 * 1024 * 1024
        revision = await office.revision()
        for stream in streams[:2]:
            events: list[Event] = []
            while not events or events[-1].revision < revision:
                message = await within(stream.read(), "what was not read so far")
                assert isinstance(message, WatchOperationsResponse)
                events += events_of(message)
            check_order(events)
            assert len(events) == 2 * count
        for one in offices:
            await one.channel.close()


async def test_the_future_cannot_be_watched(store: Path) -> None:
    async with Server(store) as server, Office(server.address) as office:
        await office.submit("quick")
        newest = await office.revision()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            async for _ in office.messages(after=newest + 1):
                pass
        assert refused.value.code() == grpc.StatusCode.OUT_OF_RANGE
        assert reason_of(refused.value) == "REVISION_IN_FUTURE"
        following = asyncio.create_task(
            anext(message async for message in office.messages(newest) if message.changes)
        )
        task = await office.submit("quick")
        (event,) = events_of(await within(following, "the next event"))
        assert event.operation_id == task.metadata.id


async def test_watches_begin_at_the_compaction_point_and_not_before(store: Path) -> None:
    async with Server(store, "--history", "1s") as server, Office(server.address) as office:
        for _ in range(20):
            await office.submit("quick")

        async def oldest() -> int:
            """Return the oldest revision that is kept, as the refusal of a watch names it."""
            try:
                async for message in office.messages():
                    assert events_of(message)[0].revision == 1
                    break
            except grpc.aio.AioRpcError as error:
                refusals.append((error.code(), reason_of(error)))
                return int(facts_of(error)["oldest_revision"])
            return 0

        refusals: list[tuple[grpc.StatusCode, str]] = []
        first_kept = await eventually_answered(oldest, "the first compaction")
        later: list[Task] = []

        async def begins_there() -> bool:
            """Watch from the oldest revision on; false if it is compacted meanwhile."""
            later.append(await office.submit("quick"))
            try:
                async for message in office.messages(after=await oldest() - 1):
                    return bool(events_of(message))
            except grpc.aio.AioRpcError as error:
                refusals.append((error.code(), reason_of(error)))
            return False

        await eventually_answered(begins_there, "a watch from the compaction point on")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            async for _ in office.messages(after=await oldest() - 2):
                pass
        assert reason_of(refused.value) == "REVISION_COMPACTED"
        assert set(refusals) == {(grpc.StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED")}
        assert first_kept > 1
        assert len(await office.all_tasks()) == 20 + len(later)


async def test_a_restart_neither_loses_nor_repeats_events(store: Path, journal: Path) -> None:
    async with Server(store) as first, Office(first.address) as office:
        async with Dockhand(first.address, journal):
            await work_through(office, 20)
        before = await office.history()
        await first.kill()
    async with Server(store) as second, Office(second.address) as office:
        assert await office.history() == before
        task = await office.submit("quick")
        after = await office.history(after=before[-1].revision)
        assert [event.operation_id for event in after] == [task.metadata.id]
        check_order([*before, *after])


async def test_draining_tells_watchers_to_reconnect(store: Path) -> None:
    async with Server(store) as server, Office(server.address) as office:
        await office.submit("quick")
        told = asyncio.Event()

        async def watch() -> list[WatchOperationsResponse]:
            messages: list[WatchOperationsResponse] = []
            async for message in office.messages():
                messages.append(message)
                told.set()
            return messages

        watching = asyncio.create_task(watch())
        await within(told.wait(), "the first message")
        assert await server.terminate() == 0
        messages = await within(watching, "the end of the watch")
        assert messages[-1].end == End.END_RECONNECT
        assert messages[-1].revision > 0
