"""The dispatcher: what a commit means for the workers whose streams end here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from longshore.core.changes import (
    Change,
    Grant,
    Lease,
    Opened,
    OpenSession,
)
from longshore.core.events import Event, EventKind
from longshore.core.operations import State
from longshore.core.reports import Assignment, Report
from longshore.core.store import Applied
from longshore.engine.sessions import Sessions
from longshore.engine.writer import Writer


class Dispatcher:
    """Offers free slots to the writer and carries its answers to the sessions."""

    def __init__(self, sessions: Sessions, writer: Writer) -> None:
        self._sessions = sessions
        self._writer = writer

    def grants(self) -> tuple[Grant, ...]:
        """Return every live session with its free slots.

        One without a free slot is offered too: a report of the same batch may free one.
        """
        return tuple(
            Grant(session.number, session.epoch, session.free)
            for session in self._sessions.live.values()
            if session.accepts
        )

    def applied(self, changes: Sequence[Change], applied: Applied) -> None:
        """Settle the leases that reports have ended, then hand out what was leased.

        What others have committed happened before.
        """
        self._sessions.show(applied.foreign)
        for change, outcome in zip(changes, applied.outcomes, strict=True):
            if type(change) is Report:
                session = self._sessions.live.get(change.session)
                if session is not None:
                    session.settle(change, outcome)
            elif type(change) is OpenSession and isinstance(outcome, Opened):
                self._sessions.opened(change, outcome)
        self._sessions.show(applied.events)
        if changes and type(changes[-1]) is Lease:
            self._hand_out(applied)

    def _hand_out(self, applied: Applied) -> None:
        outcome = applied.outcomes[-1]
        if isinstance(outcome, BaseException):
            return
        handed_out = cast("list[Assignment]", outcome)
        for assignment in handed_out:
            session = self._sessions.live.get(assignment.session)
            if session is not None:
                session.assign(assignment)
        if len(handed_out) < sum(map(_is_lease, applied.events)):
            # A plan ended before its first action began, and its slot is free again.
            self._writer.wake()


def _is_lease(event: Event) -> bool:
    return event.kind == EventKind.STATE_CHANGED and event.state == State.RUNNING
