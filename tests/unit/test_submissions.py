from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from longshore.core import policies
from longshore.core.callers import Account, Caller
from longshore.core.changes import Mode
from longshore.core.errors import InvalidFields, LongshoreError, Violation
from longshore.core.ids import text_of
from longshore.core.installation import Contract as Kept
from longshore.core.installation import Queue, Template
from longshore.core.operations import Kind
from longshore.core.store import Catalog
from longshore.server.decoding import decode
from longshore.server.directory import Directory
from longshore.server.structs import to_object, to_struct
from longshore.server.submissions import Submissions
from longshore.v1 import operation_pb2 as pb
from longshore.v1.catalog_service_pb2 import (
    Contract,
    ContractAction,
    Parameter,
    ParameterType,
    Service,
    ServiceAction,
    WorkflowTemplate,
)
from longshore.v1.job_service_pb2 import Job, JobSpec, SubmitJobRequest
from longshore.v1.launch_service_pb2 import Launch, LaunchSpec, SubmitLaunchRequest
from longshore.v1.operation_pb2 import ServiceKind
from longshore.v1.task_service_pb2 import SubmitTaskRequest, Task, TaskSpec

DIGEST = ServiceAction(
    slug="digest",
    parameters=[
        Parameter(slug="path", type=ParameterType.PARAMETER_TYPE_STRING, optional=True)
    ],
)
SERVICES = {
    "archive": Service(actions=[DIGEST, ServiceAction(slug="bag")]),
    "rules": Service(kind=ServiceKind.SERVICE_KIND_RULESET, actions=[DIGEST]),
    "": Service(actions=[ServiceAction(slug="noop")]),
}
TEMPLATE = WorkflowTemplate(
    name="ingest v1",
    description="In it goes.",
    actions=[
        pb.ActionCall(action="digest", argument_paths={"path": "file"}),
        pb.ActionCall(action="bag"),
    ],
)
CONTRACT = Contract(
    name="museum",
    type="deposit",
    actor="the museum",
    actions=[
        ContractAction(
            name="ingest",
            trigger="upload",
            queue="night",
            variables=to_struct({"file": "a.txt", "owner": {"name": "ada", "age": 36}}),
            template=TEMPLATE,
        ),
        ContractAction(name="plain", template=TEMPLATE),
    ],
)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def submissions() -> Submissions:
    documents: dict[tuple[str, str], bytes] = {}
    for slug, service in SERVICES.items():
        service.slug = slug
        documents["default", slug] = service.SerializeToString()
    queues = {("default", "night"): Queue()}
    template = Template("ingest", 7, 3, b"")
    contracts = {("default", "museum"): Kept(CONTRACT.SerializeToString(), (template,))}
    catalog = Catalog(1, 0, Mode.ACTIVE, True, documents, queues, contracts, {}, {}, {})
    return Submissions(Directory(cast("Any", SimpleNamespace(current=catalog))))


def change(request: SubmitTaskRequest, traceparent: str | None = None) -> Any:
    return submissions().task(request, Caller(request_id="from-the-call"), traceparent)


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


def test_keys_and_limits_become_what_decisions_read() -> None:
    options = pb.Options(concurrency_key="c", concurrency_limit=2, fairness_key="f")
    made = change(request(options=options))
    assert (made.concurrency_key, made.fairness_key) == ("c", "f")
    assert policies.decode(made.policy).concurrency_limit == 2


def test_an_account_is_looked_up_with_its_service() -> None:
    made = change(request(pb.ActionCall(action="bag"), service="archive", account="ada"))
    assert made.account == Account("archive", "ada")
    assert made.attributes == '{"service":"archive","account":"ada"}'


def job(request_id: str = "", options: pb.Options | None = None, **spec: Any) -> Any:
    spec = {"contract": "museum", "action": "ingest", **spec}
    asked = SubmitJobRequest(spec=JobSpec(**spec), options=options, request_id=request_id)
    return submissions().job(asked, Caller(request_id="from-the-call"), TRACE)


def test_a_job_is_the_plan_of_its_contract() -> None:
    made = job(variables=to_struct({"owner": {"name": "bo"}, "more": [1]}))
    assert (made.kind, made.steps) == (Kind.JOB, 2)
    assert made.actions == ("bag", "digest")
    plan = Task.FromString(made.plan).spec
    assert list(plan.actions) == list(TEMPLATE.actions)
    assert to_object(plan.context) == {"file": "a.txt", "owner": {"name": "bo"}, "more": [1]}
    assert made.traceparent == TRACE


def test_a_job_keeps_what_its_contract_said() -> None:
    made = job(variables=to_struct({"a": 1}), external_id="x-1", user_attributes={"u": "v"})
    shown = Job.FromString(made.request)
    assert (shown.contract_type, shown.actor, shown.trigger) == (
        "deposit",
        "the museum",
        "upload",
    )
    assert (shown.workflow.template_id, shown.workflow.template_revision) == (7, 3)
    assert shown.workflow.template_description == "In it goes."
    assert shown.spec.variables == to_struct({"a": 1})
    assert not shown.spec.external_id  # It is shown from the attributes, of the first only.
    assert shown.dataflow.user_attributes == shown.spec.user_attributes == {"u": "v"}


def test_what_jobs_are_filtered_by_is_kept_as_json() -> None:
    made = job(request_id="r-1", external_id="x-1", options=pb.Options(labels={"k": "v"}))
    assert json.loads(made.attributes) == {
        "contract": "museum",
        "action": "ingest",
        "trigger": "upload",
        "contract_type": "deposit",
        "actor": "the museum",
        "external_id": "x-1",
        "template_id": 7,
        "template_name": "ingest v1",
        "template_revision": 3,
        "dfiid": text_of(made.id),
        "lcid": "r-1",
        "labels": {"k": "v"},
    }


def test_the_queue_of_a_job_is_its_own_then_that_of_the_contract() -> None:
    assert job().queue == "night"
    assert job(options=pb.Options(priority=1)).queue == "night"
    assert job(options=pb.Options(queue="default")).queue == "default"
    assert job(action="plain").queue == "default"


def test_an_external_id_is_one_of_a_contract_and_an_action() -> None:
    first = job(external_id="x", variables=to_struct({"a": 1})).external_key
    assert first == job(external_id="x").external_key
    assert first != job(external_id="y").external_key
    assert first != job(external_id="x", action="plain").external_key
    assert len(first) > 64  # so that no request id is ever the same
    assert job().external_key is None


@pytest.mark.parametrize("key", ["a\u00a0b", "\u200d", "\u00ad", "\ue000", "\u2028", "ü𝄞" * 32])
def test_an_external_id_has_any_characters(key: str) -> None:
    assert json.loads(job(external_id=key).attributes)["external_id"] == key


@pytest.mark.parametrize("key", ["\0", "a\nb", "\x1f", "\x7f", "\x80", "\x9f"])
def test_an_external_id_has_no_control_characters(key: str) -> None:
    with pytest.raises(InvalidFields) as raised:
        job(external_id=key)
    flaw = Violation("spec.external_id", "control characters are not allowed")
    assert raised.value.violations == (flaw,)


def test_a_repeated_job_is_known_by_what_was_asked_for() -> None:
    first = job(request_id="r", external_id="x")
    assert first.key == job(request_id="r", external_id="x").key
    assert first.key != job(request_id="r", external_id="y").key
    assert first.key != job(request_id="r", external_id="x", variables=to_struct({})).key


def launch(request_id: str = "", options: pb.Options | None = None, **spec: Any) -> Any:
    asked = SubmitLaunchRequest(spec=LaunchSpec(**spec), options=options, request_id=request_id)
    return submissions().launch(asked, Caller(request_id="from-the-call"), TRACE)


def test_a_launch_is_the_one_action_of_its_service() -> None:
    made = launch(service="rules", arguments=to_struct({"path": "a"}))
    assert (made.kind, made.steps, made.queue) == (Kind.LAUNCH, 0, "rulesets")
    assert made.actions == ("rules/digest",)
    assert made.attributes == '{"service":"rules"}'
    plan = Task.FromString(made.plan).spec
    assert (plan.service, plan.actions[0].action) == ("rules", "digest")
    assert plan.actions[0].arguments == to_struct({"path": "a"})
    assert Launch.FromString(made.request).spec.arguments == to_struct({"path": "a"})


@pytest.mark.parametrize(
    "options",
    [
        pb.Options(queue="default"),
        pb.Options(queue="operations"),
        pb.Options(fairness_key="a"),
    ],
)
def test_a_launch_stays_in_the_order_of_its_queue(options: pb.Options) -> None:
    with pytest.raises(LongshoreError, match="options"):
        launch(service="rules", options=options)
    assert launch(service="rules", options=pb.Options(queue="rulesets")).queue == "rulesets"
