from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from longshore.core import policies
from longshore.core.changes import Caller, Mode
from longshore.core.store import Catalog
from longshore.server.decoding import decode
from longshore.server.directory import Directory
from longshore.server.methods import Call
from longshore.server.submissions import Submissions
from longshore.v1 import operation_pb2 as pb
from longshore.v1.catalog_service_pb2 import Parameter, ParameterType, Service, ServiceAction
from longshore.v1.task_service_pb2 import SubmitTaskRequest, Task, TaskSpec

DIGEST = ServiceAction(
    slug="digest",
    parameters=[
        Parameter(slug="path", type=ParameterType.PARAMETER_TYPE_STRING, optional=True)
    ],
)
SERVICES = {"archive": [DIGEST, ServiceAction(slug="bag")], "": [ServiceAction(slug="noop")]}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def submissions() -> Submissions:
    documents = {
        ("default", slug): Service(slug=slug, actions=actions).SerializeToString()
        for slug, actions in SERVICES.items()
    }
    queues = frozenset({("default", "night")})
    catalog = Catalog(1, 0, Mode.ACTIVE, True, documents, queues, {}, {})
    return Submissions(Directory(cast("Any", SimpleNamespace(current=catalog))))


def change(request: SubmitTaskRequest, traceparent: str | None = None) -> Any:
    call = Call(Caller(request_id="from-the-call"), traceparent, cast("Any", None))
    return submissions().change(request, call)


def request(*calls: pb.ActionCall, **fields: Any) -> SubmitTaskRequest:
    outer = {name: fields.pop(name) for name in ("options", "request_id") if name in fields}
    spec = TaskSpec(actions=calls or [pb.ActionCall(action="noop")], **fields)
    return SubmitTaskRequest(spec=spec, **outer)


def test_a_plain_submit_takes_the_defaults() -> None:
    made = change(request())
    assert (made.queue, made.priority, made.suspended) == ("default", 0, False)
    assert (made.actions, made.steps) == (("noop",), 0)
    assert (made.policy, made.not_before, made.attributes, made.key) == (None,) * 4
    assert made.facts_request_id == "from-the-call"
    assert Task.FromString(made.request) == Task(spec=request().spec)


def test_the_stored_request_is_the_task_with_spec_and_options() -> None:
    asked = request(name="a", options=pb.Options(priority=3), request_id="r")
    made = change(asked)
    assert Task.FromString(made.request) == Task(spec=asked.spec, options=asked.options)
    assert made.facts_request_id == "r"


def test_options_become_what_decisions_read() -> None:
    options = pb.Options(
        queue="night",
        suspended=True,
        start_time=Timestamp(seconds=2_000_000_000, nanos=1_999_999),
        run_timeout=Duration(nanos=1),
        retry=pb.RetryPolicy(max_attempts=1, initial_backoff=Duration(seconds=2)),
        expire_after=Duration(seconds=600),
    )
    made = change(request(options=options))
    policy = policies.decode(made.policy)
    assert (made.queue, made.suspended) == ("night", True)
    assert made.not_before == policy.not_before == 2_000_000_000_001
    assert policy.run_timeout == 1  # a part of a millisecond counts whole
    assert (policy.max_attempts, policy.initial_backoff) == (1, 2_000)
    assert policy.max_backoff == policies.DEFAULT.max_backoff
    assert policy.expire_after == 600_000


def test_what_lists_filter_by_is_kept_as_json() -> None:
    asked = request(
        pb.ActionCall(action="digest"),
        service="archive",
        name="ü",
        options=pb.Options(labels={"k": "v"}),
    )
    assert change(asked).attributes == '{"name":"ü","service":"archive","labels":{"k":"v"}}'


@pytest.mark.parametrize(
    "call, steps",
    [
        (pb.ActionCall(action="noop"), 0),
        (pb.ActionCall(action="digest", argument_paths={"path": "a"}), 1),
        (pb.ActionCall(action="noop", assign=[pb.Assignment(target="a", value="b")]), 1),
        (pb.ActionCall(action="noop", results=["a"]), 1),
    ],
)
def test_a_single_action_is_a_plan_only_if_there_is_something_to_step(
    call: pb.ActionCall, steps: int
) -> None:
    assert change(request(call)).steps == steps


def test_a_plan_needs_each_of_its_actions_once() -> None:
    calls = [pb.ActionCall(action=name) for name in ("digest", "bag", "digest")]
    made = change(request(*calls, service="archive"))
    assert (made.actions, made.steps) == (("archive/bag", "archive/digest"), 3)


def test_equal_bodies_have_equal_digests_whatever_their_encoding() -> None:
    labels = {"a": "1", "b": "2", "c": "3"}
    turned = dict(reversed(labels.items()))
    first = change(request(options=pb.Options(labels=labels), request_id="k"))
    second = change(request(options=pb.Options(labels=turned), request_id="k"))
    other = change(request(options=pb.Options(labels=labels, priority=1), request_id="k"))
    assert first.key == second.key != other.key
    assert (
        change(request(options=pb.Options(), request_id="k")).key
        == change(request(request_id="k")).key
    )


def test_only_a_trace_context_is_kept_as_one() -> None:
    assert change(request(), TRACE).traceparent == TRACE
    assert change(request(), "nonsense").traceparent is None


def test_fields_of_a_newer_contract_are_kept() -> None:
    newer = request().SerializeToString() + b"\x0a\x05\xfa\x3e\x02hi"  # spec: field 1007
    made = change(decode(SubmitTaskRequest, newer))
    assert b"\xfa\x3e\x02hi" in made.request
