"""Delays: who guesses credentials from an address is answered ever later.

After a few failures each further check of the address gets a turn of its own, later than the
one before by a step that doubles. So guesses sent at once queue as well, and who would have to
wait for too long is refused at once. Right credentials do not come here if they were checked
before, or if they are tokens: these nobody guesses. All of an address is forgotten after some
silence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Final, TypeVar

from longshore.access.errors import Refused
from longshore.core.addresses import network_of
from longshore.core.errors import RateLimited

T = TypeVar("T")

FREE: Final = 3  #: Failures without consequence: people mistype.
_FIRST_STEP: Final = 0.25  #: Seconds.
_LONGEST_STEP: Final = 2.0
_LONGEST_WAIT: Final = 10.0
_FORGOTTEN_AFTER: Final = 60.0
_ADDRESSES: Final = 10_000


@dataclass(slots=True)
class _Attempts:
    """What was tried from an address. Times are seconds of the monotonic clock."""

    seen: float
    failures: int = 0
    waiting: int = 0  #: Have a turn; each will fail as far as anybody knows.
    turn: float = float("-inf")  #: The last that was given.
    alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    def wait(self, now: float) -> float:
        """Return in how many seconds a check has its turn. Raises `RateLimited`."""
        if self.failures < FREE:
            self.turn = now
            return 0.0
        exponent = min(self.failures - FREE + self.waiting, 10)
        turn = max(now, self.turn + min(_FIRST_STEP * 2.0**exponent, _LONGEST_STEP))
        if turn - now > _LONGEST_WAIT:
            message = "too many failed sign-ins from this address"
            raise RateLimited(message, FREE, "failed sign-ins", turn - now)
        self.turn = turn
        return turn - now


class Delays:
    """Remembers failures by address."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._addresses: dict[str, _Attempts] = {}  #: Those not seen for longest first.

    async def run(self, address: str, check: Callable[[], Awaitable[T]], *, alone: bool) -> T:
        """Do a check when it is its turn. Raises `RateLimited`, and what the check raises.

        With `alone`, for checks that take long, each waits for the one before, so that those
        that come at once do not all run before the first of them has failed.
        """
        attempts = self._attempts(address)
        async with attempts.alone if alone else nullcontext():
            wait = attempts.wait(self._monotonic())
            if not wait:
                return await _counted(attempts, check)
        attempts.waiting += 1
        try:
            await self._sleep(wait)
            return await _counted(attempts, check)
        finally:
            attempts.waiting -= 1

    def _attempts(self, address: str) -> _Attempts:
        """Return what is remembered of an address, which is seen now."""
        now = self._monotonic()
        name = network_of(address)
        attempts = self._addresses.pop(name, None)
        if attempts is None or now - attempts.seen >= _FORGOTTEN_AFTER:
            attempts = _Attempts(now)
        attempts.seen = now
        self._addresses[name] = attempts
        self._forget(now)
        return attempts

    def _forget(self, now: float) -> None:
        """Forget who was silent for long, and those beyond the bound."""
        while True:
            name, attempts = next(iter(self._addresses.items()))
            if now - attempts.seen < _FORGOTTEN_AFTER and len(self._addresses) <= _ADDRESSES:
                return
            del self._addresses[name]


async def _counted(attempts: _Attempts, check: Callable[[], Awaitable[T]]) -> T:
    try:
        return await check()
    except (Refused, asyncio.CancelledError):  # Who goes before the answer has proved nothing.
        attempts.failures += 1
        raise
