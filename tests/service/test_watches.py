"""Watches: every promise of the contract, over a real channel."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from longshore.core.changes import Compact
from longshore.core.operations import Kind
from longshore.engine.settings import EngineSettings
from longshore.server.directory import Directory
from longshore.server.messages import Messages
from longshore.server.watches import Watches, Wish
from longshore.v1 import operation_pb2 as pb
from longshore.v1.operation_service_pb2 import WatchOperationsRequest
from longshore.v1.task_service_pb2 import (
    CancelTaskRequest,
    ListTasksRequest,
    ResumeTaskRequest,
    RunTaskRequest,
    WatchTasksRequest,
)
from tests.service.harness import (
    PATIENCE_SECONDS,
    Stevedore,
    Watch,
    World,
    call,
    kinds,
    options,
    publish,
    refused,
    serving,
    stevedore,
    struct,
    submission,
)


def watching(world: World, **fields: Any) -> Watch:
    return Watch(world.tasks.WatchTasks(WatchTasksRequest(**fields)))


async def run_one(world: World, worker: Stevedore, **fields: Any) -> str:
    task = await world.submit(submission(**fields))
    await worker.run_next(done=True)
    return task.metadata.id


async def test_the_present_state_comes_first_then_every_change(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission(options=options(suspended=True)))
        watch = watching(world, ids=[task.metadata.id])
        first = await watch.message()
        assert [one.task.status.state for one in first.changes] == [pb.STATE_SUSPENDED]
        assert first.revision >= task.status.revision
        await world.tasks.ResumeTask(ResumeTaskRequest(id=task.metadata.id))
        await worker.run_next(answer=1)
        rest = await watch.rest()
    events = [change.event for message in rest for change in message.changes]
    states = [event.state_changed.to_state for event in events]
    assert states == [pb.STATE_QUEUED, pb.STATE_RUNNING, pb.STATE_SUCCEEDED]
    revisions = [event.revision for event in events]
    assert revisions == sorted(set(revisions))
    assert rest[-1].end == pb.END_DONE
    ended = rest[-1].changes[-1]
    assert ended.task.status.result == struct({"answer": 1})
    assert ended.task.status.revision == ended.event.revision == rest[-1].revision


async def test_a_watch_of_what_has_ended_says_so_at_once(world: World) -> None:
    async with stevedore(world) as worker:
        task_id = await run_one(world, worker)
        (shown,) = await watching(world, ids=[task_id]).rest()
        assert shown.end == pb.END_DONE
        assert shown.changes[0].task.status.state == pb.STATE_SUCCEEDED
        (known,) = await watching(world, ids=[task_id], after_revision=shown.revision).rest()
        assert (known.end, list(known.changes)) == (pb.END_DONE, [])


async def test_a_watch_can_be_resumed_after_every_message(world: World) -> None:
    async with stevedore(world) as worker:
        task_id = await run_one(world, worker)
        whole = await watching(world, ids=[task_id], after_revision=0).rest()
        events = [change.event for message in whole for change in message.changes]
        assert kinds(whole[0].changes)[0] == "submitted"
        for index, event in enumerate(events):
            rest = await watching(world, ids=[task_id], after_revision=event.revision).rest()
            told = [change.event for message in rest for change in message.changes]
            assert told == events[index + 1 :]


async def test_a_watch_by_filter_sees_what_matches_and_goes_on(world: World) -> None:
    async with stevedore(world) as worker:
        before = await run_one(world, worker, name="a", options=options(labels={"k": "v"}))
        watch = watching(world, filter="labels.k = v")
        first = await watch.message()
        assert [one.task.metadata.id for one in first.changes] == [before]
        await run_one(world, worker, name="other")
        after = await run_one(world, worker, name="b", options=options(labels={"k": "v"}))
        changes = await watch.until(lambda told: len(told) >= 3)
    assert {change.event.operation_id for change in changes} == {after}
    assert kinds(changes) == ["submitted", "state_changed", "state_changed"]
    assert changes[-1].task.spec.name == "b"


async def test_a_list_and_a_watch_after_it_have_no_seam(world: World) -> None:
    async with stevedore(world) as worker:
        await run_one(world, worker)
        listed = await world.tasks.ListTasks(ListTasksRequest())
        watch = watching(world, after_revision=listed.revision)
        second = await run_one(world, worker)
        changes = await watch.until(lambda told: len(told) >= 3)
    assert {change.event.operation_id for change in changes} == {second}


async def test_the_basic_view_leaves_out_results_of_watches(world: World) -> None:
    async with stevedore(world) as worker:
        watch = watching(world, after_revision=0, view=pb.VIEW_BASIC)
        await run_one(world, worker)
        changes = await watch.until(lambda told: any(one.HasField("task") for one in told))
    assert not changes[-1].task.status.HasField("result")


async def test_log_entries_are_told_to_those_who_ask(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        assignment = await worker.assigned()
        entry = pb.LogEntry(kind=pb.LOG_KIND_WARNING, message="wet")
        await worker.report(assignment, log=entry)
        await worker.report(assignment, progress=pb.Progress(done=1, total=4, unit="boxes"))
        await worker.report(assignment, property=pb.PropertySet(name="a", value="b"))
        await worker.complete(assignment)
        silent = await watching(world, ids=[task.metadata.id], after_revision=0).rest()
        asked = watching(world, ids=[task.metadata.id], after_revision=0, include_logs=True)
        told = [change for message in await asked.rest() for change in message.changes]
        shown = await world.get(task.metadata.id)
    assert "log" not in kinds([change for message in silent for change in message.changes])
    assert kinds(told) == [
        "submitted",
        "state_changed",
        "log",
        "progress",
        "property_set",
        "state_changed",
    ]
    assert told[2].event.log.kind == pb.LOG_KIND_WARNING
    assert told[2].event.log.HasField("elapsed")
    assert told[3].event.progress.total == 4
    assert shown.status.progress.unit == "boxes"
    assert shown.status.properties == {"a": "b"}


async def test_silence_is_broken_by_bookmarks(tmp_path: Path) -> None:
    settings = EngineSettings(bookmark_seconds=0.05)
    async with serving(tmp_path / "longshore.db", settings) as world:
        watch = watching(world)
        first = await watch.message()
        second = await watch.message()
        assert not first.changes
        assert not second.changes
        assert second.revision >= first.revision


async def test_an_old_stream_says_where_to_reconnect(tmp_path: Path) -> None:
    settings = EngineSettings(stream_age_seconds=0.05)
    async with serving(tmp_path / "longshore.db", settings) as world:
        await publish(world)
        messages = await watching(world).rest()
        assert messages[-1].end == pb.END_RECONNECT
        assert messages[-1].HasField("revision")
        await world.submit(submission())
        watch = watching(world, after_revision=messages[-1].revision)
        assert kinds((await watch.message()).changes) == ["submitted"]


async def test_a_draining_server_tells_watchers_to_reconnect(world: World) -> None:
    watch = watching(world)
    await watch.message()
    await world.server.drain(5.0)
    assert (await watch.rest())[-1].end == pb.END_RECONNECT


async def test_a_watch_that_begins_while_the_server_drains_is_told_at_once(
    tmp_path: Path,
) -> None:
    settings = EngineSettings(bookmark_seconds=10 * PATIENCE_SECONDS)
    async with serving(tmp_path / "longshore.db", settings) as world:
        world.engine.drain()
        assert (await watching(world).rest())[-1].end == pb.END_RECONNECT


async def test_watchers_of_the_same_are_told_in_the_same_bytes(world: World) -> None:
    await publish(world)
    task = await world.submit(submission(options=options(suspended=True)))
    watches = Watches(world.engine, Messages(Directory(world.engine.catalog)))
    wish = Wish("default", Kind.TASK, [task.metadata.id])
    async with contextlib.AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(contextlib.aclosing(watches.watch(wish)))
            for _ in range(3)
        ]
        for stream in streams:
            await anext(stream)
        telling = asyncio.gather(*map(anext, streams))
        await world.tasks.ResumeTask(ResumeTaskRequest(id=task.metadata.id))
        first, second, third = await telling
    assert first is second is third


async def test_watches_from_nowhere_are_refused(world: World) -> None:
    unknown = await refused(watching(world, ids=["77"]).message())
    assert (unknown.code, unknown.reason) == (StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND")
    newest = await world.revision()
    future = await refused(watching(world, after_revision=newest + 1).message())
    assert (future.code, future.reason) == (StatusCode.OUT_OF_RANGE, "REVISION_IN_FUTURE")
    assert future.metadata["newest_revision"] == str(newest)


async def test_compaction_is_said(world: World) -> None:
    await publish(world)
    await world.submit(submission())
    await world.engine.writer.write(Compact(before=2**62))
    await world.engine.catalog.refresh()
    compacted = world.engine.catalog.current.compacted
    gone = await refused(watching(world, after_revision=compacted - 1).message())
    assert (gone.code, gone.reason) == (StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED")
    oldest = int(gone.metadata["oldest_revision"])
    watch = watching(world, after_revision=oldest - 1)
    await world.submit(submission())
    assert kinds((await watch.message()).changes) == ["submitted"]


async def test_large_present_states_take_several_messages(world: World) -> None:
    await publish(world)
    large = struct({"a": "b" * 700_000})
    for _ in range(3):
        await world.submit(submission(context=large))
    watch = watching(world)
    messages = [await watch.message() for _ in range(3)]
    assert [len(message.changes) for message in messages] == [1, 1, 1]
    assert [message.HasField("revision") for message in messages] == [False, False, True]


async def test_large_changes_take_several_messages(world: World) -> None:
    async with stevedore(world) as worker:
        ids = [await run_large(world, worker) for _ in range(3)]
        messages = await watching(world, ids=ids, after_revision=0).rest()
    assert len(messages) > 1
    assert all(message.ByteSize() < 2 * 1024 * 1024 for message in messages)
    for message in messages:
        assert message.revision >= message.changes[-1].event.revision
    assert [message.end for message in messages[:-1]] == [0] * (len(messages) - 1)


async def run_large(world: World, worker: Stevedore) -> str:
    task = await world.submit(submission())
    await worker.run_next(answer="b" * 700_000)
    return task.metadata.id


async def test_a_task_is_run_and_watched_in_one_call(world: World) -> None:
    async with stevedore(world) as worker:
        asked = submission(request_id="once")
        request = RunTaskRequest(spec=asked.spec, request_id="once")
        watch = Watch(world.tasks.RunTask(request))
        first = await watch.message()
        assert first.created
        assert first.changes[0].task.status.state == pb.STATE_QUEUED
        await worker.run_next(answer=1)
        rest = await watch.rest()
        again = await Watch(world.tasks.RunTask(request)).rest()
    told = [change for message in rest for change in message.changes]
    assert kinds(told) == ["state_changed", "state_changed"]
    assert rest[-1].end == pb.END_DONE
    assert told[-1].task.status.result == struct({"answer": 1})
    assert len(again) == 1
    assert not again[0].created
    assert again[0].end == pb.END_DONE
    assert again[0].changes[0].task == told[-1].task


async def test_a_run_is_resumed_by_a_watch(world: World) -> None:
    async with stevedore(world) as worker:
        watch = Watch(world.tasks.RunTask(RunTaskRequest(spec=submission().spec)))
        first = await watch.message()
        watch.stream.cancel()
        task_id = first.changes[0].task.metadata.id
        await worker.run_next()
        messages = await watching(world, ids=[task_id], after_revision=first.revision).rest()
    told = [change for message in messages for change in message.changes]
    assert kinds(told) == ["state_changed", "state_changed"]


async def test_ending_a_watch_does_not_cancel_the_work(world: World) -> None:
    async with stevedore(world) as worker:
        watch = Watch(world.tasks.RunTask(RunTaskRequest(spec=submission().spec)))
        task_id = (await watch.message()).changes[0].task.metadata.id
        watch.stream.cancel()
        await worker.run_next()
        assert (await world.get(task_id)).status.state == pb.STATE_SUCCEEDED


async def test_operations_of_any_kind_are_watched(world: World) -> None:
    async with stevedore(world) as worker:
        request = WatchOperationsRequest(after_revision=0, filter="kind = TASK")
        watch = Watch(world.operations.WatchOperations(request))
        task_id = await run_one(world, worker)
        changes = await watch.until(lambda told: len(told) >= 3)
    assert changes[-1].WhichOneof("operation") == "task"
    assert changes[-1].task.metadata.id == task_id


async def test_a_canceled_task_ends_its_watch(world: World) -> None:
    await publish(world)
    task = await world.submit(submission(call("noop")))
    watch = watching(world, ids=[str(task.metadata.number)])
    await watch.message()
    await world.tasks.CancelTask(CancelTaskRequest(id=task.metadata.id, message="enough"))
    (last,) = await watch.rest()
    assert last.end == pb.END_DONE
    assert last.changes[0].event.state_changed.message == "enough"
    assert last.changes[0].task.status.state == pb.STATE_CANCELED


@pytest.mark.parametrize("filter_", ["", "number > 0", "name = nothing"])
async def test_a_watch_without_a_match_begins_with_a_revision(
    world: World, filter_: str
) -> None:
    message = await watching(world, filter=filter_).message()
    assert message.HasField("revision")
    assert not message.changes


async def test_watchers_that_have_gone_are_forgotten(world: World) -> None:
    await publish(world)
    task = await world.submit(submission())
    streams = [watching(world, ids=[task.metadata.id]) for _ in range(20)]
    streams += [watching(world, filter=f"number > {n}") for n in range(20)]
    for watch in streams:
        await watch.message()
    feed = world.engine.feed
    assert len(feed._by_number[task.metadata.number]) == 20  # pyright: ignore[reportPrivateUsage]
    for watch in streams:
        watch.stream.cancel()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while feed._by_number or feed._by_matcher:  # pyright: ignore[reportPrivateUsage]
            await asyncio.sleep(0)


async def test_a_watcher_that_does_not_read_loses_nothing(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        watch = watching(world, ids=[task.metadata.id], include_logs=True)
        await watch.message()
        assignment = await worker.assigned()
        lines = [f"{number} " + "a" * 8_000 for number in range(700)]
        for line in lines:
            await worker.report(assignment, log=pb.LogEntry(message=line))
        await worker.complete(assignment)
        messages = await watch.rest()
    told = [change.event for message in messages for change in message.changes]
    assert [event.log.message for event in told if event.HasField("log")] == lines
    assert messages[-1].end == pb.END_DONE
