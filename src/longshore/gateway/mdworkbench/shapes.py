"""Shapes: what is shown of launches, services and the server; the same in JSON and XML.

Everything here is a function of messages and of where the dialect stands, so that callbacks
show launches as a GET does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import quote

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from longshore.client.values import from_struct
from longshore.gateway.mdworkbench.ids import shown_file
from longshore.v1.launch_service_pb2 import Launch
from longshore.v1.operation_pb2 import LogEntry as LogMessage
from longshore.v1.operation_pb2 import LogKind, State, Status

LaunchState = Literal["waiting", "running", "completed", "failed", "canceled"]
Kind = Literal["progress", "output", "warning", "error"]

_STATES: Final[dict[int, LaunchState]] = {
    State.STATE_SUSPENDED: "waiting",
    State.STATE_QUEUED: "waiting",
    State.STATE_RUNNING: "running",
    State.STATE_SUCCEEDED: "completed",
    State.STATE_FAILED: "failed",
    State.STATE_CANCELED: "canceled",
}
_KINDS: Final[dict[int, Kind]] = {
    LogKind.LOG_KIND_PROGRESS: "progress",
    LogKind.LOG_KIND_OUTPUT: "output",
    LogKind.LOG_KIND_WARNING: "warning",
    LogKind.LOG_KIND_ERROR: "error",
}


class Shape(BaseModel):
    """A node; members that are None are left out."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Named(Shape):
    """A name and its value."""

    name: str
    value: str


class LogEntry(Shape):
    """Something that was said of the work."""

    kind: Kind
    message: str
    time: str
    duration: str | None = None


class ResultFile(Shape):
    """A file that the work made."""

    path: str
    uri: str


class Result(Shape):
    """What the work made: a zip of all files, and each of them."""

    uri: str
    files: list[ResultFile]


class LaunchSummary(Shape):
    """A launch as the queue shows it."""

    id: str
    uri: str
    service: str
    state: LaunchState
    request_number: int
    request_time: str
    start_time: str | None = None


class LaunchDetails(LaunchSummary):
    """A launch with all that is known of it."""

    end_time: str | None = None
    duration: str | None = None
    arguments: list[Named]
    status: list[Named]
    log_entries: list[LogEntry]
    result: Result | None = None


def summary(launch: Launch, base: str) -> LaunchSummary:
    """Return a launch as the queue shows it: one that is to stop already counts as canceled."""
    members = _members(launch, base)
    if launch.status.state == State.STATE_RUNNING and launch.status.cancel_requested:
        members["state"] = "canceled"
    return LaunchSummary(**members)


def details(
    launch: Launch, entries: Sequence[LogMessage], base: str, now: datetime
) -> LaunchDetails:
    """Return a launch in full, with its log as it was written, the oldest first.

    `base` is where the dialect stands, without a last slash; `now` until when one that runs
    has been running. Arguments that are null are left out: nobody gave them, or they are
    passwords.
    """
    status = launch.status
    arguments = from_struct(launch.spec.arguments)
    return LaunchDetails(
        **_members(launch, base),
        end_time=_time(status.end_time) if status.HasField("end_time") else None,
        duration=_duration(status, now),
        arguments=[
            Named(name=name, value=_value(value, base))
            for name, value in sorted(arguments.items())
            if value is not None
        ],
        status=[Named(name=n, value=value) for n, value in sorted(status.properties.items())],
        log_entries=[*map(_entry, entries), *_failure(status)],
        result=_result(launch, base),
    )


def launch_uri(launch_id: str, base: str) -> str:
    return f"{base}/launch/{launch_id}"


def storage_uri(file_id: str, base: str) -> str:
    return f"{base}/storage/{file_id}"


def service_uri(slug: str, base: str) -> str:
    return f"{base}/service/{quote(slug, safe='')}"


def iso_time(moment: datetime) -> str:
    """Return a time of UTC to the millisecond: `2026-03-01T12:00:00.000Z`."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_duration(span: timedelta) -> str:
    """Return a duration as ISO 8601 writes it: `PT1H2M3.5S`."""
    milliseconds = max(span // timedelta(milliseconds=1), 0)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    parts = [
        f"{hours}H" if hours else "",
        f"{minutes}M" if minutes else "",
        f"{seconds}S" if rest or not milliseconds else "",
    ]
    return f"PT{''.join(parts)}"


def _members(launch: Launch, base: str) -> dict[str, Any]:
    metadata, status = launch.metadata, launch.status
    started = status.HasField("start_time") and _STATES[status.state] != "waiting"
    return {
        "id": metadata.id,
        "uri": launch_uri(metadata.id, base),
        "service": launch.spec.service,
        "state": _STATES[status.state],
        "request_number": metadata.number,
        "request_time": _time(metadata.create_time),
        "start_time": _time(status.start_time) if started else None,
    }


def _duration(status: Status, now: datetime) -> str | None:
    """Return how long it ran, or has been running; None if it did not start yet."""
    if not status.HasField("start_time") or _STATES[status.state] == "waiting":
        return None
    end = status.end_time.ToDatetime(UTC) if status.HasField("end_time") else now
    return iso_duration(end - status.start_time.ToDatetime(UTC))


def _value(value: Any, base: str) -> str:
    """Return an argument as a form would hold it."""
    if isinstance(value, str):
        file_id = shown_file(value)
        return value if file_id is None else storage_uri(file_id, base)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _entry(entry: LogMessage) -> LogEntry:
    return LogEntry(
        kind=_KINDS.get(entry.kind, "output"),
        message=entry.message,
        time=_time(entry.time),
        duration=iso_duration(entry.elapsed.ToTimedelta()),
    )


def _failure(status: Status) -> Iterator[LogEntry]:
    """Yield why it failed: it has no other place than the end of the log."""
    if status.state == State.STATE_FAILED:
        yield LogEntry(
            kind="error",
            message=status.error.message or "failed",
            time=_time(status.end_time),
            duration=_duration(status, status.end_time.ToDatetime(UTC)),
        )


def _result(launch: Launch, base: str) -> Result | None:
    files = [
        ResultFile(path=file.path, uri=storage_uri(file.file_id, base))
        for file in launch.status.files
    ]
    uri = f"{launch_uri(launch.metadata.id, base)}/files"
    return Result(uri=uri, files=files) if files else None


def _time(stamp: Timestamp) -> str:
    return iso_time(stamp.ToDatetime(UTC))
