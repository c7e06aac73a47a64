"""Reports: whatever a worker says is settled, and what came of it can be shown to everybody."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import DebugInfo, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from longshore.gateway.canonical.printing import printed
from longshore.v1 import operation_pb2 as pb
from longshore.v1.operation_service_pb2 import GetHistoryRequest
from longshore.v1.task_service_pb2 import Task
from longshore.v1.worker_service_pb2 import ActionCompleted, ActionFailed, ActionStopped
from tests.service.harness import World, call, options, stevedore, submission

ONCE = options(retry=pb.RetryPolicy(max_attempts=1))


def packed(message: Message) -> AnyMessage:
    made = AnyMessage()
    made.Pack(message)
    return made


def broken(kind: str) -> AnyMessage:
    return AnyMessage(type_url=f"type.googleapis.com/{kind}", value=b"\xff\xff")


def causes(count: int, inmost: Message) -> Status:
    """Return an error that is in so many others."""
    error = Status(code=13, message="inmost", details=[packed(inmost)])
    for _ in range(count):
        error = Status(code=13, details=[packed(error)])
    return error


def failed(*details: AnyMessage, code: int = 13) -> dict[str, Any]:
    error = Status(code=code, message="torn", details=details)
    return {"failed": ActionFailed(error=error, permanent=True)}


LONG = Duration(seconds=10**15)

#: What others may say, as nobody should.
REPORTS: dict[str, dict[str, Any]] = {
    "no code": failed(code=0),
    "a code of none": failed(code=99),
    "a code below 0": failed(code=-1),
    "no error": {"failed": ActionFailed(permanent=True)},
    "a broken wait": failed(broken("google.rpc.RetryInfo")),
    "an endless wait": failed(packed(RetryInfo(retry_delay=LONG))),
    "a wait of no length": failed(packed(RetryInfo(retry_delay=Duration(nanos=2**31 - 1)))),
    "a broken reason": failed(broken("google.rpc.ErrorInfo")),
    "a broken cause": failed(broken("google.rpc.Status")),
    "a span": failed(packed(LONG)),
    "a time": failed(packed(Timestamp(seconds=-(10**15)))),
    "no number": failed(packed(Value(number_value=float("nan")))),
    "no type": failed(AnyMessage(value=b"a")),
    "an unknown type": failed(AnyMessage(type_url="a/b.C", value=b"a")),
    "a cause that cannot be shown": failed(packed(causes(3, LONG))),
    "more causes than anybody reads": failed(packed(causes(500, DebugInfo()))),
    "a log of no kind": {"log": pb.LogEntry(kind=99, message="a")},  # type: ignore[arg-type]
    "a log below all kinds": {"log": pb.LogEntry(kind=-1, message="a")},  # type: ignore[arg-type]
    "less than nothing": {"progress": pb.Progress(done=-1, total=-2)},
    "no amount": {"progress": pb.Progress(done=float("nan"), total=float("inf"))},
    "an amount below all": {"progress": pb.Progress(done=float("-inf"), total=1)},
    "the least of the most": {"progress": pb.Progress(done=5e-324, total=1.7e308)},
    "nothing at all": {"property": pb.PropertySet(name="\0", value="\0")},
    "results that are none": {"completed": ActionCompleted(results=b"\xff\xff")},
}


@pytest.mark.parametrize("name", REPORTS)
async def test_every_report_is_settled_and_its_task_can_be_shown(
    world: World, name: str
) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission(options=ONCE))
        assignment = await worker.assigned()
        settled = await worker.report(assignment, **REPORTS[name])
        assert not settled.HasField("error")
        shown = await world.get(task.metadata.id)
        printed(shown)
        if name != "an unknown type":
            MessageToDict(shown)
        error, progress = shown.status.error, shown.status.progress
        assert shown.status.state != pb.STATE_FAILED or 1 <= error.code <= 16
        assert progress.done >= 0
        assert progress.total >= 0
        history = await world.operations.GetHistory(GetHistoryRequest(id=task.metadata.id))
        logs = [event.log.kind for event in history.events if event.HasField("log")]
        assert logs == [pb.LOG_KIND_OUTPUT] * ("log" in REPORTS[name])


async def failing(world: World, error: Status, *calls: Any) -> Task:
    """Return a task of which the last of its actions failed with this error."""
    async with stevedore(world) as worker:
        task = await world.submit(submission(*calls, options=ONCE))
        for _ in calls[1:]:
            await worker.run_next()
        assignment = await worker.assigned()
        await worker.report(assignment, failed=ActionFailed(error=error))
        return await world.get(task.metadata.id)


def info(error: Status) -> tuple[str, str, dict[str, str]]:
    """Return the reason, the domain and the facts of an error, which has one of each."""
    told = ErrorInfo()
    (found,) = [one for one in error.details if one.TypeName() == "google.rpc.ErrorInfo"]
    assert found.Unpack(told)
    return told.reason, told.domain, dict(told.metadata)


@pytest.mark.parametrize("code", [0, 17, 99, -1])
async def test_a_code_that_is_none_of_a_failure_is_unknown(world: World, code: int) -> None:
    cause = packed(Status(code=code))
    shown = await failing(world, Status(code=code, message="torn", details=[cause]))
    assert (shown.status.error.code, shown.status.error.message) == (2, "torn")
    assert shown.status.actions[0].error == shown.status.error
    below = Status()
    assert shown.status.error.details[0].Unpack(below)
    assert below.code == 2


@pytest.mark.parametrize(
    "calls, action",
    [([call("noop")], "noop"), ([call("noop"), call("carry")], "carry")],
)
async def test_an_error_without_a_reason_is_given_one(
    world: World, calls: list[Any], action: str
) -> None:
    shown = await failing(world, Status(code=13), *calls)
    told = ("ACTION_FAILED", "longshore.dev", {"action": action})
    assert info(shown.status.error) == told


async def test_an_error_keeps_its_own_reason_and_what_can_be_read(world: World) -> None:
    own = packed(ErrorInfo(reason="TORN", domain="ropes", metadata={"a": "b"}))
    kept = [own, AnyMessage(type_url="a/b.C", value=b"a"), packed(causes(30, DebugInfo()))]
    given = [*kept, packed(RetryInfo(retry_delay=LONG)), broken("google.rpc.Help")]
    shown = await failing(world, Status(code=9, details=given))
    assert list(shown.status.error.details) == kept


async def test_who_stops_what_nobody_ordered_is_said_to_have_stopped(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission(options=ONCE))
        await worker.report(await worker.assigned(), stopped=ActionStopped())
        shown = await world.get(task.metadata.id)
    assert shown.status.error.code == 10
    assert info(shown.status.error) == ("WORKER_STOPPED", "longshore.dev", {"action": "noop"})
