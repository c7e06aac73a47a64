"""A store with a movable clock, and short words for what is asked of it."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

from longshore.core import limits
from longshore.core.callers import Caller
from longshore.core.changes import (
    Change,
    Grant,
    Key,
    Lease,
    Opened,
    OpenSession,
    Publication,
    Submit,
    Submitted,
    Wake,
)
from longshore.core.events import Event
from longshore.core.failures import Code
from longshore.core.filters import Filter
from longshore.core.operations import Kind, Operation, Part, Record
from longshore.core.orders import NEWEST_FIRST, Order
from longshore.core.policies import Policy
from longshore.core.reports import (
    Assignment,
    Body,
    Completed,
    Failed,
    Report,
    Reported,
)
from longshore.core.store import Applied, Page, Query, Replay, Store
from tests.conformance.candidates import Candidate
from tests.conformance.codec import JsonCodec, encoded, request_for

NOON = 1_760_000_000_000  #: Milliseconds since 1970, where every test begins.
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000

_NODE = itertools.count(1)


def new_id() -> bytes:
    """Return an id that sorts after all before it, as UUIDv7 does."""
    return uuid.UUID(int=(NOON << 80) | (7 << 76) | (2 << 62) | next(_NODE)).bytes


def submit_change(
    action: str = "scan",
    *,
    tenant: str = "default",
    principal: str = "ada",
    kind: int = Kind.TASK,
    queue: str = "default",
    actions: Sequence[str] | None = None,
    steps: int = 0,
    request: bytes | None = None,
    policy: Policy | None = None,
    key: str | None = None,
    digest: bytes = b"digest",
    attributes: Any = None,
    plan: bytes | None = None,
    **more: Any,
) -> Submit:
    """Return a submit with everything that a test does not care about filled in."""
    request = request or request_for(action)
    return Submit(
        Caller(tenant, principal),
        kind,
        new_id(),
        queue,
        tuple(sorted(set(actions or (action,)))),
        steps,
        request,
        policy=None if policy is None else policy.encode(),
        key=None if key is None else Key(key, digest),
        attributes=None if attributes is None else encoded(attributes).decode(),
        plan=request if plan is None and kind != Kind.TASK else plan,
        **more,
    )


class World:
    """A store of one kind; asks for changes and checks what is always promised of them."""

    store: Store

    def __init__(self, candidate: Candidate, place: Path) -> None:
        self.candidate = candidate
        self.place = place
        self.now = NOON
        self.revision = 0

    async def open(self) -> None:
        self.store = self.another()
        await self.store.open()

    def another(self) -> Store:
        """Return a second store, not opened, at the same place."""
        return self.candidate.make(self.place, JsonCodec(), lambda: self.now)

    async def close(self) -> None:
        """Close the store for good."""
        await self.store.close()
        self.candidate.remove(self.place)

    async def reopen(self) -> None:
        await self.store.close()
        await self.open()

    def disk_full(self) -> AbstractContextManager[None]:
        return self.candidate.disk_full(self.store, self.place)

    def pass_time(self, milliseconds: int) -> None:
        self.now += milliseconds

    # Changes.

    async def apply(self, *changes: Change) -> Applied:
        """Apply a batch; its revisions must follow those of the batch before."""
        applied = await self.store.apply(changes)
        assert len(applied.outcomes) == len(changes)
        self._follow(applied)
        return applied

    def _follow(self, applied: Applied) -> None:
        for event in (*applied.foreign, *applied.events):
            self.revision += 1
            assert event.revision == self.revision
        assert applied.revision == self.revision

    async def hear(self) -> list[Event]:
        """Return what others have committed; it must follow what was told before."""
        heard: list[Event] = []
        while (applied := await self.store.news()) is not None:
            assert len(applied.foreign) <= limits.NEWS_EVENTS
            assert applied.outcomes == applied.events == []
            self._follow(applied)
            heard += applied.foreign
        return heard

    async def do(self, change: Change) -> Any:
        """Return the outcome of one change, or raise what refused it."""
        (outcome,) = (await self.apply(change)).outcomes
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def refused(self, change: Change) -> Exception:
        """Return what refuses a change; it must leave no trace."""
        applied = await self.apply(change)
        (outcome,) = applied.outcomes
        assert isinstance(outcome, Exception), outcome
        assert applied.events == []
        return outcome

    async def submit(self, *arguments: Any, **more: Any) -> Operation:
        submitted = cast("Submitted", await self.do(submit_change(*arguments, **more)))
        return submitted.operation

    async def open_session(
        self,
        *offers: str,
        secret: bytes = b"secret",
        queues: Sequence[str] = ("default",),
        slots: int = 1,
        services: Sequence[Publication] = (),
        worker: str = "worker-1",
        tenant: str = "default",
    ) -> Opened:
        change = OpenSession(
            Caller(tenant, "worker"),
            secret,
            worker,
            tuple(queues),
            offers or ("scan",),
            slots,
            tuple(services),
        )
        return cast("Opened", await self.do(change))

    async def lease(self, *sessions: Opened, free: int = 1) -> list[Assignment]:
        grants = tuple(Grant(one.session, one.epoch, free) for one in sessions)
        return cast("list[Assignment]", await self.do(Lease(grants)))

    async def lease_one(self, session: Opened) -> Assignment:
        (assignment,) = await self.lease(session)
        return assignment

    async def report(
        self, session: Opened, assignment: Assignment, body: Body, sequence: int = 1
    ) -> Reported:
        change = report_change(session, assignment, body, sequence)
        return cast("Reported", await self.do(change))

    async def wake(self) -> None:
        await self.do(Wake())

    # Reading.

    async def record(self, operation: Operation | Assignment, *parts: int) -> Record:
        """Return what is stored of an operation now."""
        found = operation.operation if isinstance(operation, Assignment) else operation
        (record,) = await self.store.get(found.tenant, [found.number], parts)
        assert record is not None
        return record

    async def see(self, operation: Operation | Assignment) -> Operation:
        return (await self.record(operation)).operation

    async def find(
        self,
        wanted: Filter | None = None,
        order: Order = NEWEST_FIRST,
        *,
        tenant: str = "default",
        kind: int | None = None,
        after: tuple[object, ...] | None = None,
        limit: int = 100,
        parts: Sequence[int] = (),
        reserved: bool = False,
        with_total: bool = False,
    ) -> Page:
        return await self.store.find(
            Query(tenant, kind, wanted, order, after, limit, parts, reserved, with_total)
        )

    async def events(
        self, after: int = 0, *, tenant: str = "default", **more: Any
    ) -> list[Event]:
        return (await self.store.events(Replay(tenant, after, **more))).events

    async def history(self, operation: Operation | Assignment) -> list[Event]:
        found = operation.operation if isinstance(operation, Assignment) else operation
        return await self.events(tenant=found.tenant, numbers=frozenset({found.number}))


def report_change(
    session: Opened, assignment: Assignment, body: Body, sequence: int = 1
) -> Report:
    number, token = assignment.operation.number, assignment.operation.token
    caller = Caller(assignment.operation.tenant, "worker")
    return Report(caller, session.session, session.epoch, number, token, sequence, body)


def failed(message: str = "it broke", *, permanent: bool = False) -> Failed:
    return Failed(JsonCodec().failure(Code.ABORTED, message, "BROKEN", {}), permanent)


def done(**results: Any) -> Completed:
    return Completed(encoded(results) if results else b"")


def numbers(found: Page | Sequence[Assignment] | Sequence[Event]) -> list[int]:
    """Return the numbers of the operations that a page, a lease or a replay is about."""
    if isinstance(found, Page):
        return [record.operation.number for record in found.records]
    return [
        one.operation.number if isinstance(one, Assignment) else one.number for one in found
    ]


ALL_PARTS = tuple(Part)
