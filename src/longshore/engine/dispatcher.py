"""The dispatcher: what a commit means for the workers whose streams end here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from longshore.core.changes import Assignment, Change, Grant, Lease, Report
from longshore.core.store import Applied
from longshore.engine.sessions import Sessions


class Dispatcher:
    """Offers free slots to the writer and carries its answers to the sessions."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

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
        """Settle the leases that reports have ended, then hand out what was leased."""
        live = self._sessions.live
        for change, outcome in zip(changes, applied.outcomes, strict=True):
            if type(change) is Report:
                session = live.get(change.session)
                if session is not None:
                    session.settle(change, outcome)
        self._sessions.show(applied.events)
        self._hand_out(changes, applied)

    def _hand_out(self, changes: Sequence[Change], applied: Applied) -> None:
        if not changes or type(changes[-1]) is not Lease:
            return
        if isinstance(applied.outcomes[-1], BaseException):
            return
        for assignment in cast("list[Assignment]", applied.outcomes[-1]):
            session = self._sessions.live.get(assignment.session)
            if session is not None:
                session.assign(assignment)
