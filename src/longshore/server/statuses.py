"""Statuses: where an operation stands, from its row and its documents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, cast

from longshore.core.deliveries import Delivery
from longshore.core.leasing import StepState
from longshore.core.operations import Operation, Part, State
from longshore.server import structs, wire
from longshore.server.events import delivery_message
from longshore.v1 import operation_pb2 as pb
from longshore.v1.task_service_pb2 import TaskSpec

Documents = Mapping[int, bytes]

#: Of all results of steps together, so that an operation fits into one message.
_STEP_RESULTS_BYTES: Final = 512 * 1024
_STEP_ERROR_BYTES: Final = 64 * 1024

_Status, _Action = pb.Status, pb.ActionStatus
_LAST_TIME: Final = 253_402_300_799_000  #: Of the year 9999, in milliseconds since 1970.


def status_bytes(
    operation: Operation, documents: Documents, spec: TaskSpec | None, *, full: bool
) -> bytes:
    """Return an encoded `Status`; without a spec the steps are left out."""
    pieces = [
        _head(operation.state, operation.cancel, operation.attempt, operation.worker),
        wire.number(_Status.REVISION_FIELD_NUMBER, operation.revision),
        wire.time(_Status.UPDATE_TIME_FIELD_NUMBER, operation.update_time),
    ]
    if operation.message:
        pieces.append(wire.part(_Status.MESSAGE_FIELD_NUMBER, operation.message.encode()))
    if operation.start_time is not None:
        pieces.append(wire.time(_Status.START_TIME_FIELD_NUMBER, operation.start_time))
    if operation.end_time is not None:
        pieces.append(wire.time(_Status.END_TIME_FIELD_NUMBER, operation.end_time))
        pieces.append(wire.time(_Status.EXPIRE_TIME_FIELD_NUMBER, operation.wake_time))
    if documents:
        pieces += _outcome(documents, full=full)
        pieces += _handed_over(documents)
        pieces.append(_activity(operation, documents))
    if spec is not None:
        steps = _Steps(operation, documents, full=full).of(spec)
        pieces.append(wire.parts(_Status.ACTIONS_FIELD_NUMBER, steps))
    return b"".join(pieces)


@lru_cache(maxsize=4_096)
def _head(state: int, cancel: int, attempt: int, worker: str | None) -> bytes:
    """Return what many operations have in common."""
    return pb.Status(
        state=cast("pb.State.ValueType", state),
        cancel_requested=cancel != 0,
        attempt=attempt,
        worker=worker or "",
    ).SerializeToString()


def _outcome(documents: Documents, *, full: bool) -> Iterator[bytes]:
    result, error = documents.get(Part.RESULT), documents.get(Part.ERROR)
    if result is not None and full and Part.DELIVERY not in documents:
        yield wire.part(_Status.RESULT_FIELD_NUMBER, result)
    if error is not None:
        yield wire.part(_Status.ERROR_FIELD_NUMBER, error)


def _handed_over(documents: Documents) -> Iterator[bytes]:
    """Yield what there is besides the result: its delivery, and files."""
    delivery, files = documents.get(Part.DELIVERY), documents.get(Part.FILES)
    if delivery is not None:
        yield delivery_bytes(delivery)
    if files is not None:
        shown_files = [pb.File(**one).SerializeToString() for one in json.loads(files)]
        yield wire.parts(_Status.FILES_FIELD_NUMBER, shown_files)


@lru_cache(maxsize=1_024)
def delivery_bytes(document: bytes) -> bytes:
    """Return how far a result is; many tasks of a stream have it in common."""
    shown = delivery_message(Delivery.decode(document)).SerializeToString()
    return wire.part(_Status.DELIVERY_FIELD_NUMBER, shown)


def _activity(operation: Operation, documents: Documents) -> bytes:
    """Return what the work itself has told."""
    properties, activity = documents.get(Part.PROPERTIES), documents.get(Part.ACTIVITY)
    if properties is None and activity is None:
        return b""
    status = pb.Status()
    if properties is not None:
        status.properties.update(json.loads(properties))
    progress = json.loads(activity).get("progress") if activity is not None else None
    if progress is not None:
        status.progress.CopyFrom(pb.Progress(**progress))
        end_time = _estimated_end_time(operation, progress)
        if end_time is not None:
            status.estimated_end_time.FromMilliseconds(end_time)
    return status.SerializeToString()


def _estimated_end_time(operation: Operation, progress: Mapping[str, Any]) -> int | None:
    """Return when the work would end if it went on as fast as it did."""
    done, total = progress.get("done", 0), progress.get("total", 0)
    start = operation.start_time
    if operation.state != State.RUNNING or start is None or not 0 < done <= total:
        return None
    elapsed = operation.update_time - start
    if elapsed <= 0:
        return None
    return int(min(start + elapsed * (total / done), _LAST_TIME))


class _Steps:
    """The steps of a plan; a single action is a plan of one."""

    def __init__(self, operation: Operation, documents: Documents, *, full: bool) -> None:
        self._operation = operation
        self._documents = documents
        self._room = _STEP_RESULTS_BYTES if full else 0
        self._began = operation.start_time

    def of(self, spec: TaskSpec) -> list[bytes]:
        """Return an encoded `ActionStatus` per step."""
        present = self._operation.step
        if self._operation.steps == 0:
            return [self._present(spec.actions[0])]
        return [
            self._ended(call, StepState.decode(self._documents[Part.STEPS + index]))
            if index < present
            else self._present(call)
            if index == present
            else _encoded(call.action, pb.STATE_QUEUED)
            for index, call in enumerate(spec.actions)
        ]

    def _ended(self, call: pb.ActionCall, step: StepState) -> bytes:
        if self._began is not None:
            self._began = max(self._began, step.end_time)
        encoded = _encoded(call.action, step.state)
        encoded += wire.time(_Action.START_TIME_FIELD_NUMBER, step.start_time)
        encoded += wire.time(_Action.END_TIME_FIELD_NUMBER, step.end_time)
        return encoded + (self._results(_kept(call, step)) if self._room else b"")

    def _present(self, call: pb.ActionCall) -> bytes:
        """Return the step that is next, under way, or the one at which all ended."""
        operation = self._operation
        state = operation.state if operation.state != State.SUSPENDED else State.QUEUED
        encoded = _encoded(call.action, state)
        if self._began is not None:
            encoded += wire.time(_Action.START_TIME_FIELD_NUMBER, self._began)
        if operation.end_time is not None:
            encoded += wire.time(_Action.END_TIME_FIELD_NUMBER, operation.end_time)
            encoded += self._outcome()
        return encoded

    def _outcome(self) -> bytes:
        result, error = self._documents.get(Part.RESULT), self._documents.get(Part.ERROR)
        if Part.DELIVERY in self._documents:
            result = None
        encoded = b"" if result is None else self._results(result)
        if error is not None and len(error) <= _STEP_ERROR_BYTES:
            encoded += wire.part(_Action.ERROR_FIELD_NUMBER, error)
        return encoded

    def _results(self, document: bytes) -> bytes:
        if len(document) > self._room:
            return b""
        self._room -= len(document)
        return wire.part(_Action.RESULTS_FIELD_NUMBER, document)


@lru_cache(maxsize=4_096)
def _encoded(action: str, state: int) -> bytes:
    shown = pb.ActionStatus(action=action, state=cast("pb.State.ValueType", state))
    return shown.SerializeToString()


def _kept(call: pb.ActionCall, step: StepState) -> bytes:
    """Return those of the results that the plan keeps; all if it names none."""
    kept = set(call.results) or step.results.keys()
    results = {name: value for name, value in step.results.items() if name in kept}
    return structs.to_struct(results).SerializeToString()
