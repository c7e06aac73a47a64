"""Gathering: changes wait together for the next batch, the longer the more call at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from longshore.core import limits
from longshore.core.changes import Change, Submit
from longshore.core.errors import Overloaded
from longshore.core.reports import Report

#: How often others may run while changes keep arriving, before a batch is taken.
_TURNS: Final = 8

#: A commit costs as much as several calls. So while many call at once the next one waits for
#: them, the longer the more there were, unless enough changes wait to be worth it already.
_APART_SECONDS_PER_CALL: Final = 0.0005
_APART_SECONDS_MOST: Final = 0.008
_WORTHWHILE_CHANGES: Final = 48

#: Changes that stay together, and the future of their outcomes.
Group: TypeAlias = tuple[Sequence[Change], "asyncio.Future[list[object]]"]


class Gathering:
    """Groups of changes that wait for a batch."""

    def __init__(self) -> None:
        self._groups: deque[Group] = deque()
        self._waiting = 0
        self._worthwhile = asyncio.Event()
        #: When the next batch may begin, on the loop's clock.
        self._not_before = 0.0

    def __bool__(self) -> bool:
        return bool(self._groups)

    def add(self, changes: Sequence[Change]) -> asyncio.Future[list[object]]:
        """Return the future of the outcomes. Raises `Overloaded`, for submits only."""
        if self._waiting >= limits.WRITER_WAITING and type(changes[0]) is Submit:
            raise Overloaded(self._waiting)
        future: asyncio.Future[list[object]] = asyncio.get_running_loop().create_future()
        self._groups.append((changes, future))
        self._waiting += len(changes)
        if self._waiting >= _WORTHWHILE_CHANGES:
            self._worthwhile.set()
        return future

    def hurry(self) -> None:
        """Let the next batch wait for nobody."""
        self._worthwhile.set()

    async def gather(self) -> None:
        """Let callers join the batch that are ready now or, while many call, in a moment."""
        moment = self._not_before - asyncio.get_running_loop().time()
        if moment > 0 and not self._worthwhile.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(moment):
                    await self._worthwhile.wait()
        seen = -1
        for _ in range(_TURNS):
            if self._waiting == seen or self._waiting >= limits.WRITER_CHANGES:
                return
            seen = self._waiting
            await asyncio.sleep(0)

    def take(self) -> list[Group]:
        """Return the groups of one batch, those that came first."""
        taken: list[Group] = []
        count = size = 0
        while self._groups:
            group = self._groups[0]
            count += len(group[0])
            size += sum(map(_size, group[0]))
            # A group stays whole, so a single large one may be a batch by itself.
            if taken and (count > limits.WRITER_CHANGES or size > limits.WRITER_BYTES):
                break
            taken.append(self._groups.popleft())
            self._waiting -= len(group[0])
        if self._waiting < _WORTHWHILE_CHANGES:
            self._worthwhile.clear()
        if len(taken) > 1:
            apart = min(_APART_SECONDS_PER_CALL * len(taken), _APART_SECONDS_MOST)
            self._not_before = asyncio.get_running_loop().time() + apart
        return taken

    def refuse(self, error: Exception) -> None:
        """Let everything that waits fail."""
        refuse(self._groups, error)
        self._groups.clear()
        self._waiting = 0


def answer(groups: Iterable[Group], outcomes: Sequence[object]) -> None:
    """Give each group its part of the outcomes of a batch."""
    start = 0
    for changes, future in groups:
        end = start + len(changes)
        if not future.done():
            future.set_result(list(outcomes[start:end]))
        start = end


def refuse(groups: Iterable[Group], error: Exception) -> None:
    """Let groups fail that were not answered."""
    for _, future in groups:
        if not future.done():
            future.set_exception(error)


def _size(change: Change) -> int:
    if type(change) is Submit:
        return len(change.request) + len(change.plan or b"")
    if type(change) is Report:
        return len(getattr(change.body, "results", b""))
    return 0
