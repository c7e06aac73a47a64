"""Events on the wire: what happened, from the small JSON that the log keeps of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status

from longshore.core.deliveries import Delivery
from longshore.core.events import Event, EventKind
from longshore.core.ids import text_of
from longshore.core.operations import State
from longshore.core.origins import Origin
from longshore.v1 import operation_pb2 as pb

Detail = dict[str, Any]

#: Of the field of `Event.detail` by the kind of the event, as histories are asked for.
DETAILS: Final = {
    "submitted": EventKind.SUBMITTED,
    "state_changed": EventKind.STATE_CHANGED,
    "cancel_requested": EventKind.CANCEL_REQUESTED,
    "action_changed": EventKind.ACTION_CHANGED,
    "progress": EventKind.PROGRESS,
    "log": EventKind.LOG,
    "property_set": EventKind.PROPERTY_SET,
    "file_added": EventKind.FILE_ADDED,
    "moved": EventKind.MOVED,
    "delivery_changed": EventKind.DELIVERY_CHANGED,
    "callback_sent": EventKind.CALLBACK_SENT,
    "expired": EventKind.EXPIRED,
}


def timestamp(milliseconds: int) -> Timestamp:
    """Return a time given in milliseconds since 1970."""
    seconds, rest = divmod(milliseconds, 1_000)
    return Timestamp(seconds=seconds, nanos=rest * 1_000_000)


def event_message(event: Event) -> pb.Event:
    """Return an event of an operation as callers see it, but for who brought it about."""
    message = pb.Event(
        revision=event.revision,
        time=timestamp(event.time),
        operation_id=text_of(event.id),
        kind=cast("pb.Kind.ValueType", event.operation_kind),
        state=cast("pb.State.ValueType", event.state),
    )
    detail: Detail = json.loads(event.detail) if event.detail else {}
    _TELL[event.kind](message, event, detail)
    return message


def origin_message(origin: Origin, tenant: str) -> pb.Origin:
    """Return who brought an event about, as callers see it."""
    return pb.Origin(
        principal=origin.principal,
        request_id=origin.request_id,
        address=origin.address,
        tenant=tenant,
    )


def _submitted(message: pb.Event, _event: Event, _detail: Detail) -> None:
    message.submitted.SetInParent()


#: Where an operation was before, where the log leaves out what goes without saying.
_BEFORE: Final[dict[int, pb.State.ValueType]] = {
    State.RUNNING: pb.STATE_QUEUED,
    State.SUCCEEDED: pb.STATE_RUNNING,
}


def _state_changed(message: pb.Event, event: Event, detail: Detail) -> None:
    before = detail.get("from")
    changed = pb.StateChanged(
        from_state=_state(before) if before else _BEFORE.get(event.state, pb.STATE_UNSPECIFIED),
        to_state=message.state,
        attempt=detail.get("attempt", 0),
        worker=detail.get("worker", ""),
        message=detail.get("message", ""),
    )
    error = detail.get("error")
    if error is not None:
        changed.error.CopyFrom(Status(code=error["code"], message=error["message"]))
        changed.message = changed.message or error["message"]
    if "not_before" in detail:
        changed.not_before.CopyFrom(timestamp(detail["not_before"]))
    message.state_changed.CopyFrom(changed)


def _state(name: str) -> pb.State.ValueType:
    return pb.State.Value(f"STATE_{name}")


def _cancel_requested(message: pb.Event, _event: Event, detail: Detail) -> None:
    message.cancel_requested.SetInParent()
    message.cancel_requested.message = detail.get("message", "")
    message.cancel_requested.force = detail.get("force", False)


def _action_changed(message: pb.Event, _event: Event, detail: Detail) -> None:
    action = pb.ActionStatus(action=detail["action"], state=_state(detail["state"]))
    if "start_time" in detail:
        action.start_time.CopyFrom(timestamp(detail["start_time"]))
    if "end_time" in detail:
        action.end_time.CopyFrom(timestamp(detail["end_time"]))
    message.action_changed.CopyFrom(pb.ActionChanged(index=detail["index"], action=action))


def _progress(message: pb.Event, _event: Event, detail: Detail) -> None:
    message.progress.CopyFrom(pb.Progress(**detail))


def _log(message: pb.Event, event: Event, detail: Detail) -> None:
    entry = pb.LogEntry(
        kind=pb.LogKind.Value(f"LOG_KIND_{detail['kind']}"),
        message=detail["message"],
        time=timestamp(event.time),
    )
    began = detail.get("start_time")
    if began is not None:
        elapsed = max(0, event.time - began)
        span = Duration(seconds=elapsed // 1_000, nanos=elapsed % 1_000 * 1_000_000)
        entry.elapsed.CopyFrom(span)
    message.log.CopyFrom(entry)


def _property_set(message: pb.Event, _event: Event, detail: Detail) -> None:
    message.property_set.CopyFrom(pb.PropertySet(name=detail["name"], value=detail["value"]))


def _moved(message: pb.Event, _event: Event, detail: Detail) -> None:
    moved = pb.Moved(
        from_queue=detail["from"], to_queue=detail["to"], priority=detail["priority"]
    )
    message.moved.CopyFrom(moved)


def _file_added(message: pb.Event, _event: Event, detail: Detail) -> None:
    message.file_added.CopyFrom(pb.FileAdded(file=pb.File(**detail)))


def delivery_message(delivery: Delivery) -> pb.Delivery:
    """Return how far a result is, as callers see it."""
    shown = pb.Delivery(
        mode=cast("pb.DeliveryMode.ValueType", delivery.way),
        stream=delivery.stream,
        state=cast("pb.DeliveryState.ValueType", delivery.stage),
    )
    if delivery.retrieve_time is not None:
        shown.retrieve_time.CopyFrom(timestamp(delivery.retrieve_time))
    return shown


def _delivery_changed(message: pb.Event, _event: Event, detail: Detail) -> None:
    delivery = Delivery(
        detail["mode"],
        detail["state"],
        detail.get("stream", ""),
        detail.get("retrieve_time"),
    )
    message.delivery_changed.CopyFrom(pb.DeliveryChanged(delivery=delivery_message(delivery)))


def _callback_sent(message: pb.Event, _event: Event, detail: Detail) -> None:
    message.callback_sent.SetInParent()
    message.callback_sent.given_up = detail.get("given_up", False)
    message.callback_sent.attempts = detail["attempts"]
    message.callback_sent.message = detail.get("message", "")


def _expired(message: pb.Event, _event: Event, _detail: Detail) -> None:
    message.expired.SetInParent()


_TELL: Final[dict[int, Callable[[pb.Event, Event, Detail], None]]] = {
    EventKind.SUBMITTED: _submitted,
    EventKind.STATE_CHANGED: _state_changed,
    EventKind.CANCEL_REQUESTED: _cancel_requested,
    EventKind.ACTION_CHANGED: _action_changed,
    EventKind.PROGRESS: _progress,
    EventKind.LOG: _log,
    EventKind.PROPERTY_SET: _property_set,
    EventKind.FILE_ADDED: _file_added,
    EventKind.MOVED: _moved,
    EventKind.DELIVERY_CHANGED: _delivery_changed,
    EventKind.CALLBACK_SENT: _callback_sent,
    EventKind.EXPIRED: _expired,
}
