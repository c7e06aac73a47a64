"""Bad input: refused with a reason and the field's path, and nothing is stored."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from longshore.core.limits import PAYLOAD_BYTES, STRUCT_DEPTH
from longshore.v1 import operation_pb2 as pb
from longshore.v1.task_service_pb2 import (
    BatchGetTasksRequest,
    BatchSubmitTasksRequest,
    CancelTaskRequest,
    ListTasksRequest,
    SubmitTaskRequest,
    WatchTasksRequest,
)
from tests.service.harness import World, call, options, publish, refused, struct, submission

INVALID = StatusCode.INVALID_ARGUMENT


def digest(arguments: dict[str, Any]) -> SubmitTaskRequest:
    return submission(call("digest", arguments), service="archive")


def with_options(**fields: Any) -> SubmitTaskRequest:
    return submission(options=options(**fields))


def retrying(**fields: Any) -> SubmitTaskRequest:
    return with_options(retry=pb.RetryPolicy(**fields))


def nested(depth: int, outer: Struct | None = None) -> Struct:
    outer = inner = Struct() if outer is None else outer
    for _ in range(depth - 1):
        inner = inner.fields["a"].struct_value
        inner.fields["b"].bool_value = True
    return outer


PATH = "spec.actions[0].arguments"

FIELDS: dict[str, tuple[SubmitTaskRequest, dict[str, str]]] = {
    "no spec": (SubmitTaskRequest(), {"spec.actions": "MISSING"}),
    "no name of an action": (submission(call("")), {"spec.actions[0].action": "MISSING"}),
    "a slash in a name": (submission(call("a/b")), {"spec.actions[0].action": "INVALID"}),
    "a missing argument": (digest({}), {f"{PATH}.path": "MISSING"}),
    "an unknown argument": (digest({"path": "a", "pth": "b"}), {f"{PATH}.pth": "UNKNOWN"}),
    "an argument of another type": (digest({"path": 3}), {f"{PATH}.path": "INVALID"}),
    "a fraction for a whole number": (
        digest({"path": "a", "size": 1.5}),
        {f"{PATH}.size": "INVALID"},
    ),
    "a whole number beyond 2^53": (
        digest({"path": "a", "size": 2.0**60}),
        {f"{PATH}.size": "INVALID"},
    ),
    "a value that may not be sent": (
        digest({"path": "a", "algorithm": "md5"}),
        {f"{PATH}.algorithm": "NOT_PERMITTED"},
    ),
    "NaN": (digest({"path": "a", "size": math.nan}), {f"{PATH}.size": "INVALID"}),
    "an infinity in the context": (
        submission(context=struct({"list": [1, {"far": math.inf}]})),
        {"spec.context.list[1].far": "INVALID"},
    ),
    "a value of no kind": (
        submission(context=Struct(fields={"a": Value()})),
        {"spec.context.a": "INVALID"},
    ),
    "a Struct that is too deep": (
        submission(context=nested(STRUCT_DEPTH + 1)),
        {"spec.context" + ".a" * STRUCT_DEPTH: "INVALID"},
    ),
    "a malformed path": (
        submission(call("bag", argument_paths={"digest": "a[0]"})),
        {"spec.actions[0].argument_paths[digest]": "INVALID"},
    ),
    "a malformed target": (
        submission(call("noop", assign=[pb.Assignment(target="$a", value="b")])),
        {"spec.actions[0].assign[0].target": "INVALID"},
    ),
    "a path for an unknown argument": (
        submission(call("noop", argument_paths={"a": "b"})),
        {"spec.actions[0].argument_paths[a]": "UNKNOWN"},
    ),
    "an argument given twice": (
        submission(call("bag", {"digest": "a"}, argument_paths={"digest": "b"})),
        {"spec.actions[0].argument_paths[digest]": "INVALID"},
    ),
    "a control character": (submission(name="a\nb"), {"spec.name": "INVALID"}),
    "a priority": (with_options(priority=10), {"options.priority": "INVALID"}),
    "a reserved queue": (
        with_options(queue="longshore.callbacks", allow_unregistered=True),
        {"options.queue": "NOT_PERMITTED"},
    ),
    "the queue of rule sets": (
        with_options(queue="rulesets"),
        {"options.queue": "NOT_PERMITTED"},
    ),
    "max_attempts 0": (retrying(max_attempts=0), {"options.retry.max_attempts": "INVALID"}),
    "a multiplier below 1": (
        retrying(backoff_multiplier=0.5),
        {"options.retry.backoff_multiplier": "INVALID"},
    ),
    "a multiplier that is NaN": (
        retrying(backoff_multiplier=math.nan),
        {"options.retry.backoff_multiplier": "INVALID"},
    ),
    "a negative backoff": (
        retrying(initial_backoff=Duration(seconds=-1)),
        {"options.retry.initial_backoff": "INVALID"},
    ),
    "a duration of two minds": (
        retrying(max_backoff=Duration(seconds=1, nanos=-1)),
        {"options.retry.max_backoff": "INVALID"},
    ),
    "no time to run": (
        with_options(run_timeout=Duration()),
        {"options.run_timeout": "INVALID"},
    ),
    "an eternity to run": (
        with_options(run_timeout=Duration(seconds=2**62)),
        {"options.run_timeout": "INVALID"},
    ),
    "kept for less than 10 minutes": (
        with_options(expire_after=Duration(seconds=599)),
        {"options.expire_after": "INVALID"},
    ),
    "a time after the year 9999": (
        with_options(start_time=Timestamp(seconds=2**40)),
        {"options.start_time": "INVALID"},
    ),
    "a time of too many nanoseconds": (
        with_options(start_time=Timestamp(nanos=1_000_000_000)),
        {"options.start_time": "INVALID"},
    ),
    "a label without a key": (with_options(labels={"": "a"}), {"options.labels[]": "MISSING"}),
    "an unknown delivery": (with_options(delivery=9), {"options.delivery": "INVALID"}),
    "a callback to nowhere": (
        with_options(callback=pb.Callback()),
        {"options.callback.url": "MISSING"},
    ),
    "a callback in no known way": (
        with_options(callback=pb.Callback(url="ftp://a", method="SHOUT", format=9)),  # type: ignore[arg-type]
        {
            "options.callback.url": "INVALID",
            "options.callback.method": "INVALID",
            "options.callback.format": "INVALID",
        },
    ),
    "a concurrency key without a limit": (
        with_options(concurrency_key="a"),
        {"options.concurrency_limit": "MISSING"},
    ),
    "a limit of concurrency without a key": (
        with_options(concurrency_limit=1),
        {"options.concurrency_limit": "INVALID"},
    ),
    "a limit of concurrency below 1": (
        with_options(concurrency_key="a", concurrency_limit=-1),
        {"options.concurrency_limit": "INVALID"},
    ),
    "control characters in keys": (
        with_options(concurrency_key="a\n", concurrency_limit=1, fairness_key="\x1b"),
        {"options.concurrency_key": "INVALID", "options.fairness_key": "INVALID"},
    ),
    "an account without a service": (
        submission(account="ada"),
        {"spec.service": "MISSING"},
    ),
    "several faults": (
        submission(call("digest", {"x": 1}), options=options(priority=-1)),
        {f"{PATH}.path": "MISSING", f"{PATH}.x": "UNKNOWN", "options.priority": "INVALID"},
    ),
}


@pytest.mark.parametrize("name", FIELDS)
async def test_a_wrong_field_is_named(world: World, name: str) -> None:
    await publish(world)
    before = await world.revision()
    request, fields = FIELDS[name]
    refusal = await refused(world.tasks.SubmitTask(request))
    assert (refusal.code, refusal.reason) == (INVALID, "INVALID_FIELD")
    assert refusal.fields == fields
    assert refusal.metadata["field"] in fields
    assert await world.revision() == before


LIMITS: dict[str, tuple[SubmitTaskRequest, str, str]] = {
    "a large context": (
        submission(context=struct({"a": "b" * PAYLOAD_BYTES})),
        "PAYLOAD_TOO_LARGE",
        "spec.context",
    ),
    "a large argument": (
        digest({"path": "b" * PAYLOAD_BYTES}),
        "PAYLOAD_TOO_LARGE",
        "spec",
    ),
    "many actions": (submission(*[call("noop")] * 101), "LIMIT_EXCEEDED", "spec.actions"),
    "a long name": (submission(name="a" * 257), "LIMIT_EXCEEDED", "spec.name"),
    "a long queue": (with_options(queue="a" * 64), "LIMIT_EXCEEDED", "options.queue"),
    "a long action": (
        submission(call("a" * 64)),
        "LIMIT_EXCEEDED",
        "spec.actions[0].action",
    ),
    "many labels": (
        with_options(labels={str(n): "" for n in range(65)}),
        "LIMIT_EXCEEDED",
        "options.labels",
    ),
    "a long label": (
        with_options(labels={"a": "b" * 64}),
        "LIMIT_EXCEEDED",
        "options.labels[a]",
    ),
    "a long key": (submission(request_id="a" * 65), "LIMIT_EXCEEDED", "request_id"),
    "a long concurrency key": (
        with_options(concurrency_key="a" * 64, concurrency_limit=1),
        "LIMIT_EXCEEDED",
        "options.concurrency_key",
    ),
    "a long fairness key": (
        with_options(fairness_key="a" * 64),
        "LIMIT_EXCEEDED",
        "options.fairness_key",
    ),
    "a long account": (
        submission(service="archive", account="a" * 257),
        "LIMIT_EXCEEDED",
        "spec.account",
    ),
}


@pytest.mark.parametrize("name", LIMITS)
async def test_what_is_over_a_limit_is_refused(world: World, name: str) -> None:
    await publish(world)
    before = await world.revision()
    request, reason, field = LIMITS[name]
    refusal = await refused(world.tasks.SubmitTask(request))
    assert (refusal.code, refusal.reason) == (INVALID, reason)
    assert refusal.metadata["field"] == field
    assert field in refusal.fields
    assert int(refusal.metadata["value"]) > int(refusal.metadata["limit"])
    assert await world.revision() == before


UNKNOWN: dict[str, tuple[SubmitTaskRequest, str, str]] = {
    "a service": (
        submission(call("noop"), service="bakery"),
        "SERVICE_NOT_FOUND",
        "spec.service",
    ),
    "an action": (submission(call("fly")), "ACTION_NOT_FOUND", "spec.actions[0].action"),
    "an action of another service": (
        submission(call("noop"), service="archive"),
        "ACTION_NOT_FOUND",
        "spec.actions[0].action",
    ),
    "a queue": (with_options(queue="nightly"), "QUEUE_NOT_FOUND", "options.queue"),
    "an account": (
        submission(call("digest", {"path": "a"}), service="archive", account="ada"),
        "ACCOUNT_NOT_FOUND",
        "spec.account",
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
async def test_what_nobody_has_named_is_not_found(world: World, name: str) -> None:
    await publish(world)
    request, reason, field = UNKNOWN[name]
    refusal = await refused(world.tasks.SubmitTask(request))
    assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, reason)
    assert refusal.fields == {field: "UNKNOWN"}


async def test_what_is_not_known_yet_is_taken_on_request(world: World) -> None:
    unknown = submission(
        call("fly", {"to": "Oslo"}),
        service="bakery",
        options=options(queue="nightly", allow_unregistered=True),
    )
    assert (await world.submit(unknown)).status.state == pb.STATE_QUEUED


async def test_arguments_of_what_is_known_are_always_checked(world: World) -> None:
    await publish(world)
    request = digest({})
    request.options.allow_unregistered = True
    assert (await refused(world.tasks.SubmitTask(request))).reason == "INVALID_FIELD"


CALLS: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "a filter": (
        lambda tasks: tasks.ListTasks(ListTasksRequest(filter="state =")),
        "INVALID_FILTER",
        "filter",
    ),
    "an unknown name in a filter": (
        lambda tasks: tasks.ListTasks(ListTasksRequest(filter="colour = red")),
        "INVALID_FILTER",
        "filter",
    ),
    "an order": (
        lambda tasks: tasks.ListTasks(ListTasksRequest(order_by="labels.a")),
        "INVALID_FIELD",
        "order_by",
    ),
    "a page token": (
        lambda tasks: tasks.ListTasks(ListTasksRequest(page_token="abc")),
        "INVALID_PAGE_TOKEN",
        "page_token",
    ),
    "a page size": (
        lambda tasks: tasks.ListTasks(ListTasksRequest(page_size=1_001)),
        "LIMIT_EXCEEDED",
        "page_size",
    ),
    "a page size below 0": (
        lambda tasks: tasks.ListTasks(ListTasksRequest(page_size=-1)),
        "INVALID_FIELD",
        "page_size",
    ),
    "a batch of submits": (
        lambda tasks: tasks.BatchSubmitTasks(
            BatchSubmitTasksRequest(requests=[submission()] * 1_001)
        ),
        "LIMIT_EXCEEDED",
        "requests",
    ),
    "a batch of look-ups": (
        lambda tasks: tasks.BatchGetTasks(BatchGetTasksRequest(ids=["a"] * 10_001)),
        "LIMIT_EXCEEDED",
        "ids",
    ),
    "a reason of a cancel": (
        lambda tasks: tasks.CancelTask(CancelTaskRequest(id="1", message="a" * 16_385)),
        "LIMIT_EXCEEDED",
        "message",
    ),
    "ids of a watch": (
        lambda tasks: tasks.WatchTasks(WatchTasksRequest(ids=["1"] * 10_001)).read(),
        "LIMIT_EXCEEDED",
        "ids",
    ),
    "ids and a filter": (
        lambda tasks: tasks.WatchTasks(WatchTasksRequest(ids=["1"], filter="number=1")).read(),
        "INVALID_FIELD",
        "filter",
    ),
    "a revision below 0": (
        lambda tasks: tasks.WatchTasks(WatchTasksRequest(after_revision=-1)).read(),
        "INVALID_FIELD",
        "after_revision",
    ),
    "a watch by what changes": (
        lambda tasks: tasks.WatchTasks(WatchTasksRequest(filter="state = QUEUED")).read(),
        "FILTER_FIELD_CHANGES",
        "filter",
    ),
}


@pytest.mark.parametrize("name", CALLS)
async def test_other_calls_refuse_bad_input_too(world: World, name: str) -> None:
    make, reason, field = CALLS[name]
    refusal = await refused(make(world.tasks))
    assert (refusal.code, refusal.reason) == (INVALID, reason)
    assert field in refusal.fields


async def test_requests_that_cannot_be_read_are_refused_with_a_reason(world: World) -> None:
    channel: Any = world.channel
    submit = channel.unary_unary("/longshore.v1.TaskService/SubmitTask")
    deep = submission()
    nested(60, deep.spec.context)
    refusal = await refused(submit(deep.SerializeToString()))
    assert (refusal.code, refusal.reason) == (INVALID, "INVALID_FIELD")
    assert refusal.fields == {"spec.context": "INVALID"}
    refusal = await refused(submit(b"\xff"))
    assert refusal.reason == "INVALID_FIELD"
    refusal = await refused(submit(b"\x1a\x02\xff\xff"))
    assert refusal.fields == {"request_id": "INVALID"}


async def test_refused_submits_leave_the_others_of_their_batch_alone(world: World) -> None:
    await publish(world)
    asked = [submission(), submission(call("fly")), submission(name="c")]
    response = await world.tasks.BatchSubmitTasks(BatchSubmitTasksRequest(requests=asked))
    outcomes = [result.WhichOneof("outcome") for result in response.results]
    assert outcomes == ["submitted", "error", "submitted"]
