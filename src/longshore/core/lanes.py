"""Lanes: which waiting work a session may be given.

An operation goes only to a session that serves its queue and offers every action of its
plan. Queue and set of actions are interned as one small integer, the lane, so that leasing
reads the heads of a few lanes and never scans foreign work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple

from longshore.core.principals import ANONYMOUS, ANY

#: A worker's secret has no more bytes; what is kept of it ends with its principal's mark.
SECRET_BYTES: Final = 32


class Lane(NamedTuple):
    """A tenant's queue and the actions (sorted, without repeats) that its work needs."""

    number: int
    tenant: str
    queue: str
    actions: tuple[str, ...]


class Session(NamedTuple):
    """One worker's life, across reconnects."""

    number: int
    secret: bytes  #: What proves that a stream belongs to it, as `marked`; never shown.
    epoch: int  #: Raised by every stream that takes the session up again.
    tenant: str  #: `ANY` serves all of them, on reserved queues only.
    worker: str
    queues: tuple[str, ...]
    offers: tuple[str, ...]  #: Action keys; see `action_key`.
    slots: int
    open_time: int  #: Milliseconds since 1970.

    def belongs_to(self, principal: str) -> bool:
        """Whether its worker is the principal, as far as that is known."""
        return len(self.secret) <= SECRET_BYTES or self.secret.endswith(_mark(principal))

    def serves(self, lane: Lane) -> bool:
        return (
            self.tenant in (lane.tenant, ANY)
            and lane.queue in self.queues
            and set(lane.actions) <= set(self.offers)
        )


def marked(secret: bytes, principal: str) -> bytes:
    """Return a worker's secret with the mark of whose it is, unless nobody has a name."""
    return secret if principal == ANONYMOUS.name else secret + _mark(principal)


def _mark(principal: str) -> bytes:
    return hashlib.sha256(principal.encode()).digest()


def action_key(service: str, action: str) -> str:
    """Return the name under which an action is offered and asked for.

    An action of a named service is another thing than the same name of any service; a worker
    offers each of its actions under both keys.
    """
    return f"{service}/{action}" if service else action


class LaneBook:
    """All lanes by number and by content, with the lanes that each session serves."""

    def __init__(self, lanes: Iterable[Lane] = ()) -> None:
        self.by_number: dict[int, Lane] = {}
        self._by_content: dict[tuple[str, str, tuple[str, ...]], Lane] = {}
        self._served: dict[Session, list[int]] = {}
        for lane in lanes:
            self.add(lane)

    def add(self, lane: Lane) -> None:
        self.by_number[lane.number] = lane
        self._by_content[lane.tenant, lane.queue, lane.actions] = lane
        for session, served in self._served.items():
            if session.serves(lane):
                served.append(lane.number)

    def find(self, tenant: str, queue: str, actions: tuple[str, ...]) -> Lane | None:
        return self._by_content.get((tenant, queue, actions))

    def served(self, session: Session) -> list[int]:
        """Return the numbers of the lanes whose work the session may be given."""
        served = self._served.get(session)
        if served is None:
            served = [one.number for one in self.by_number.values() if session.serves(one)]
            self._served[session] = served
        return served

    def forget(self, session: Session) -> None:
        self._served.pop(session, None)


class LaneLedger:
    """The lanes as a batch leaves them."""

    def __init__(self, known: LaneBook) -> None:
        self._known = known
        self.new: list[Lane] = []

    def number_of(self, tenant: str, queue: str, actions: tuple[str, ...]) -> int:
        """Return the number of a lane, making it if it is new."""
        found = self._known.find(tenant, queue, actions)
        if found is not None:
            return found.number
        for lane in self.new:
            if (lane.tenant, lane.queue, lane.actions) == (tenant, queue, actions):
                return lane.number
        number = len(self._known.by_number) + len(self.new) + 1
        self.new.append(Lane(number, tenant, queue, actions))
        return number

    def of(self, number: int) -> Lane:
        """Return a lane by its number."""
        known = self._known.by_number.get(number)
        return known or next(lane for lane in self.new if lane.number == number)

    def in_queue(self, tenant: str, queue: str) -> list[int]:
        """Return the lanes of a queue; of the tenant "" those of all tenants."""
        known = self._known.by_number.values()
        return [
            lane.number
            for lane in (*known, *self.new)
            if lane.queue == queue and tenant in ("", lane.tenant)
        ]

    def served(self, session: Session) -> list[int]:
        """Return the lanes whose work a session may be given."""
        new = [lane.number for lane in self.new if session.serves(lane)]
        return self._known.served(session) + new
