"""Schedule changes: from a schedule on the wire to the change that applies it, all checks on."""

from __future__ import annotations

from typing import Final

from longshore.core.callers import Caller
from longshore.core.catalog_changes import ApplySchedule
from longshore.core.errors import (
    InvalidFields,
    LimitExceeded,
    NotFound,
    PayloadTooLarge,
    Violation,
)
from longshore.core.principals import EVERYTHING, Grants
from longshore.server.checks import Flaws, payload, slug, span_of
from longshore.server.directory import Directory
from longshore.server.file_arguments import Taken
from longshore.server.kept_secrets import restore, revoke, schedule_without_secrets
from longshore.server.schedules import request_of, submit_of, timing_of
from longshore.server.submissions import Submissions
from longshore.server.timings import InvalidTiming, zone_of
from longshore.v1.catalog_service_pb2 import MissedPolicy, Schedule

_LEAST_INTERVAL_MS: Final = 1_000


class ScheduleChanges:
    """Makes changes of schedules, checked like what they will submit."""

    def __init__(self, directory: Directory, submissions: Submissions) -> None:
        self._directory = directory
        self._submissions = submissions

    def change(
        self,
        given: Schedule,
        caller: Caller,
        kept: Schedule | None,
        now: int,
        grants: Grants = EVERYTHING,
    ) -> ApplySchedule:
        """Return the change that makes a schedule what is given, its times counted from now.

        The submits of it are checked by the caller's grants now, and not again each time.
        Secrets of the one that is `kept` stay where they are given as they were shown. Raises
        `InvalidFields` with every violation, `LimitExceeded`, `PayloadTooLarge`, or a
        `NotFound` for what the spec names.
        """
        schedule = Schedule()
        schedule.CopyFrom(given)
        if kept is not None and _subject(kept) == _subject(given):
            restore(schedule, self._shown(kept, caller), kept)
        first = self._check(schedule, caller, now, grants)
        if schedule != given:
            revoke(schedule, self._shown(schedule, caller), given)
            self._check(schedule, caller, now, grants)
        schedule.ClearField("next_time")
        schedule.ClearField("last_id")
        document = schedule.SerializeToString(deterministic=True)
        payload("schedule", len(document))
        next_time = None if schedule.paused else first
        return ApplySchedule(caller, schedule.name, document, next_time)

    def files(self, schedule: Schedule, caller: Caller) -> list[Taken]:
        """Return the files that a schedule, which has passed all checks, takes each time."""
        kind = schedule.WhichOneof("spec") or ""
        found = self._submissions.files(request_of(schedule), caller)
        return [one._replace(field=_place(one.field, kind)) for one in found]

    def _shown(self, schedule: Schedule, caller: Caller) -> Schedule:
        return schedule_without_secrets(schedule, self._directory, caller.tenant)

    def _check(
        self, schedule: Schedule, caller: Caller, now: int, grants: Grants
    ) -> int | None:
        """Return the first time from now on."""
        flaws: Flaws = []
        slug(schedule.name, "schedule.name", flaws)
        first = _first_time(schedule, now, flaws)
        if schedule.missed not in MissedPolicy.values():
            flaws.append(Violation("schedule.missed", "SKIP, ONCE or ALL"))
        missing = _check_spec(schedule, caller, self._submissions, grants, flaws)
        if flaws:
            raise InvalidFields(flaws)
        if missing is not None:
            raise missing
        return first


def _subject(schedule: Schedule) -> tuple[str, ...]:
    """Return where a spec goes; a secret that was given for one place stays there."""
    task, job, launch = schedule.task, schedule.job, schedule.launch
    return task.service, job.contract, job.action, launch.service


def _first_time(schedule: Schedule, now: int, flaws: Flaws) -> int | None:
    """Return the first time from now on; None after adding a violation."""
    if schedule.time_zone:
        try:
            zone_of(schedule.time_zone)
        except InvalidTiming as error:
            flaws.append(Violation("schedule.time_zone", str(error), "UNKNOWN"))
            given, schedule = schedule, Schedule()
            schedule.CopyFrom(given)
            schedule.ClearField("time_zone")  # So that what else is wrong is told as well.
    before = len(flaws)
    match schedule.WhichOneof("timing"):
        case None:
            flaws.append(Violation("schedule.timing", "cron or interval is needed", "MISSING"))
        case "interval":
            least = _LEAST_INTERVAL_MS
            span_of(schedule.interval, "schedule.interval", flaws, least=least)
        case _:
            pass
    if len(flaws) > before:
        return None
    try:
        first = timing_of(schedule, now).after(now)
    except InvalidTiming as error:
        flaws.append(Violation("schedule.cron", str(error)))
        return None
    if first is None:
        flaws.append(Violation("schedule.cron", "there is no such day within 50 years"))
    return first


def _check_spec(
    schedule: Schedule,
    caller: Caller,
    submissions: Submissions,
    grants: Grants,
    flaws: Flaws,
) -> NotFound | None:
    """Check what is submitted like the submit that it will be; return what it names in vain."""
    if schedule.options.HasField("start_time"):
        told = "the schedule says when"
        flaws.append(Violation("schedule.options.start_time", told, "NOT_PERMITTED"))
    if schedule.job.external_id:
        told = "every time after the first would find the first job"
        flaws.append(Violation("schedule.job.external_id", told, "NOT_PERMITTED"))
    kind = schedule.WhichOneof("spec")
    if kind is None:
        needed = "a task, job or launch is needed"
        flaws.append(Violation("schedule.spec", needed, "MISSING"))
        return None
    try:
        submit_of(schedule, caller, submissions, grants)
    except InvalidFields as error:
        flaws += [one._replace(field=_place(one.field, kind)) for one in error.violations]
    except (LimitExceeded, PayloadTooLarge) as error:
        limit, actual = int(error.facts["limit"]), int(error.facts["value"])
        raise type(error)(_place(error.facts["field"], kind), limit, actual) from None
    except NotFound as error:
        error.facts["field"] = _place(error.facts["field"], kind)
        return error
    return None


def _place(field: str, kind: str) -> str:
    """Return where a field of a submit stands in a schedule."""
    name, dot, rest = field.partition(".")
    return f"schedule.{kind if name == 'spec' else name}{dot}{rest}"
