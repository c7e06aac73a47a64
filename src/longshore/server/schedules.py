"""Schedules: the message that callers see, the document that is kept, and what it submits."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from longshore.core.callers import Caller
from longshore.core.changes import Submit
from longshore.core.ids import text_of
from longshore.core.installation import Schedule as Kept
from longshore.core.principals import EVERYTHING, Grants
from longshore.core.schedules import Interval, Missed, Timing
from longshore.server.submissions import Submissions
from longshore.server.timings import Cron, zone_of
from longshore.v1.catalog_service_pb2 import Schedule
from longshore.v1.job_service_pb2 import SubmitJobRequest
from longshore.v1.launch_service_pb2 import SubmitLaunchRequest
from longshore.v1.task_service_pb2 import SubmitTaskRequest

_DEFAULT_ZONE: Final = "UTC"


@lru_cache(maxsize=1_024)
def agreed(document: bytes) -> Schedule:
    """Return what was applied; nobody may change it."""
    return Schedule.FromString(document)


def schedule_of(kept: Kept) -> Schedule:
    """Return a kept schedule, with how far it has come."""
    schedule = Schedule.FromString(kept.document)
    if kept.next_time is not None:
        schedule.next_time.FromMilliseconds(kept.next_time)
    if kept.last_id is not None:
        schedule.last_id = text_of(kept.last_id)
    return schedule


def timing_of(schedule: Schedule, anchor: int) -> Timing:
    """Return the times of a schedule; an interval counts from the anchor.

    Raises `InvalidTiming`.
    """
    if schedule.HasField("cron"):
        return Cron(schedule.cron, zone_of(schedule.time_zone or _DEFAULT_ZONE))
    return Interval(anchor, schedule.interval.ToMilliseconds())


def missed_of(schedule: Schedule) -> Missed:
    """Return what happens to the times that passed while no server ran."""
    return Missed(int(schedule.missed)) if schedule.missed else Missed.SKIP


def submit_of(
    schedule: Schedule,
    caller: Caller,
    submissions: Submissions,
    grants: Grants = EVERYTHING,
) -> Submit:
    """Return the submit that a schedule makes on behalf of a caller; raises as that does."""
    request = request_of(schedule)
    if isinstance(request, SubmitJobRequest):
        return submissions.job(request, caller, grants=grants)
    if isinstance(request, SubmitLaunchRequest):
        return submissions.launch(request, caller, grants=grants)
    return submissions.task(request, caller, grants=grants)


def request_of(
    schedule: Schedule,
) -> SubmitTaskRequest | SubmitJobRequest | SubmitLaunchRequest:
    """Return what a schedule sends each time."""
    options = schedule.options if schedule.HasField("options") else None
    if schedule.HasField("job"):
        return SubmitJobRequest(spec=schedule.job, options=options)
    if schedule.HasField("launch"):
        return SubmitLaunchRequest(spec=schedule.launch, options=options)
    return SubmitTaskRequest(spec=schedule.task, options=options)


def occasion(name: str, due_time: int) -> str:
    """Return the request id of what a schedule submits for one of its times."""
    whole = due_time % 1_000 == 0
    moment = datetime.fromtimestamp(due_time / 1_000, UTC)
    text = moment.isoformat(timespec="seconds" if whole else "milliseconds")
    return f"{name}@{text.replace('+00:00', 'Z')}"
