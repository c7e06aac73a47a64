"""Operations and events in words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2
from rich.filesize import decimal

from longshore.client import from_struct
from longshore.client.errors import Failure, read_failure
from longshore.client.handles import state_name
from longshore.v1.operation_pb2 import (
    ActionChanged,
    CallbackSent,
    Delivery,
    DeliveryState,
    Event,
    File,
    LogEntry,
    LogKind,
    Progress,
    State,
    StateChanged,
)
from longshore.v1.task_service_pb2 import Task

#: How states look on a terminal.
STATE_STYLES: Final = {
    "SUCCEEDED": "green",
    "FAILED": "red",
    "CANCELED": "yellow",
    "RUNNING": "cyan",
}

#: The media type of results that are no files.
JSON_TYPE: Final = "application/json"

#: What a delivery has come to; braces hold who keeps the result.
_DELIVERY_WORDS: Final = {
    DeliveryState.DELIVERY_STATE_NONE: "result will go to {}",
    DeliveryState.DELIVERY_STATE_PENDING: "result is on its way to {}",
    DeliveryState.DELIVERY_STATE_ONGOING: "result can be fetched",
    DeliveryState.DELIVERY_STATE_COMPLETE: "{} holds the result",
    DeliveryState.DELIVERY_STATE_FAILED: "{} cannot hold the result",
}


def moment(time: Timestamp) -> str:
    """Return a time of the local zone to the millisecond; empty if unset."""
    if not time.ListFields():
        return ""
    local = time.ToDatetime(tzinfo=UTC).astimezone()
    return local.replace(tzinfo=None).isoformat(" ", "milliseconds")


def age(time: Timestamp) -> str:
    """Return how long ago something was: `45s`, `3m`, `7h`, `12d`."""
    if not time.ListFields():
        return ""
    seconds = max((datetime.now(UTC) - time.ToDatetime(tzinfo=UTC)).total_seconds(), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"


def span(duration: Duration) -> str:
    return f"{duration.ToTimedelta().total_seconds():g} s" if duration.ListFields() else ""


def origin(event: Event) -> str:
    """Say who brought an event about: `ada@10.0.0.7`, or `-` for the server itself."""
    return "@".join(filter(None, (event.origin.principal, event.origin.address))) or "-"


def happened(event: Event) -> str:
    """Say what happened in a few words."""
    match event.WhichOneof("detail"):
        case "submitted":
            return "submitted"
        case "state_changed":
            return _state_changed(event.state_changed)
        case "cancel_requested":
            return _reasoned("cancel requested", event.cancel_requested.message)
        case "action_changed":
            return _action_changed(event.action_changed)
        case "progress":
            return progress(event.progress)
        case "log":
            return log_line(event.log)
        case "property_set":
            return f"{event.property_set.name} = {event.property_set.value}"
        case "file_added":
            return f"file {about_file(event.file_added.file)}"
        case "moved":
            return f"moved to {event.moved.to_queue}, priority {event.moved.priority}"
        case "delivery_changed":
            return f"delivery {delivery(event.delivery_changed.delivery)}"
        case "callback_sent":
            return _callback_sent(event.callback_sent)
        case "expired":
            return "expired"
        case _:
            return ""


def _state_changed(change: StateChanged) -> str:
    text = ""
    if change.to_state == State.STATE_RUNNING:
        text = f"attempt {change.attempt} on {change.worker}"
    elif change.from_state == State.STATE_RUNNING and change.to_state == State.STATE_QUEUED:
        text = f"attempt {change.attempt} is over, the next follows"
        if change.HasField("not_before"):
            text += f" at {moment(change.not_before)}"
    why = change.error.message if change.HasField("error") else change.message
    return _reasoned(text, why)


def _action_changed(change: ActionChanged) -> str:
    action = change.action
    word = {
        State.STATE_RUNNING: "started",
        State.STATE_SUCCEEDED: "done",
        State.STATE_FAILED: "failed",
    }.get(action.state, state_name(action.state).lower())
    return _reasoned(f"{action.action} {word}", action.error.message)


def _callback_sent(sent: CallbackSent) -> str:
    word = "given up" if sent.given_up else "answered"
    attempts = f" after {sent.attempts} attempts" if sent.attempts > 1 else ""
    return _reasoned(f"callback {word}{attempts}", sent.message)


def delivery(how_far: Delivery) -> str:
    """Say how far a result is on its way: `COMPLETE: the store holds the result`."""
    name = DeliveryState.Name(how_far.state).removeprefix("DELIVERY_STATE_")
    if how_far.HasField("retrieve_time"):
        return f"{name}: acknowledged at {moment(how_far.retrieve_time)}"
    holder = f"channel {how_far.stream}" if how_far.stream else "the store"
    return f"{name}: {_DELIVERY_WORDS.get(how_far.state, '').format(holder)}"


def about_file(file: File) -> str:
    """Say what there is to know of a file at a glance: `a/b.pdf, 3.1 kB, application/pdf`."""
    return ", ".join(filter(None, (file.path, decimal(file.size), file.content_type)))


def leaves_files(task: Task, content_type: str) -> bool:
    """Whether a task made files that are not its result: removing that would remove them."""
    return bool(task.status.files) and content_type == JSON_TYPE


def files_remain(task: Task) -> str:
    number = task.metadata.number
    return (
        f"not acknowledged: first `longshore download {number}` downloads the files that it "
        f"made, then `longshore ack {number}` removes them and the result"
    )


def _reasoned(text: str, why: str) -> str:
    return ": ".join(part for part in (text, why) if part)


def log_line(entry: LogEntry) -> str:
    return f"{LogKind.Name(entry.kind).removeprefix('LOG_KIND_').lower()}: {entry.message}"


def progress(how_far: Progress) -> str:
    """Say how far work is: `40 %, 4/10 files, reading`."""
    parts = [amount(how_far), how_far.message]
    if how_far.total > 0:
        parts.insert(0, f"{min(how_far.done / how_far.total, 1):.0%}".replace("%", " %"))
    return ", ".join(part for part in parts if part)


def amount(how_far: Progress) -> str:
    """Return how much is done, of how much: `4/10 files`; empty if nobody said."""
    if not how_far.ListFields():
        return ""
    if how_far.unit == "bytes":
        done, total = decimal(int(how_far.done)), decimal(int(how_far.total))
        return f"{done}/{total}" if how_far.total else done
    total = f"/{how_far.total:g}" if how_far.total else ""
    return f"{how_far.done:g}{total} {how_far.unit}".rstrip()


def failure_lines(error: status_pb2.Status) -> list[str]:
    """Say why work failed: the error, then its causes, each indented below what it caused."""
    return _failure_lines(read_failure(error), "")


def _failure_lines(failure: Failure, indent: str) -> list[str]:
    facts = "".join(f" {name}={value}" for name, value in sorted(failure.metadata.items()))
    reason = f" [{failure.reason or failure.code.name}{facts}]"
    lines = [f"{indent}{failure.message}{reason}"]
    for cause in failure.causes:
        lines += _failure_lines(cause, f"{indent}  ")
    return lines


def struct_text(struct: Struct, *, indent: int | None = None) -> str:
    """Return free-form data as JSON, with its keys in order."""
    return json.dumps(from_struct(struct), ensure_ascii=False, indent=indent, sort_keys=True)
