"""Messages: operations as callers see them.

An operation is shown as the request that was stored, with what has become of it joined on as
bytes; it is taken apart only where something must be left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

from longshore.core import deliveries
from longshore.core.changes import Submit, Submitted
from longshore.core.ids import text_of
from longshore.core.operations import Kind, Part, Record
from longshore.server import passwords, wire
from longshore.server.directory import Directory
from longshore.server.identities import metadata_bytes
from longshore.server.statuses import delivery_bytes, status_bytes
from longshore.v1 import operation_pb2 as pb
from longshore.v1.job_service_pb2 import Dataflow, Job, JobSpec, SubmitJobRequest, Workflow
from longshore.v1.launch_service_pb2 import Launch, SubmitLaunchRequest
from longshore.v1.task_service_pb2 import SubmitTaskRequest, SubmitTaskResponse, Task, TaskSpec

Submission: TypeAlias = SubmitTaskRequest | SubmitJobRequest | SubmitLaunchRequest

FULL_PARTS: Final = tuple(part for part in Part if part is not Part.CONTEXT)
BASIC_PARTS: Final = tuple(part for part in FULL_PARTS if part is not Part.RESULT)

# Tasks, jobs and launches, and the answers about them, have these in the same places.
_METADATA, _OPTIONS = Task.METADATA_FIELD_NUMBER, Task.OPTIONS_FIELD_NUMBER
_STATUS: Final = Task.STATUS_FIELD_NUMBER
_SUBMITTED: Final = SubmitTaskResponse.TASK_FIELD_NUMBER
_WAS_CREATED: Final = wire.number(SubmitTaskResponse.CREATED_FIELD_NUMBER, 1)

_QUEUE, _PRIORITY = pb.Options.QUEUE_FIELD_NUMBER, pb.Options.PRIORITY_FIELD_NUMBER

_REVISION_TAG: Final = wire.number(pb.Status.REVISION_FIELD_NUMBER, 0)[:-1]
_NO_LABELS: Final[Mapping[str, str]] = {}

_read_task = Task.FromString
_read_job = Job.FromString
_read_launch = Launch.FromString


def parts_of(*, full: bool) -> tuple[Part, ...]:
    """Return the documents that showing an operation takes."""
    return FULL_PARTS if full else BASIC_PARTS


class Messages:
    """Shows operations, without what workers declared to be passwords."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._show = {Kind.TASK: self._task, Kind.JOB: self._job, Kind.LAUNCH: self._launch}

    def operation(self, record: Record, *, full: bool) -> bytes:
        """Return an encoded `Task`, `Job` or `Launch`; without `full` that of `VIEW_BASIC`."""
        return self._show[Kind(record.operation.kind)](record, full)

    def _task(self, record: Record, full: bool) -> bytes:
        document = record.documents[Part.REQUEST]
        task = _read_task(document)
        spec, offers = task.spec, self._directory.offers(record.operation.tenant)
        changed = not full
        if full:
            secret = passwords.secret_paths(spec.actions, spec.service, offers)
            changed = passwords.hide(spec.context, secret)
        else:
            _leave_out_payload(spec)
        if passwords.hide_in_calls(spec.actions, spec.service, offers) or changed:
            document = task.SerializeToString()
        return document + _rest(record, spec, task.options, full=full)

    def _job(self, record: Record, full: bool) -> bytes:
        document, plan = record.documents[Part.REQUEST], _plan_of(record)
        job = _read_job(document)
        offers = self._directory.offers(record.operation.tenant)
        changed = not full
        if full:
            secret = passwords.secret_paths(plan.actions, plan.service, offers)
            changed = passwords.hide(job.spec.variables, secret)
        else:
            job.spec.ClearField("variables")
        if changed:
            document = job.SerializeToString()
        return document + _of_job(record) + _rest(record, plan, job.options, full=full)

    def _launch(self, record: Record, full: bool) -> bytes:
        document, plan = record.documents[Part.REQUEST], _plan_of(record)
        launch = _read_launch(document)
        offers = self._directory.offers(record.operation.tenant)
        changed = not full
        if full:
            arguments, action = launch.spec.arguments, plan.actions[0].action
            changed = passwords.hide_arguments(arguments, plan.service, action, offers)
        else:
            launch.spec.ClearField("arguments")
        if changed:
            document = launch.SerializeToString()
        return document + _rest(record, plan, launch.options, full=full)

    def accepted(self, change: Submit, outcome: Submitted, asked: Submission) -> bytes:
        """Return what was submitted just now as `operation` does, if possible unread."""
        operation = outcome.operation
        if not isinstance(asked, SubmitTaskRequest) or operation.steps:
            return self.operation(accepted_record(change, outcome), full=True)
        spec = asked.spec
        offers = self._directory.offers(operation.tenant)
        if passwords.any_passwords(spec.actions, spec.service, offers):
            return self.operation(accepted_record(change, outcome), full=True)
        action = spec.actions[0].action
        labels = asked.options.labels if asked.HasField("options") else _NO_LABELS
        return (
            change.request
            + wire.part(_METADATA, metadata_bytes(operation, outcome.facts, labels))
            + _moving_options(change.queue, operation.priority)
            + wire.part(
                _STATUS,
                _REVISION_TAG
                + wire.varint(operation.revision)
                + _accepted_status(operation.state, operation.update_time, action)
                + _accepted_delivery(change),
            )
        )


def accepted_record(change: Submit, outcome: Submitted) -> Record:
    """Return the record of what was submitted just now."""
    documents: dict[int, bytes] = {Part.REQUEST: change.request}
    if change.plan is not None:
        documents[Part.PLAN] = change.plan
    delivery = deliveries.at_first(change.policy, change.caller.stream_id)
    if delivery is not None:
        documents[Part.DELIVERY] = delivery
    return Record(outcome.operation, outcome.facts, change.queue, documents)


def submitted(operation: bytes, *, created: bool) -> bytes:
    """Return an encoded answer to a submit."""
    return wire.part(_SUBMITTED, operation) + (_WAS_CREATED if created else b"")


def _rest(record: Record, plan: TaskSpec, options: pb.Options, *, full: bool) -> bytes:
    """Return what an operation is besides its request."""
    operation = record.operation
    status = status_bytes(operation, record.documents, plan, full=full)
    return b"".join(
        (
            wire.part(_METADATA, metadata_bytes(operation, record.facts, options.labels)),
            _moving_options(record.queue, operation.priority),
            wire.part(_STATUS, status),
        )
    )


def _plan_of(record: Record) -> TaskSpec:
    """Return what workers run for a job or a launch."""
    return _read_task(record.documents[Part.PLAN]).spec


def _of_job(record: Record) -> bytes:
    """Return what tells a job from others that were asked for in the same words."""
    attributes: dict[str, Any] = json.loads(record.facts.attributes or "{}")
    workflow = Workflow(id=text_of(record.operation.id))
    dataflow = Dataflow(dfiid=attributes.get("dfiid", ""), lcid=attributes.get("lcid", ""))
    spec = JobSpec(external_id=attributes.get("external_id", ""))
    return Job(spec=spec, workflow=workflow, dataflow=dataflow).SerializeToString()


@lru_cache(maxsize=256)
def _accepted_status(state: int, update_time: int, action: str) -> bytes:
    """Return an encoded `Status`, but for its revision, of a single action not begun yet."""
    queued = pb.ActionStatus(action=action, state=pb.STATE_QUEUED)
    status = pb.Status(actions=[queued])
    status.state = cast("pb.State.ValueType", state)
    update = wire.time(pb.Status.UPDATE_TIME_FIELD_NUMBER, update_time)
    encoded: bytes = status.SerializeToString() + update
    return encoded


def _accepted_delivery(change: Submit) -> bytes:
    """Return how far a result is that nobody works on yet; nothing if it is not delivered."""
    if change.policy is None:
        return b""
    delivery = deliveries.at_first(change.policy, change.caller.stream_id)
    return b"" if delivery is None else delivery_bytes(delivery)


@lru_cache(maxsize=1_024)
def _moving_options(queue: str, priority: int) -> bytes:
    """Return what may be other than it was in the request, also if it is 0 now."""
    options = wire.part(_QUEUE, queue.encode()) + wire.number(_PRIORITY, priority)
    return wire.part(_OPTIONS, options)


def _leave_out_payload(spec: TaskSpec) -> None:
    spec.ClearField("context")
    for call in spec.actions:
        call.ClearField("arguments")
