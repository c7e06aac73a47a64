"""Shapes: how an operation stands, in the words of eHealth.

What came of a job is told by its links. They are the member `links` of its result, a list of
objects with `entity` (what it is; there is a configured name for those that say nothing),
`href` (where it is) and `error` (why it is not there).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, cast

from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from longshore.client import from_struct
from longshore.v1.job_service_pb2 import Job
from longshore.v1.launch_service_pb2 import Launch
from longshore.v1.operation_pb2 import (
    STATE_CANCELED,
    STATE_FAILED,
    STATE_QUEUED,
    STATE_RUNNING,
    STATE_SUCCEEDED,
    STATE_SUSPENDED,
    State,
)
from longshore.v1.task_service_pb2 import Task

Operation: TypeAlias = Task | Job | Launch
JobStatus: TypeAlias = Literal["PENDING", "FAILED", "DONE"]

STATUSES: Final = MappingProxyType[State.ValueType, JobStatus](
    {
        STATE_SUSPENDED: "PENDING",
        STATE_QUEUED: "PENDING",
        STATE_RUNNING: "PENDING",
        STATE_SUCCEEDED: "DONE",
        STATE_FAILED: "FAILED",
        STATE_CANCELED: "FAILED",
    }
)

#: Clients wait until the time that they are told: not for nothing, and not for ever.
_SOONEST: Final = timedelta(seconds=1)
_LATEST: Final = timedelta(days=1)
_LONGEST_GUESS: Final = timedelta(minutes=5)


class Link(BaseModel):
    """What came of a job."""

    entity: str
    href: str | SkipJsonSchema[None] = Field(default=None, description="Where it is.")
    error: str | SkipJsonSchema[None] = Field(default=None, description="Why it is not there.")


class AsyncJob(BaseModel):
    """How far a job is."""

    id: str = Field(json_schema_extra={"format": "uuid"})
    status: JobStatus
    eta: str = Field(
        description="When to ask again, or when it ended.",
        json_schema_extra={"format": "date-time"},
    )
    links: list[Link] = Field(
        description="The member `links` of the job's result; of a failed job, why it failed."
    )


class AsyncJobState(BaseModel):
    """The answer about a job that exists."""

    data: AsyncJob


class Meta(BaseModel):
    """What an answer is about."""

    url: str
    type: Literal["object"] = "object"
    request_id: str
    code: int


class Fault(BaseModel):
    """What went wrong."""

    type: str
    message: str


class Failure(BaseModel):
    """The answer when there is none."""

    meta: Meta
    error: Fault


def state_shape(operation: Operation, entity: str, now: datetime) -> AsyncJobState:
    """Return how an operation stands; `entity` is what links are called that do not say."""
    status = STATUSES[operation.status.state]
    job = AsyncJob(
        id=operation.metadata.id,
        status=status,
        eta=_time(_eta(operation, status, now)),
        links=list(_links(operation, status, entity)),
    )
    return AsyncJobState(data=job)


def _eta(operation: Operation, status: JobStatus, now: datetime) -> datetime:
    if status != "PENDING":
        return operation.status.end_time.ToDatetime(UTC)
    hoped = _hoped(operation)
    if hoped < now + _SOONEST:
        # Nobody knows: who has waited for long can wait for as long again.
        hoped = now + min(max(now - hoped, _SOONEST), _LONGEST_GUESS)
    return min(hoped, now + _LATEST)


def _hoped(operation: Operation) -> datetime:
    """Return when the work should have ended, as far as anybody knows; it may be past."""
    if operation.status.HasField("estimated_end_time"):
        return operation.status.estimated_end_time.ToDatetime(UTC)
    created = operation.metadata.create_time.ToDatetime(UTC)
    if operation.options.HasField("start_time"):
        return max(created, operation.options.start_time.ToDatetime(UTC))
    return created


def _time(moment: datetime) -> str:
    """Return a moment as `2022-10-24T12:35:49.956Z`; never an earlier one."""
    rounded = moment + timedelta(microseconds=-moment.microsecond % 1_000)
    return rounded.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _links(operation: Operation, status: JobStatus, entity: str) -> Iterator[Link]:
    if status == "FAILED":
        told = operation.status.error.message or operation.status.message
        yield Link(entity=entity, error=told or "canceled")
    elif status == "DONE":
        links: object = from_struct(operation.status.result).get("links")
        for link in _list(links):
            if isinstance(link, dict):
                yield _link(cast("dict[str, object]", link), entity)


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _link(link: dict[str, object], entity: str) -> Link:
    return Link(
        entity=_text(link, "entity") or entity,
        href=_text(link, "href"),
        error=_text(link, "error"),
    )


def _text(link: dict[str, object], name: str) -> str | None:
    """Return a member that says something; null and what is no text say nothing."""
    value = link.get(name)
    return value if isinstance(value, str) and value else None
