"""Messages: operations as callers see them.

An operation is shown as the request that was stored, with what has become of it joined on as
bytes; it is taken apart only where something must be left out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, cast

from google.rpc.status_pb2 import Status

from longshore.core.changes import Submit, Submitted
from longshore.core.ids import text_of
from longshore.core.operations import Glance, Part, Record
from longshore.core.paths import Path
from longshore.server import wire
from longshore.server.directory import Directory
from longshore.server.paths import parse_value
from longshore.server.statuses import status_bytes
from longshore.v1 import operation_pb2 as pb
from longshore.v1.task_service_pb2 import SubmitTaskResponse, Task, TaskSpec

FULL_PARTS: Final = tuple(part for part in Part if part is not Part.CONTEXT)
BASIC_PARTS: Final = tuple(part for part in FULL_PARTS if part is not Part.RESULT)

_BRIEF_ERROR_BYTES: Final = 100

_METADATA, _OPTIONS = Task.METADATA_FIELD_NUMBER, Task.OPTIONS_FIELD_NUMBER
_STATUS: Final = Task.STATUS_FIELD_NUMBER
_QUEUE, _PRIORITY = pb.Options.QUEUE_FIELD_NUMBER, pb.Options.PRIORITY_FIELD_NUMBER
_ID_TAG: Final = wire.part(pb.Metadata.ID_FIELD_NUMBER, bytes(36))[:-36]
_NUMBER: Final = pb.Metadata.NUMBER_FIELD_NUMBER
_CREATE_TIME: Final = pb.Metadata.CREATE_TIME_FIELD_NUMBER
_REQUEST_ID: Final = pb.Metadata.REQUEST_ID_FIELD_NUMBER
_TASK: Final = SubmitTaskResponse.TASK_FIELD_NUMBER
_CREATED: Final = SubmitTaskResponse.CREATED_FIELD_NUMBER

_read_task = Task.FromString


def parts_of(*, full: bool) -> tuple[Part, ...]:
    """Return the documents that showing an operation takes."""
    return FULL_PARTS if full else BASIC_PARTS


class Messages:
    """Shows operations, without what workers declared to be passwords."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def task(self, record: Record, *, full: bool) -> bytes:
        """Return an encoded `Task`; without `full` that of `VIEW_BASIC`."""
        document = record.documents[Part.REQUEST]
        task = _read_task(document)
        hidden = self._hide_passwords(task.spec, record.operation.tenant)
        if not full:
            _leave_out_payload(task.spec)
        if hidden or not full:
            document = task.SerializeToString()
        return document + self._rest(record, task.spec, task.options, full=full)

    def _rest(
        self, record: Record, spec: TaskSpec, options: pb.Options, *, full: bool
    ) -> bytes:
        """Return what a task is besides its request."""
        status = status_bytes(record.operation, record.documents, spec, full=full)
        return b"".join(
            (
                wire.part(_METADATA, _metadata(record, options)),
                _moving_options(record.queue, record.operation.priority),
                wire.part(_STATUS, status),
            )
        )

    def accepted(
        self, change: Submit, outcome: Submitted, spec: TaskSpec, options: pb.Options
    ) -> bytes:
        """Return an encoded `Task` that was submitted just now, without reading it again."""
        operation, facts = outcome.operation, outcome.facts
        if operation.steps or self._has_passwords(spec, change.caller.tenant):
            documents: dict[int, bytes] = {Part.REQUEST: change.request}
            return self.task(Record(operation, facts, change.queue, documents), full=True)
        identity = _ID_TAG + text_of(operation.id).encode()
        metadata = identity + wire.number(_NUMBER, operation.number)
        metadata += _accepted_metadata(
            operation.kind,
            operation.tenant,
            facts.submitter,
            facts.create_time,
            facts.request_id,
        )
        if facts.attributes is not None and options.labels:
            metadata += pb.Metadata(labels=options.labels).SerializeToString()
        status = wire.number(pb.Status.REVISION_FIELD_NUMBER, operation.revision)
        status += _accepted_status(
            operation.state, operation.update_time, spec.actions[0].action
        )
        return b"".join(
            (
                change.request,
                wire.part(_METADATA, metadata),
                _moving_options(change.queue, operation.priority),
                wire.part(_STATUS, status),
            )
        )

    def _has_passwords(self, spec: TaskSpec, tenant: str) -> bool:
        passwords, service = self._directory.offers(tenant).passwords, spec.service
        return bool(passwords) and any(
            (service, one.action) in passwords for one in spec.actions
        )

    def _hide_passwords(self, spec: TaskSpec, tenant: str) -> bool:
        """Put null in the place of passwords; tell whether there were any."""
        passwords = self._directory.offers(tenant).passwords
        found = False
        for call in spec.actions if passwords else ():
            for name in passwords.get((spec.service, call.action), ()):
                found |= _hide(call, name)
        return found


def submitted(task: bytes, *, created: bool) -> bytes:
    """Return an encoded `SubmitTaskResponse`."""
    return wire.part(_TASK, task) + (wire.number(_CREATED, 1) if created else b"")


def brief(glance: Glance, error: bytes | None) -> bytes:
    """Return an encoded `Task` as look-ups of thousands show it, without what may be long."""
    time = wire.time
    metadata = _ID_TAG + text_of(glance.id).encode()
    metadata += time(_CREATE_TIME, glance.create_time)
    status = _brief_head(glance.state, glance.cancel)
    status += time(pb.Status.UPDATE_TIME_FIELD_NUMBER, glance.update_time)
    status += time(pb.Status.START_TIME_FIELD_NUMBER, glance.start_time)
    if glance.end_time is not None:
        status += time(pb.Status.END_TIME_FIELD_NUMBER, glance.end_time)
        status += time(pb.Status.EXPIRE_TIME_FIELD_NUMBER, glance.wake_time)
        if error is not None:
            status += wire.part(pb.Status.ERROR_FIELD_NUMBER, _brief_error(error))
    return wire.part(_METADATA, metadata) + wire.part(_STATUS, status)


@lru_cache(maxsize=64)
def _brief_head(state: int, cancel: int) -> bytes:
    head = pb.Status(cancel_requested=cancel != 0)
    head.state = cast("pb.State.ValueType", state)
    return head.SerializeToString()


def _brief_error(document: bytes) -> bytes:
    error = Status.FromString(document)
    message = error.message.encode()[:_BRIEF_ERROR_BYTES].decode(errors="ignore")
    cut: bytes = Status(code=error.code, message=message).SerializeToString()
    return cut


def _metadata(record: Record, options: pb.Options) -> bytes:
    operation, facts = record.operation, record.facts
    pieces = [
        _ID_TAG,
        text_of(operation.id).encode(),
        wire.number(_NUMBER, operation.number),
        _owner(operation.kind, operation.tenant, facts.submitter),
        wire.time(_CREATE_TIME, facts.create_time),
        wire.part(_REQUEST_ID, facts.request_id.encode()),
    ]
    if facts.attributes is not None and options.labels:
        pieces.append(pb.Metadata(labels=options.labels).SerializeToString())
    return b"".join(pieces)


# Within a call or a millisecond, what was accepted differs in little but its id.
@lru_cache(maxsize=64)
def _accepted_metadata(
    kind: int, tenant: str, submitter: str, create_time: int, request_id: str
) -> bytes:
    owner = _owner(kind, tenant, submitter)
    request = wire.part(_REQUEST_ID, request_id.encode())
    return owner + wire.time(_CREATE_TIME, create_time) + request


@lru_cache(maxsize=256)
def _accepted_status(state: int, update_time: int, action: str) -> bytes:
    """Return an encoded `Status`, but for its revision, of a single action not begun yet."""
    queued = pb.ActionStatus(action=action, state=pb.STATE_QUEUED)
    status = pb.Status(actions=[queued])
    status.state = cast("pb.State.ValueType", state)
    update = wire.time(pb.Status.UPDATE_TIME_FIELD_NUMBER, update_time)
    encoded: bytes = status.SerializeToString() + update
    return encoded


@lru_cache(maxsize=1_024)
def _owner(kind: int, tenant: str, submitter: str) -> bytes:
    metadata = pb.Metadata(tenant=tenant, submitter=submitter)
    metadata.kind = cast("pb.Kind.ValueType", kind)
    return metadata.SerializeToString()


@lru_cache(maxsize=1_024)
def _moving_options(queue: str, priority: int) -> bytes:
    """Return what may be other than it was in the request, also if it is 0 now."""
    options = wire.part(_QUEUE, queue.encode()) + wire.number(_PRIORITY, priority)
    return wire.part(_OPTIONS, options)


def _leave_out_payload(spec: TaskSpec) -> None:
    spec.ClearField("context")
    for call in spec.actions:
        call.ClearField("arguments")


def _hide(call: pb.ActionCall, name: str) -> bool:
    """Hide an argument, whether it is given as it is or as a quoted literal."""
    found = name in call.arguments.fields
    if found:
        call.arguments.fields[name].null_value = 0  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    text = call.argument_paths.get(name)
    if text is not None and not isinstance(parse_value(text), Path):
        call.argument_paths[name] = "''"
        found = True
    return found
