"""Settling: everything that can happen before time goes on has happened."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from longshore.core.changes import Wake
from longshore.core.store import Replay
from longshore.engine.clock import MovableClock
from longshore.engine.engine import Engine
from longshore.engine.live import LiveSession

#: Work that takes longer is not waited for: it may be meant to hang.
_PATIENCE_SECONDS: Final = 1.0

#: So many batches in a row must change nothing. Whoever is woken by an alarm needs a turn of
#: the loop before its change is in one.
_QUIET_BATCHES: Final = 3


class Settling:
    """Knows when an engine has nothing left to do but to wait for its clock."""

    def __init__(self, engine: Engine, clock: MovableClock) -> None:
        self._engine = engine
        self._clock = clock
        #: Tokens of leases that were waited for in vain.
        self._slow: frozenset[int] = frozenset()

    async def settle(self) -> None:
        """Wait until all that is due is committed, and workers have ended what they were given."""
        await self._commit()
        while (tokens := self._tokens()) and await self._changed(tokens):
            await self._commit()
        self._slow |= self._tokens()

    async def _commit(self) -> None:
        quiet = 0
        while quiet < _QUIET_BATCHES:
            revision = self._engine.feed.revision
            await self._engine.writer.write(Wake())
            settled = self._engine.feed.revision == revision and not self._overdue
            quiet = quiet + 1 if settled else 0

    @property
    def _overdue(self) -> bool:
        at = self._clock.next_alarm
        return at is not None and at <= self._clock.now()

    def _tokens(self) -> frozenset[int]:
        """Return the leases that are worth waiting for."""
        held = {token for one in self._sessions() for token in one.held.values()}
        return frozenset(held - self._slow)

    def _sessions(self) -> list[LiveSession]:
        return list(self._engine.sessions.live.values())

    async def _changed(self, tokens: frozenset[int]) -> bool:
        """Wait for a lease to begin or end; return whether one did in time."""
        session = next(one for one in self._sessions() if tokens & set(one.held.values()))
        replay = Replay(
            session.caller.tenant, self._engine.feed.revision, numbers=frozenset(session.held)
        )
        watcher = await self._engine.watch(replay)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while self._tokens() == tokens:
                    await watcher.next(_PATIENCE_SECONDS)
        watcher.close()
        return self._tokens() != tokens
