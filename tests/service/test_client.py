"""The client against a real server with a real worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
import uuid_utils

from longshore.client import (
    AlreadyExists,
    Client,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    TaskHandle,
    Unavailable,
    Watch,
    WorkCanceled,
    WorkFailed,
    call,
    result_of,
    task,
)
from longshore.engine.engine import Engine
from longshore.server.app import Server
from longshore.server.codec import ProtoCodec
from longshore.stores.blobs import ObstoreBlobs
from longshore.stores.sqlite.store import SqliteStore
from longshore.v1.operation_pb2 import Event
from longshore.v1.operation_service_pb2 import WaitReasonKind
from longshore.v1.server_service_pb2 import (
    SERVER_MODE_ACTIVE,
    SERVER_MODE_MAINTENANCE,
    SERVER_MODE_SUSPENDED,
)
from longshore.v1.task_service_pb2 import TaskChange
from longshore.worker import Context, PermanentError, Worker
from tests.acceptance.waiting import eventually_answered
from tests.tools.ports import steady_address
from tests.tools.proxy import Proxy

LATER = timedelta(hours=1)

worker = Worker("tests", slots=20)
steps: dict[str, asyncio.Semaphore] = {}


@worker.action
async def add(left: int, right: int = 2) -> dict[str, int]:
    return {"sum": left + right}


@worker.action
async def refuse(why: str) -> None:
    raise PermanentError(why)


@worker.action
async def step(name: str, times: int, context: Context) -> dict[str, int]:
    """Say how far it is whenever the test lets it."""
    for done in range(times):
        await steps[name].acquire()
        context.property("step", str(done))
        context.log(f"step {done}")
    return {"steps": times}


def lead(name: str) -> asyncio.Semaphore:
    """Return what lets a task of `step` go on."""
    steps[name] = asyncio.Semaphore(0)
    return steps[name]


@asynccontextmanager
async def serving(store: Path, listen: str = "127.0.0.1:0") -> AsyncGenerator[str]:
    engine = Engine(SqliteStore(store, ProtoCodec()), ObstoreBlobs(f"{store}.files"))
    async with engine, Server(engine, listen) as server:
        yield server.address
        await server.drain(1)


@asynccontextmanager
async def working(address: str) -> AsyncGenerator[None]:
    leaving = asyncio.Event()
    run = asyncio.create_task(worker.run(address, grace_seconds=0, stopping=leaving))
    async with Client(address) as client:
        while not run.done() and not [one async for one in client.server.workers()]:
            await asyncio.sleep(0.01)
    yield
    leaving.set()
    await run


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    store = tmp_path_factory.mktemp("client") / "longshore.db"
    async with serving(store) as address, working(address):
        yield address


@pytest.fixture
async def client(address: str) -> AsyncIterator[Client]:
    async with Client(address) as client:
        yield client


async def revisions(watch: Watch[TaskChange]) -> list[int]:
    return [change.event.revision async for change in watch if change.HasField("event")]


async def history(client: Client, task_id: str, *details: str) -> Sequence[Event]:
    return [event async for event in client.operations.history(task_id, *details)]


async def test_a_task_is_submitted_and_its_result_awaited(client: Client) -> None:
    handle = await client.tasks.submit("add", {"left": 1, "right": 41}, service="tests")
    assert handle.created
    assert await handle.result() == {"sum": 42}
    assert (handle.state, handle.ended, handle.error) == ("SUCCEEDED", True, None)


async def test_a_repeated_request_id_finds_the_same_task(client: Client) -> None:
    first = await client.tasks.submit("add", {"left": 1}, service="tests", request_id="once")
    again = await client.tasks.submit("add", {"left": 1}, service="tests", request_id="once")
    assert (again.id, again.created) == (first.id, False)
    with pytest.raises(AlreadyExists) as refused:
        await client.tasks.submit("add", {"left": 2}, service="tests", request_id="once")
    assert refused.value.reason == "REQUEST_ID_REUSED"


async def test_the_steps_of_a_plan_pass_values_by_path(client: Client) -> None:
    handle = await client.tasks.submit(
        plan=[
            call("add", {"left": 1}, assign={"first": "sum"}),
            call("add", {"right": 10}, paths={"left": "first"}),
        ],
        service="tests",
        context={"first": 0},
    )
    assert (await handle.result())["sum"] == 13


async def test_failed_work_raises_why(client: Client) -> None:
    handle = await client.tasks.submit("refuse", {"why": "no room"}, service="tests")
    with pytest.raises(WorkFailed, match="no room") as failed:
        await handle.result()
    assert failed.value.reason == "ACTION_FAILED"
    assert failed.value.failure.metadata["action"] == "refuse"
    assert failed.value.operation.metadata.id == handle.id
    assert isinstance(handle.error, WorkFailed)


async def test_canceled_work_raises_that(client: Client) -> None:
    handle = await client.tasks.submit("add", {"left": 1}, service="tests", start_time=LATER)
    await handle.cancel("not needed")
    with pytest.raises(WorkCanceled, match="not needed"):
        await handle.result()
    with pytest.raises(FailedPrecondition) as refused:
        await client.tasks.cancel(handle.id)
    assert refused.value.reason == "WRONG_STATE"


async def test_a_wait_that_times_out_leaves_the_work_alone(client: Client) -> None:
    go_on = lead("patient")
    handle = await client.tasks.submit("step", {"name": "patient", "times": 1}, service="tests")
    with pytest.raises(TimeoutError):
        await handle.result(timeout=0.05)
    go_on.release()
    assert await handle.result(timeout=60) == {"steps": 1}


async def test_a_call_that_is_wrong_names_every_field(client: Client) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await client.tasks.submit("add", {"left": "one", "middle": 2}, service="tests")
    told = {fault.field: fault.reason for fault in refused.value.violations}
    assert told == {
        "spec.actions[0].arguments.left": "INVALID",
        "spec.actions[0].arguments.middle": "UNKNOWN",
    }
    with pytest.raises(NotFound) as unknown:
        await client.tasks.submit("subtract", service="tests")
    assert unknown.value.reason == "ACTION_NOT_FOUND"


async def test_many_tasks_have_an_outcome_each_in_their_order(client: Client) -> None:
    requests = [task("add", {"left": left}, service="tests") for left in range(1_200)]
    requests[700] = task("add", {"left": "one"}, service="tests")
    outcomes = await client.tasks.submit_many(requests)
    assert [index for index, one in enumerate(outcomes) if not isinstance(one, TaskHandle)] == [
        700
    ]
    assert isinstance(outcomes[700], InvalidArgument)
    last = outcomes[-1]
    assert isinstance(last, TaskHandle)
    assert await last.result() == {"sum": 1_201}
    first = outcomes[0]
    assert isinstance(first, TaskHandle)
    glances = await client.tasks.get_many([last.id, str(uuid_utils.uuid7()), first.id])
    assert [one.id for one in glances] == [last.id, first.id]
    assert glances[0].state == "SUCCEEDED"


async def test_a_run_tells_everything_from_the_submit_to_the_result(client: Client) -> None:
    run = client.tasks.run("add", {"left": 1}, service="tests")
    changes = [change async for change in run]
    assert changes[0].task.spec.actions[0].action == "add"
    assert result_of(changes[-1].task) == {"sum": 3}
    told = [change.event.revision for change in changes[1:]]
    known = [event.revision for event in await history(client, changes[0].task.metadata.id)]
    assert known[-len(told) :] == told


async def test_logs_are_told_on_request(client: Client) -> None:
    for include_logs in (True, False):
        lead("logs").release()
        run = client.tasks.run(
            "step", {"name": "logs", "times": 1}, service="tests", include_logs=include_logs
        )
        logs = [
            change.event.log.message async for change in run if change.event.HasField("log")
        ]
        assert logs == (["step 0"] if include_logs else [])


async def test_a_task_is_found_by_id_and_by_number(client: Client) -> None:
    handle = await client.tasks.submit("add", {"left": 1}, service="tests")
    assert (await client.tasks.get(str(handle.number))).id == handle.id
    with pytest.raises(NotFound) as unknown:
        await client.tasks.get("0198c2d4-0000-7000-8000-000000000000")
    assert unknown.value.reason == "OPERATION_NOT_FOUND"


async def test_a_list_comes_page_by_page_and_a_watch_follows_without_a_seam(
    client: Client,
) -> None:
    labels = {"list": "paged"}
    made = [
        await client.tasks.submit(
            "add", {"left": 1}, service="tests", start_time=LATER, labels=labels
        )
        for _ in range(5)
    ]
    listed = client.tasks.list(
        "labels.list = paged", order_by="number", page_size=2, with_total=True
    )
    pages = [page async for page in listed.pages()]
    assert [len(page.items) for page in pages] == [2, 2, 1]
    assert {page.total_size for page in pages} == {5}
    assert len({page.revision for page in pages}) == 1
    assert [one.id async for one in listed] == [one.id for one in made]

    await made[0].cancel()
    watch = client.tasks.watch(filter="labels.list = paged", after_revision=pages[0].revision)
    assert (await anext(watch)).task.metadata.id == made[0].id


async def test_what_waits_is_suspended_resumed_and_explained(client: Client) -> None:
    handle = await client.tasks.submit("add", {"left": 1}, service="tests", suspended=True)
    reasons = (await client.operations.explain(handle.id)).reasons
    assert reasons[0].kind == WaitReasonKind.WAIT_REASON_KIND_SUSPENDED
    await handle.resume()
    assert await handle.result() == {"sum": 3}

    later = await client.tasks.submit("add", {"left": 1}, service="tests", start_time=LATER)
    assert (await client.tasks.suspend(later.id)).state == "SUSPENDED"
    assert (await client.tasks.resume(later.id)).state == "QUEUED"


async def test_what_has_ended_is_run_once_more(client: Client) -> None:
    handle = await client.tasks.submit("add", {"left": 1}, service="tests")
    await handle.result()
    again = await handle.resubmit()
    assert again.id != handle.id
    assert await again.result() == {"sum": 3}
    assert (await client.tasks.resubmit(handle.id)).id not in (handle.id, again.id)


async def test_history_tells_only_what_was_asked_for(client: Client) -> None:
    handle = await client.tasks.submit("add", {"left": 1}, service="tests")
    await handle.result()
    kinds = [event.WhichOneof("detail") for event in await history(client, handle.id)]
    assert kinds[0] == "submitted"
    changes = await history(client, handle.id, "state_changed")
    assert {event.WhichOneof("detail") for event in changes} == {"state_changed"}


async def test_a_server_tells_what_it_is_and_what_its_workers_offer(client: Client) -> None:
    assert (await client.server.status()).mode == SERVER_MODE_ACTIVE
    services = {service.slug: service for service in await client.catalog.services()}
    assert {one.slug for one in services["tests"].actions} == {"add", "refuse", "step"}
    (info,) = [one async for one in client.server.workers()]
    assert info.slots == 20


async def test_maintenance_is_an_answer_and_not_repeated(client: Client) -> None:
    await client.server.set_mode(SERVER_MODE_MAINTENANCE)
    try:
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable) as refused:
                await client.tasks.submit("add", {"left": 1}, service="tests")
            with pytest.raises(Unavailable):
                await anext(client.tasks.run("add", {"left": 1}, service="tests"))
        assert refused.value.reason == "MAINTENANCE"
        assert refused.value.retry_after
        await client.server.set_mode(SERVER_MODE_SUSPENDED)
        handle = await client.tasks.submit("add", {"left": 1}, service="tests")
        assert handle.state == "QUEUED"
    finally:
        await client.server.set_mode(SERVER_MODE_ACTIVE)
    assert await handle.result() == {"sum": 3}


async def test_a_watch_cannot_begin_in_the_future(client: Client) -> None:
    with pytest.raises(OutOfRange) as refused:
        await anext(client.tasks.watch(after_revision=10**12))
    assert refused.value.reason == "REVISION_IN_FUTURE"


async def test_a_watch_cut_after_every_change_sees_each_once_in_order(address: str) -> None:
    go_on = lead("cut")
    async with Proxy(address) as proxy, Client(proxy.address) as client:
        handle = await client.tasks.submit("step", {"name": "cut", "times": 8}, service="tests")
        watch = client.tasks.watch(handle.id, after_revision=0, include_logs=True)
        seen: list[int] = []
        go_on.release()
        async for change in watch:
            seen.append(change.event.revision)
            if change.event.HasField("log"):
                go_on.release()
            proxy.cut()
        assert proxy.connections > 8
        assert seen == [event.revision for event in await history(client, handle.id)]


async def test_a_result_is_awaited_through_cuts_and_refusals(address: str) -> None:
    go_on = lead("rough")
    async with Proxy(address) as proxy, Client(proxy.address) as client:
        handle = await client.tasks.submit(
            "step", {"name": "rough", "times": 1}, service="tests"
        )
        waiting = asyncio.ensure_future(handle.result())
        while proxy.connections < 2:
            await asyncio.sleep(0.01)
        proxy.refuse()
        while proxy.connections < 4:
            await asyncio.sleep(0.01)
        go_on.release()
        proxy.heal()
        assert await waiting == {"steps": 1}


async def test_a_run_is_resumed_where_it_was_cut(address: str) -> None:
    go_on = lead("run")
    async with Proxy(address) as proxy, Client(proxy.address) as client:
        run = client.tasks.run("step", {"name": "run", "times": 3}, service="tests")
        first = (await anext(run)).task
        proxy.cut()
        for _ in range(3):
            go_on.release()
        told = await revisions(run)
        known = [one.revision for one in await history(client, first.metadata.id)]
        logs = {one.revision for one in await history(client, first.metadata.id, "log")}
        after = [one for one in known if one > first.status.revision and one not in logs]
        assert told == after


async def test_watches_and_handles_outlive_a_restart_of_the_server(tmp_path: Path) -> None:
    store = tmp_path / "longshore.db"
    address = steady_address()
    async with serving(store, address):
        client = Client(address)
        handle = await client.tasks.submit("later", allow_unregistered=True)
        watch = client.tasks.watch(handle.id)
        assert (await anext(watch)).task.metadata.id == handle.id
        result = asyncio.ensure_future(handle.result())
    async with serving(store, address), client:
        last = asyncio.ensure_future(anext(watch))
        await eventually_answered(lambda: is_known(client, handle.id), "the new server")
        await client.tasks.cancel(handle.id, "after the restart")
        change = await last
        assert change.HasField("event")
        assert change.task.status.message == "after the restart"
        with pytest.raises(WorkCanceled, match="after the restart"):
            await result


async def test_clients_and_workers_go_on_at_the_next_server_when_one_stops(
    tmp_path: Path,
) -> None:
    store = tmp_path / "longshore.db"
    here, there = steady_address(), steady_address()
    go_on = lead("moving")
    leaving = asyncio.Event()
    mover = Worker("mover")
    mover.action(step)
    async with Client(f"{here},{there}") as client:
        async with serving(store, here):
            run = asyncio.create_task(
                mover.run([here, there], grace_seconds=0, stopping=leaving)
            )
            handle = await client.tasks.submit(
                "step", {"name": "moving", "times": 2}, allow_unregistered=True
            )
            watch = client.tasks.watch(handle.id, after_revision=0, include_logs=True)
            go_on.release()
            seen = [change.event.revision async for change in upto_log(watch)]
            result = asyncio.ensure_future(handle.result())
        async with serving(store, there):
            await eventually_answered(lambda: is_known(client, handle.id), "the next server")
            go_on.release()
            seen += [change.event.revision async for change in watch]
            assert await result == {"steps": 2}
            assert seen == [event.revision for event in await history(client, handle.id)]
            leaving.set()
            await run


async def is_known(client: Client, task_id: str) -> bool:
    """Ask once; gRPC takes its time until it tries again a server that was not there."""
    try:
        return (await client.tasks.get(task_id)).id == task_id
    except Unavailable:
        return False


async def upto_log(watch: Watch[TaskChange]) -> AsyncIterator[TaskChange]:
    async for change in watch:
        yield change
        if change.event.HasField("log"):
            return
