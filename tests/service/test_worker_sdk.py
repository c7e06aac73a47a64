"""The worker SDK over a real channel; the server's side of the stream is played by the test."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from longshore.client import from_struct
from longshore.v1 import operation_pb2 as operations
from longshore.v1 import worker_service_pb2 as work
from longshore.worker import Context, PermanentError, Worker
from longshore.worker.watchdog import Watchdog
from tests.service.harness import PATIENCE_SECONDS
from tests.tools.peer import Peer, Stream, aborted, acknowledgement, assignment, peer

worker = Worker("tests", queues=("fast", "slow"), slots=4, identity="me", version="1.2")

# Set by the actions, so that tests need not guess when something has happened.
begun = threading.Event()
let_go = threading.Event()
ended = threading.Event()


@worker.action
async def add(left: int, right: int = 2) -> dict[str, int]:
    """Add two numbers."""
    return {"sum": left + right}


@worker.action
async def facts(context: Context) -> dict[str, Any]:
    return {
        name: getattr(context, name)
        for name in ("operation_id", "action", "attempt", "step", "tenant", "traceparent")
    }


@worker.action
def thread_name() -> str:
    return threading.current_thread().name


@worker.action
async def wait_forever() -> None:
    begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        ended.set()


@worker.action
async def finish_though_canceled(context: Context) -> str:
    begun.set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return f"done, cancelled {context.cancelled}"
    return "not reached"


@worker.action
def wait_until_cancelled(context: Context) -> None:
    begun.set()
    while not context.cancelled:
        time.sleep(0.001)
    ended.set()
    raise RuntimeError("gave up")


@worker.action
def hold() -> str:
    begun.set()
    assert let_go.wait(60)
    return "held"


@worker.action
def talk(context: Context) -> None:
    context.log("reading", "progress")
    context.log("hello")
    context.warning("careful")
    context.error("ouch")
    context.property("colour", "blue")
    for done in range(1_001):
        context.progress(done, 1_000, "files", f"file {done}")


@worker.action
def list_files(context: Context) -> None:
    for number in range(7):
        context.log(f"file {number}")


@worker.action
def chatter(context: Context) -> None:
    for number in range(10_010):
        context.log(str(number))


@worker.action
def raise_a_tree(kind: str = "") -> None:
    if kind == "exit":
        raise SystemExit(3)
    group = ExceptionGroup("several", [ValueError("one"), OSError("two")])
    raise RuntimeError("outer \udcff") from (group if kind == "group" else KeyError("inner"))


@worker.action
def give_up() -> None:
    raise PermanentError("there is no such thing", metadata={"http_code": "404"})


@worker.action
def return_a_set() -> Any:
    return {"names": [1, {"deep": {1, 2}}]}


@worker.action
def return_too_much() -> str:
    return "x" * (1024 * 1024 + 1)


@worker.action
def block_the_loop_not() -> None:
    """Run in a thread, so that nothing is blocked."""


@worker.action
async def block_the_loop() -> None:
    """Block until somebody has said so."""
    assert let_go.wait(60)
    await asyncio.sleep(0)


@worker.action(executor="process")
def process_id(context: Context, fail: bool = False) -> dict[str, int]:
    """Tell who works, and talk about it."""
    context.progress(1, 2)
    context.progress(2, 2, message="last")
    context.log(f"attempt {context.attempt} of {context.operation_id}")
    context.property("where", "elsewhere")
    if fail:
        raise PermanentError("not today") from KeyError("inner")
    return {"pid": os.getpid()}


@worker.action(executor="process")
def process_until_cancelled(path: str, context: Context) -> None:
    Path(path).touch()
    while not context.cancelled:
        time.sleep(0.001)
    raise RuntimeError("gave up")


@worker.action(executor="process")
def kill_yourself(path: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(autouse=True)
def flags() -> Generator[None]:
    for flag in (begun, let_go, ended):
        flag.clear()
    yield
    let_go.set()


async def happened(flag: threading.Event) -> None:
    assert await asyncio.to_thread(flag.wait, PATIENCE_SECONDS)


Starter = Callable[..., Awaitable[None]]


@asynccontextmanager
async def running(at: Peer, offered: Worker = worker) -> AsyncGenerator[asyncio.Task[None]]:
    """A running worker; at the end it is canceled, which closes nothing on the server."""
    task = asyncio.create_task(offered.run(at.address, stopping=asyncio.Event()))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def connected(offered: Worker = worker) -> AsyncGenerator[tuple[Peer, Stream]]:
    async with peer() as at, running(at, offered):
        yield at, await at.accept()


def results(report: work.Report) -> dict[str, Any]:
    assert report.HasField("completed"), report
    return from_struct(Struct.FromString(report.completed.results))


def info(status: Status) -> ErrorInfo:
    found = ErrorInfo()
    assert status.details[0].Unpack(found)
    return found


def causes(status: Status) -> list[Status]:
    statuses: list[Status] = []
    for detail in status.details:
        found = Status()
        if detail.Unpack(found):
            statuses.append(found)
    return statuses


# Hello and results.


async def test_a_worker_says_who_it_is_and_what_it_offers() -> None:
    async with connected() as (_, stream):
        hello = stream.hello
        assert (hello.worker, list(hello.queues), hello.slots) == ("me", ["fast", "slow"], 4)
        assert hello.session_id == ""
        [service] = hello.services
        assert (service.slug, service.name, service.version) == ("tests", "tests", "1.2")
        action = next(one for one in service.actions if one.slug == "add")
        assert action.description == "Add two numbers."
        assert [(one.slug, one.optional) for one in action.parameters] == [
            ("left", False),
            ("right", True),
        ]


async def test_an_action_gets_its_arguments_and_its_result_is_reported() -> None:
    async with connected() as (_, stream):
        await stream.assign("add", {"left": 40})
        report = await stream.report()
        assert (report.number, report.lease_token, report.sequence) == (1, 100, 1)
        assert results(report) == {"sum": 42}


async def test_an_action_is_found_with_its_service_and_without() -> None:
    async with connected() as (_, stream):
        await stream.assign("add", {"left": 1}, service="tests")
        assert results(await stream.settled()) == {"sum": 3}


async def test_an_unknown_action_fails_the_attempt() -> None:
    async with connected() as (_, stream):
        await stream.assign("nothing", token=101)
        failed = (await stream.report()).failed
        assert info(failed.error).reason == "ACTION_NOT_FOUND"
        assert not failed.permanent


async def test_the_context_knows_the_facts() -> None:
    async with connected() as (_, stream):
        await stream.assign("facts", attempt=2, step=1, tenant="north", traceparent="00-1-2-01")
        assert results(await stream.report()) == {
            "operation_id": "operation-100",
            "action": "facts",
            "attempt": 2,
            "step": 1,
            "tenant": "north",
            "traceparent": "00-1-2-01",
        }


async def test_plain_functions_run_in_threads() -> None:
    async with connected() as (_, stream):
        await stream.assign("thread_name")
        assert results(await stream.report()) == {"value": "longshore-work"}


async def test_plain_functions_run_on_the_executor_they_name() -> None:
    offered = Worker("other")
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        offered.action(executor=executor)(thread_name)
        async with connected(offered) as (_, stream):
            await stream.assign("thread_name")
            assert results(await stream.report()) == {"value": "mine_0"}


async def test_many_assignments_are_reported_in_few_messages() -> None:
    async with connected() as (_, stream):
        many = [assignment("add", {"left": token}, token=token) for token in range(100, 600)]
        await stream.say(assignments=many)
        reports = [await stream.report() for _ in many]
        assert [one.lease_token for one in reports] == [one.lease_token for one in many]
        assert len(stream.messages) < 50


# Failures.


async def test_wrong_arguments_fail_the_attempt_for_good_and_are_named() -> None:
    async with connected() as (_, stream):
        await stream.assign("add", {"left": "hunter2", "other": 1})
        failed = (await stream.report()).failed
        assert failed.permanent
        assert failed.error.code == 3
        assert info(failed.error).reason == "INVALID_FIELD"
        found = BadRequest()
        assert failed.error.details[1].Unpack(found)
        assert {(one.field, one.reason) for one in found.field_violations} == {
            ("arguments.left", "INVALID"),
            ("arguments.other", "UNKNOWN"),
        }
        assert "hunter2" not in str(failed)


async def test_an_exception_becomes_a_tree_of_causes_and_its_traceback_a_log_entry() -> None:
    async with connected() as (_, stream):
        await stream.assign("raise_a_tree")
        log = (await stream.report()).log
        assert log.kind == operations.LOG_KIND_ERROR
        assert "in raise_a_tree" in log.message
        assert "worker/results.py" not in log.message
        failed = (await stream.report()).failed
        assert not failed.permanent
        assert failed.error.message == "RuntimeError: outer ?"
        assert failed.error.code == 13
        assert info(failed.error).reason == "ACTION_FAILED"
        assert dict(info(failed.error).metadata) == {
            "action": "raise_a_tree",
            "type": "RuntimeError",
        }
        [cause] = causes(failed.error)
        assert cause.message == "KeyError: 'inner'"
        assert "Traceback" not in str(failed)


async def test_every_member_of_a_group_is_a_cause() -> None:
    async with connected() as (_, stream):
        await stream.assign("raise_a_tree", {"kind": "group"})
        await stream.report()
        [group] = causes((await stream.report()).failed.error)
        assert [one.message for one in causes(group)] == ["ValueError: one", "OSError: two"]


async def test_an_action_that_exits_fails_its_attempt_only() -> None:
    async with connected() as (_, stream):
        await stream.assign("raise_a_tree", {"kind": "exit"})
        await stream.report()
        assert (await stream.report()).failed.error.message == "SystemExit: 3"


async def test_a_permanent_error_says_so_in_its_own_words() -> None:
    async with connected() as (_, stream):
        await stream.assign("give_up")
        failed = (await stream.report()).failed
        assert failed.permanent
        assert failed.error.message == "there is no such thing"
        assert info(failed.error).metadata["http_code"] == "404"


async def test_a_result_that_is_no_json_fails_the_attempt_for_good() -> None:
    async with connected() as (_, stream):
        await stream.assign("return_a_set")
        failed = (await stream.report()).failed
        assert failed.permanent
        assert "'return_a_set' returned something that is no JSON" in failed.error.message
        assert "names.1.deep is of type 'set'" in failed.error.message


async def test_a_result_that_is_too_large_fails_the_attempt_for_good() -> None:
    async with connected() as (_, stream):
        await stream.assign("return_too_much")
        failed = (await stream.report()).failed
        assert failed.permanent
        assert info(failed.error).reason == "PAYLOAD_TOO_LARGE"
        assert len(failed.SerializeToString()) < 1_000


# Words.


async def test_words_are_reported_in_order_and_progress_at_most_once_a_second() -> None:
    async with connected() as (_, stream):
        began = time.monotonic()
        await stream.assign("talk")
        reports = [await stream.report()]
        while not reports[-1].HasField("completed"):
            reports.append(await stream.report())
        seconds = time.monotonic() - began
        assert [one.sequence for one in reports] == list(range(1, len(reports) + 1))
        assert [(one.log.kind, one.log.message) for one in reports[:4]] == [
            (operations.LOG_KIND_PROGRESS, "reading"),
            (operations.LOG_KIND_OUTPUT, "hello"),
            (operations.LOG_KIND_WARNING, "careful"),
            (operations.LOG_KIND_ERROR, "ouch"),
        ]
        assert (reports[4].property.name, reports[4].property.value) == ("colour", "blue")
        first, *between, last = reports[5:-1]
        assert (first.progress.done, last.progress.done) == (0, 1_000)
        assert last.progress.message == "file 1000"
        assert len(between) <= seconds
        assert await stream.silent()


async def test_no_more_log_entries_are_sent_than_an_attempt_may_have_and_one() -> None:
    async with connected() as (_, stream):
        await stream.assign("chatter")
        count = 0
        while not (await stream.report()).HasField("completed"):
            count += 1
        assert count == 10_001


# Stop orders.


async def test_a_canceled_coroutine_is_stopped() -> None:
    async with connected() as (_, stream):
        await stream.assign("wait_forever")
        await happened(begun)
        await stream.stop()
        assert (await stream.settled()).HasField("stopped")
        assert ended.is_set()


async def test_a_result_that_comes_despite_a_cancel_counts() -> None:
    async with connected() as (_, stream):
        await stream.assign("finish_though_canceled")
        await happened(begun)
        await stream.stop()
        assert results(await stream.report()) == {"value": "done, cancelled True"}


async def test_a_result_under_a_lost_lease_does_not_count() -> None:
    async with connected() as (_, stream):
        await stream.assign("finish_though_canceled")
        await happened(begun)
        await stream.stop(reason=work.STOP_REASON_TIMED_OUT)
        assert (await stream.report()).HasField("stopped")


async def test_a_plain_function_sees_that_it_is_cancelled() -> None:
    async with connected() as (_, stream):
        await stream.assign("wait_until_cancelled")
        await happened(begun)
        await stream.stop()
        assert (await stream.report()).HasField("stopped")


async def test_a_slot_is_free_only_when_the_function_has_ended() -> None:
    async with connected() as (_, stream):
        await stream.assign("hold")
        await happened(begun)
        await stream.stop(reason=work.STOP_REASON_LEASE_LOST)
        await stream.assign("add", {"left": 1}, token=101)
        assert (await stream.report()).lease_token == 101
        let_go.set()
        report = await stream.report()
        assert (report.lease_token, report.WhichOneof("detail")) == (100, "stopped")


async def test_a_report_that_lost_its_lease_stops_the_work() -> None:
    async with connected() as (_, stream):
        await stream.assign("wait_until_cancelled")
        await happened(begun)
        words = work.Report(number=1, lease_token=100, sequence=0)
        await stream.acknowledge(words, aborted("LEASE_LOST"))
        await happened(ended)
        assert (await stream.report()).HasField("stopped")


async def test_a_stop_for_work_that_never_arrived_is_answered() -> None:
    async with connected() as (_, stream):
        await stream.stop(token=200, reason=work.STOP_REASON_LEASE_LOST)
        report = await stream.report()
        assert (report.lease_token, report.WhichOneof("detail")) == (200, "stopped")


async def test_a_stop_for_work_that_has_ended_is_ignored() -> None:
    async with connected() as (_, stream):
        await stream.assign("add", {"left": 1})
        await stream.settled()
        await stream.stop()
        await stream.assign("add", {"left": 1}, token=101)
        assert (await stream.report()).lease_token == 101


# Plans.


async def test_the_steps_of_a_plan_go_on_under_one_lease() -> None:
    async with connected() as (_, stream):
        await stream.assign("add", {"left": 1})
        first = await stream.report()
        following = assignment("add", {"left": 2}, step=1)
        await stream.say(
            acknowledgements=[acknowledgement(first)],
            assignments=[following],
        )
        second = await stream.settled()
        assert (second.sequence, results(second)) == (2, {"sum": 4})
        await stream.assign("add", {"left": 3}, step=2)  # in a message of its own
        third = await stream.report()
        assert (third.sequence, results(third)) == (3, {"sum": 5})


async def test_a_step_may_be_assigned_before_the_one_before_is_acknowledged() -> None:
    async with connected() as (_, stream):
        await stream.assign("add", {"left": 1})
        first = await stream.report()
        await stream.assign("add", {"left": 2}, step=1)
        second = await stream.report()
        await stream.acknowledge(first)
        await stream.acknowledge(second)
        assert second.sequence == 2


# Reconnects.


async def test_work_goes_on_while_the_stream_is_broken_and_is_reported_on_the_next() -> None:
    async with connected() as (at, stream):
        await stream.assign("hold")
        await happened(begun)
        stream.end(Status(code=14, message="gone"))
        later = await at.accept(epoch=2)
        assert later.hello.session_id == "s-1"
        assert [(one.number, one.lease_token) for one in later.hello.leases] == [(1, 100)]
        await later.assign("hold")  # a repeat is ignored
        let_go.set()
        assert results(await later.settled()) == {"value": "held"}
        assert await later.silent()


async def test_reports_are_sent_again_until_they_are_acknowledged() -> None:
    async with connected() as (at, stream):
        await stream.assign("list_files")
        first = [await stream.report() for _ in range(8)]
        await stream.acknowledge(first[2])
        await stream.assign("add", {"left": 1}, token=101)
        await stream.settled()
        stream.end()
        later = await at.accept(epoch=2)
        again = [await later.report() for _ in range(5)]
        assert again == first[3:]
        await later.acknowledge(again[-1])
        await later.assign("add", {"left": 1}, token=102)
        assert (await later.report()).lease_token == 102


@pytest.mark.parametrize("code", range(17))
async def test_a_worker_reconnects_whatever_the_status(code: int) -> None:
    async with peer() as at, running(at):
        stream = await at.accept(ttl=0.03)  # which shortens the waiting
        stream.end(Status(code=code, message="over") if code else None)
        await at.accept()


async def test_a_worker_that_is_told_to_reconnect_keeps_its_session() -> None:
    async with connected() as (at, stream):
        await stream.say(end=operations.END_RECONNECT)
        later = await at.accept(epoch=2)
        assert later.hello.session_id == "s-1"
        assert not stream.draining


async def test_a_worker_whose_session_is_over_stops_its_work_and_begins_a_new_one() -> None:
    async with connected() as (at, stream):
        await stream.assign("wait_forever")
        await happened(begun)
        stream.end(aborted("SESSION_TAKEN_OVER"))
        later = await at.accept(session_id="s-2")
        assert (later.hello.session_id, list(later.hello.leases)) == ("", [])
        await happened(ended)
        await later.assign("add", {"left": 1}, token=101)
        assert (await later.report()).lease_token == 101


async def test_a_worker_that_is_given_another_session_stops_its_work() -> None:
    async with connected() as (at, stream):
        await stream.assign("wait_forever")
        await happened(begun)
        stream.end()
        later = await at.accept(session_id="s-2")
        await happened(ended)
        await later.assign("add", {"left": 1})  # the same token is news there
        assert results(await later.report()) == {"sum": 3}


async def test_a_worker_goes_on_to_the_next_server() -> None:
    async with peer() as one, peer() as other:
        task = asyncio.create_task(
            worker.run([one.address, other.address], stopping=asyncio.Event())
        )
        accepting = [asyncio.create_task(server.accept()) for server in (one, other)]
        first, second = await asyncio.wait(accepting, return_when=asyncio.FIRST_COMPLETED)
        first.pop().result().end()
        stream = await second.pop()
        assert stream.hello.session_id == "s-1"
        task.cancel()
        await asyncio.wait({task})


async def test_both_sides_beat_and_a_silent_server_is_left() -> None:
    async with peer() as at, running(at):
        # Long enough that a beat that is late is not taken for silence.
        stream = await at.accept(beat=0.5)
        await stream.beaten()
        later = await at.accept()
        assert later.hello.session_id == "s-1"
        await stream.until(stream.ended)
        assert stream.beats >= 2


# Draining.


async def test_a_drained_worker_reports_says_goodbye_and_returns() -> None:
    async with peer() as at:
        stopping = asyncio.Event()
        task = asyncio.create_task(worker.run(at.address, stopping=stopping))
        stream = await at.accept()
        await stream.assign("hold")
        await happened(begun)
        stopping.set()
        await stream.drained()
        await stream.assign("add", {"left": 1}, token=101)
        released = await stream.settled()
        assert (released.lease_token, released.WhichOneof("detail")) == (101, "released")
        let_go.set()
        assert results(await stream.report()) == {"value": "held"}
        assert not stream.halfclosed.is_set()
        await stream.say(
            acknowledgements=[acknowledgement(work.Report(lease_token=100, sequence=1))]
        )
        await stream.until(stream.halfclosed)
        await asyncio.wait_for(task, PATIENCE_SECONDS)


async def test_work_that_was_not_started_is_handed_back() -> None:
    offered = Worker("narrow", slots=1)
    offered.action(hold)
    async with peer() as at:
        task = asyncio.create_task(offered.run(at.address, stopping=asyncio.Event()))
        stream = await at.accept()
        await stream.say(assignments=[assignment("hold", token=token) for token in (100, 101)])
        await happened(begun)
        draining = asyncio.create_task(offered.drain(10))
        report = await stream.settled()
        assert (report.lease_token, report.WhichOneof("detail")) == (101, "released")
        let_go.set()
        assert (await stream.settled()).lease_token == 100
        await asyncio.wait_for(draining, PATIENCE_SECONDS)
        await asyncio.wait_for(task, PATIENCE_SECONDS)


@pytest.mark.parametrize("action", ["wait_forever", "hold"])
async def test_work_that_outlives_the_grace_fails_so_that_it_is_tried_elsewhere(
    action: str,
) -> None:
    async with peer() as at:
        stopping = asyncio.Event()
        task = asyncio.create_task(
            worker.run(at.address, stopping=stopping, grace_seconds=0.01)
        )
        stream = await at.accept()
        await stream.assign(action)
        await happened(begun)
        stopping.set()
        failed = (await stream.settled()).failed
        assert info(failed.error).reason == "WORKER_STOPPED"
        assert not failed.permanent
        await asyncio.wait_for(task, PATIENCE_SECONDS)


async def test_a_worker_that_drains_while_it_is_cut_off_reports_first() -> None:
    async with peer() as at:
        stopping = asyncio.Event()
        task = asyncio.create_task(worker.run(at.address, stopping=stopping))
        stream = await at.accept()
        await stream.assign("hold")
        await happened(begun)
        stream.end(Status(code=14))
        later = await at.accept(welcome=False)
        stopping.set()
        later.end(Status(code=14))
        last = await at.accept()
        let_go.set()
        assert results(await last.settled()) == {"value": "held"}
        await last.until(last.halfclosed)
        await asyncio.wait_for(task, PATIENCE_SECONDS)


async def test_a_worker_that_drains_while_it_reconnects_says_goodbye() -> None:
    async with peer() as at:
        stopping = asyncio.Event()
        task = asyncio.create_task(worker.run(at.address, stopping=stopping))
        stream = await at.accept()
        stopping.set()
        await stream.drained()
        stream.end(Status(code=14))
        later = await at.accept()
        assert later.draining
        await later.until(later.halfclosed)
        await asyncio.wait_for(task, PATIENCE_SECONDS)


async def test_a_worker_without_a_server_leaves_at_once() -> None:
    leaving = asyncio.gather(worker.run("127.0.0.1:1"), worker.drain(2 * PATIENCE_SECONDS))
    await asyncio.wait_for(leaving, PATIENCE_SECONDS)


async def test_a_worker_that_is_canceled_cancels_its_work() -> None:
    async with connected() as (_, stream):
        await stream.assign("wait_forever")
        await happened(begun)
    assert ended.is_set()


async def test_the_signal_to_terminate_drains() -> None:
    async with peer() as at:
        task = asyncio.create_task(worker.run(at.address))
        stream = await at.accept()
        os.kill(os.getpid(), signal.SIGTERM)
        await stream.until(stream.halfclosed)
        await asyncio.wait_for(task, PATIENCE_SECONDS)


async def test_a_second_signal_ends_the_grace() -> None:
    async with peer() as at:
        task = asyncio.create_task(worker.run(at.address))
        stream = await at.accept()
        await stream.assign("wait_forever")
        await happened(begun)
        os.kill(os.getpid(), signal.SIGINT)
        await stream.drained()
        os.kill(os.getpid(), signal.SIGINT)
        assert (await stream.settled()).HasField("failed")
        await asyncio.wait_for(task, PATIENCE_SECONDS)


# Processes.


async def test_an_action_in_another_process_talks_to_its_operation() -> None:
    async with connected() as (_, stream):
        await stream.assign("process_id", attempt=1)
        reports = [await stream.report() for _ in range(5)]
        assert [one.WhichOneof("detail") for one in reports] == [
            "progress",
            "log",
            "property",
            "progress",
            "completed",
        ]
        assert reports[1].log.message == "attempt 1 of operation-100"
        assert reports[3].progress.message == "last"
        assert results(reports[4])["pid"] != os.getpid()
        await stream.assign("process_id", {"fail": True}, token=101)
        while not (report := await stream.report()).HasField("failed"):
            pass
        assert (report.failed.permanent, report.failed.error.message) == (True, "not today")
        assert [one.message for one in causes(report.failed.error)] == ["KeyError: 'inner'"]


async def test_nothing_is_left_of_a_worker_with_processes() -> None:
    before, others = asyncio.all_tasks(), set(multiprocessing.active_children())
    async with peer() as at:
        stopping = asyncio.Event()
        task = asyncio.create_task(worker.run(at.address, stopping=stopping))
        stream = await at.accept()
        await stream.assign("process_id")
        while not (await stream.settled()).HasField("completed"):
            pass
        stopping.set()
        await asyncio.wait_for(task, PATIENCE_SECONDS)
        async with asyncio.timeout(PATIENCE_SECONDS):
            # Nobody knows who of the pool and this test learns first of an end.
            while {*multiprocessing.active_children()} - others:
                await asyncio.sleep(0.01)
    assert asyncio.all_tasks() <= before


async def test_an_action_in_another_process_sees_that_it_is_cancelled(tmp_path: Path) -> None:
    async with connected() as (_, stream):
        file = tmp_path / "begun"
        await stream.assign("process_until_cancelled", {"path": str(file)})
        while not file.exists():
            await asyncio.sleep(0.01)
        await stream.stop()
        assert (await stream.report()).HasField("stopped")


async def test_a_killed_process_fails_its_attempt_and_the_pool_goes_on() -> None:
    async with connected() as (_, stream):
        await stream.assign("kill_yourself", {"path": ""})
        failed = (await stream.settled()).failed
        assert not failed.permanent
        assert "the pool of processes broke" in failed.error.message
        await stream.assign("process_id", token=101)
        while not (report := await stream.report()).HasField("completed"):
            pass
        assert results(report)["pid"]


# The loop.


async def test_an_action_that_blocks_the_loop_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for = Watchdog._wait_for  # pyright: ignore[reportPrivateUsage]

    def named(watchdog: Watchdog, answered: threading.Event) -> None:
        let_go.set()
        wait_for(watchdog, answered)

    monkeypatch.setattr(Watchdog, "_wait_for", named)
    async with connected() as (_, stream):
        await stream.assign("block_the_loop")
        report = await stream.report()
        assert report.log.kind == operations.LOG_KIND_WARNING
        assert "action 'block_the_loop' blocks the event loop" in report.log.message
        assert "let_go.wait(60)" in report.log.message
        assert (await stream.report()).HasField("completed")
