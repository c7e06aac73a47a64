from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.rpc.status_pb2 import Status

from longshore.core.changes import Mode
from longshore.core.deliveries import Delivery, Stage, Way
from longshore.core.events import Event, EventKind, detail
from longshore.core.leasing import StepState
from longshore.core.operations import (
    Cancel,
    Facts,
    Glance,
    Kind,
    Operation,
    Part,
    Record,
    State,
)
from longshore.core.store import Catalog
from longshore.server import wire
from longshore.server.directory import Directory
from longshore.server.events import event_message
from longshore.server.glances import brief
from longshore.server.messages import Messages
from longshore.server.structs import to_struct
from longshore.v1 import operation_pb2 as pb
from longshore.v1.job_service_pb2 import Dataflow, Job, JobSpec, Workflow
from longshore.v1.launch_service_pb2 import Launch, LaunchSpec
from longshore.v1.task_service_pb2 import Task, TaskSpec

NOW = 1_750_000_000_123
ID = bytes.fromhex("0198c2d400007000800000000000000f")


def messages() -> Messages:
    catalog = Catalog(1, 0, Mode.ACTIVE, True, {}, {}, {}, {}, {}, {})
    return Messages(Directory(cast("Any", SimpleNamespace(current=catalog))))


def operation(**fields: Any) -> Operation:
    new = Operation(
        number=7,
        id=ID,
        tenant="default",
        kind=1,
        state=State.QUEUED,
        lane=1,
        priority=0,
        position=7,
        attempt=0,
        step=0,
        steps=0,
        session=None,
        worker=None,
        token=0,
        reports=0,
        cancel=Cancel.NO,
        wake_time=None,
        revision=12,
        start_time=None,
        update_time=NOW,
        end_time=None,
        policy=None,
        message=None,
        concurrency_key=None,
        fairness_key=None,
    )
    return new._replace(**fields)


def shown(spec: TaskSpec, *, full: bool = True, **fields: Any) -> Task:
    documents: dict[int, bytes] = fields.pop("documents", {})
    options = pb.Options(queue="night", priority=5, labels={"a": "b"})
    documents[Part.REQUEST] = Task(spec=spec, options=options).SerializeToString()
    facts = Facts("ada", "r-1", NOW - 5, None, '{"labels":{"a":"b"}}')
    record = Record(operation(**fields), facts, "day", documents)
    return Task.FromString(messages().operation(record, full=full))


ONE = TaskSpec(actions=[pb.ActionCall(action="noop")])
TWO = TaskSpec(
    actions=[pb.ActionCall(action="a", results=["x"]), pb.ActionCall(action="b")],
)


def test_a_task_is_its_request_and_what_became_of_it() -> None:
    task = shown(ONE)
    assert task.spec == ONE
    assert task.metadata.id == "0198c2d4-0000-7000-8000-00000000000f"
    assert (task.metadata.number, task.metadata.submitter) == (7, "ada")
    assert task.metadata.labels == {"a": "b"}
    assert task.metadata.create_time.ToMilliseconds() == NOW - 5
    assert task.status.update_time.ToMilliseconds() == NOW
    assert (task.status.state, task.status.revision) == (pb.STATE_QUEUED, 12)


def test_queue_and_priority_are_those_of_now() -> None:
    options = shown(ONE).options
    assert (options.queue, options.priority) == ("day", 0)
    assert options.labels == {"a": "b"}


def record(kind: Kind, request: Message, plan: TaskSpec, attributes: str) -> Record:
    documents = {
        int(Part.REQUEST): request.SerializeToString(),
        int(Part.PLAN): Task(spec=plan).SerializeToString(),
    }
    facts = Facts("ada", "r-1", NOW, None, attributes)
    row = operation(kind=kind, steps=2 if kind == Kind.JOB else 0)
    return Record(row, facts, "night", documents)


def test_a_job_is_its_request_and_what_tells_it_from_others() -> None:
    request = Job(
        spec=JobSpec(contract="museum", action="ingest", variables=to_struct({"a": 1})),
        options=pb.Options(priority=3),
        trigger="upload",
        workflow=Workflow(template_id=7),
        dataflow=Dataflow(user_attributes={"u": "v"}),
    )
    attributes = '{"external_id":"x","dfiid":"d","lcid":"l"}'
    kept = record(Kind.JOB, request, TWO, attributes)
    job = Job.FromString(messages().operation(kept, full=True))
    assert (job.spec.contract, job.spec.external_id) == ("museum", "x")
    assert job.spec.variables == to_struct({"a": 1})
    assert (job.workflow.template_id, job.workflow.id) == (7, job.metadata.id)
    assert (job.dataflow.dfiid, job.dataflow.lcid) == ("d", "l")
    assert job.dataflow.user_attributes == {"u": "v"}
    assert (job.options.queue, job.options.priority) == ("night", 0)
    assert [one.action for one in job.status.actions] == ["a", "b"]
    basic = Job.FromString(messages().operation(kept, full=False))
    assert not basic.spec.HasField("variables")
    assert (basic.spec.external_id, basic.trigger) == ("x", "upload")
    assert len(basic.status.actions) == 2


def test_a_launch_is_its_request_and_shows_its_one_action() -> None:
    request = Launch(spec=LaunchSpec(service="rules", arguments=to_struct({"a": 1})))
    plan = TaskSpec(service="rules", actions=[pb.ActionCall(action="check")])
    kept = record(Kind.LAUNCH, request, plan, '{"service":"rules"}')
    launch = Launch.FromString(messages().operation(kept, full=True))
    assert launch.spec == request.spec
    assert launch.metadata.kind == pb.KIND_LAUNCH
    assert [one.action for one in launch.status.actions] == ["check"]
    basic = Launch.FromString(messages().operation(kept, full=False))
    assert basic.spec == LaunchSpec(service="rules")


def test_a_result_is_shown_in_full_only() -> None:
    ended: dict[str, Any] = {
        "state": State.SUCCEEDED,
        "start_time": NOW,
        "end_time": NOW,
        "wake_time": NOW + 9,
    }
    result = to_struct({"x": 1}).SerializeToString()
    full = shown(ONE, documents={Part.RESULT: result}, **ended)
    assert full.status.result["x"] == 1
    assert full.status.actions[0].results["x"] == 1
    assert full.status.expire_time.ToMilliseconds() == NOW + 9
    basic = shown(ONE, full=False, documents={Part.RESULT: result}, **ended)
    assert not basic.status.HasField("result")
    assert not basic.status.actions[0].HasField("results")


def test_steps_show_how_far_a_plan_is() -> None:
    done = StepState(State.SUCCEEDED, NOW, NOW + 100, {"x": 1, "y": 2}).encode()
    running: dict[str, Any] = {"state": State.RUNNING, "step": 1, "steps": 2, "start_time": NOW}
    first, second = shown(TWO, documents={Part.STEPS: done}, **running).status.actions
    assert (first.state, second.state) == (pb.STATE_SUCCEEDED, pb.STATE_RUNNING)
    assert dict(first.results) == {"x": 1}
    assert second.start_time.ToMilliseconds() == NOW + 100
    held = shown(TWO, state=State.SUSPENDED, steps=2).status.actions
    assert [one.state for one in held] == [pb.STATE_QUEUED, pb.STATE_QUEUED]


def test_the_results_of_many_steps_leave_room_in_the_message() -> None:
    spec = TaskSpec(actions=[pb.ActionCall(action="a")] * 3)
    step = StepState(State.SUCCEEDED, NOW, NOW, {"x": "y" * 400_000}).encode()
    documents = {Part.STEPS + index: step for index in range(3)}
    task = shown(spec, documents=documents, step=3, steps=3, state=State.SUCCEEDED)
    assert [one.HasField("results") for one in task.status.actions] == [True, False, False]


def test_progress_and_properties_are_shown_and_an_end_is_guessed() -> None:
    activity = b'{"progress":{"done":1.0,"total":4.0,"unit":"boxes"},"logs":3}'
    task = shown(
        ONE,
        documents={Part.ACTIVITY: activity, Part.PROPERTIES: b'{"k":"v"}'},
        state=State.RUNNING,
        start_time=NOW - 1_000,
    )
    assert task.status.progress == pb.Progress(done=1, total=4, unit="boxes")
    assert task.status.properties == {"k": "v"}
    assert task.status.estimated_end_time.ToMilliseconds() == NOW + 3_000


def test_a_look_up_is_short() -> None:
    error = Status(code=13, message="é" * 100).SerializeToString()
    failed = Glance(7, ID, 1, State.FAILED, 0, NOW, NOW, NOW, NOW, NOW + 1, None)
    delivery = Delivery(Way.CHANNEL, Stage.FAILED, "ada").encode()
    task = Task.FromString(brief(failed, {Part.ERROR: error, Part.DELIVERY: delivery}))
    assert task.status.error.message == "é" * 50
    assert task.metadata.id.endswith("0f")
    assert not task.HasField("spec")
    assert task.status.delivery.state == pb.DELIVERY_STATE_FAILED
    assert not task.status.delivery.stream


def told(kind: EventKind, after: State = State.RUNNING, /, **members: object) -> pb.Event:
    event = Event(3, 7, kind, after, NOW, detail(**members), ID, "default", 1)
    return event_message(event)


def test_events_say_what_goes_without_saying_in_the_log() -> None:
    leased = told(EventKind.STATE_CHANGED, attempt=2, worker="w").state_changed
    assert (leased.from_state, leased.to_state) == (pb.STATE_QUEUED, pb.STATE_RUNNING)
    assert (leased.attempt, leased.worker) == (2, "w")
    done = told(EventKind.STATE_CHANGED, State.SUCCEEDED).state_changed
    assert done.from_state == pb.STATE_RUNNING
    error = {"code": 4, "message": "late"}
    failed = told(EventKind.STATE_CHANGED, State.FAILED, **{"from": "RUNNING"}, error=error)
    assert (failed.state_changed.error.code, failed.state_changed.message) == (4, "late")


@pytest.mark.parametrize("kind", [one for one in EventKind if one < EventKind.SESSION])
def test_every_kind_of_event_has_its_detail(kind: EventKind) -> None:
    members: dict[EventKind, dict[str, object]] = {
        EventKind.ACTION_CHANGED: {"index": 0, "action": "a", "state": "SUCCEEDED"},
        EventKind.LOG: {"kind": "OUTPUT", "message": "m", "start_time": NOW - 1_500},
        EventKind.PROPERTY_SET: {"name": "a", "value": "b"},
        EventKind.PROGRESS: {"done": 1.0},
        EventKind.FILE_ADDED: {"file_id": "a", "path": "b", "size": 3},
        EventKind.MOVED: {"from": "day", "to": "night", "priority": 3},
        EventKind.DELIVERY_CHANGED: {"mode": Way.STORE, "state": Stage.PENDING},
        EventKind.CALLBACK_SENT: {"attempts": 2},
    }
    event = told(kind, **members.get(kind, {}))
    assert event.WhichOneof("detail") == kind.name.lower()
    if kind == EventKind.LOG:
        assert event.log.elapsed.ToMilliseconds() == 1_500


@pytest.mark.parametrize("number", [0, 1, 127, 128, 16_383, 16_384, 2**31, 2**62])
def test_numbers_are_encoded_as_protobuf_does(number: int) -> None:
    encoded = wire.number(pb.Status.REVISION_FIELD_NUMBER, number)
    assert pb.Status.FromString(encoded).revision == number


@pytest.mark.parametrize("milliseconds", [0, 1, 999, 1_000, NOW, 253_402_300_799_999])
def test_times_are_encoded_as_protobuf_does(milliseconds: int) -> None:
    encoded = wire.time(pb.Status.END_TIME_FIELD_NUMBER, milliseconds)
    assert pb.Status.FromString(encoded).end_time.ToMilliseconds() == milliseconds
    assert wire.time(9, None) == b""


def test_an_empty_part_is_there() -> None:
    assert pb.Status.FromString(wire.part(15, b"")).HasField("result")
    assert pb.Status.FromString(wire.part(15, b"")).result == Struct()
