"""Streams that outlive every connection: one that breaks is opened again."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final, Generic, Protocol, TypeVar, cast

from grpc import StatusCode
from grpc.aio import EOF

from longshore.client.connection import retrying
from longshore.client.errors import CallError, lost
from longshore.v1.operation_pb2 import End

log = logging.getLogger(__name__)

#: Refusals, which would be repeated whenever the stream is opened again.
_FINAL: Final = frozenset(
    {
        StatusCode.ALREADY_EXISTS,
        StatusCode.DATA_LOSS,
        StatusCode.FAILED_PRECONDITION,
        StatusCode.INVALID_ARGUMENT,
        StatusCode.NOT_FOUND,
        StatusCode.OUT_OF_RANGE,
        StatusCode.PERMISSION_DENIED,
        StatusCode.UNAUTHENTICATED,
        StatusCode.UNIMPLEMENTED,
    }
)

#: The same, where the code alone does not say so.
_FINAL_REASONS: Final = frozenset({"MAINTENANCE", "STREAM_TAKEN"})

#: A server is never silent for longer than 10 s; after three times that the stream is dead.
_SILENCE_SECONDS: Final = 30.0

#: Streams that were cut at the same moment come back spread over so many seconds.
_SPREAD_SECONDS: Final = 0.2


class Told(Protocol):
    """A message of a stream."""

    @property
    def end(self) -> End.ValueType: ...


class Stream(Protocol):
    """A call whose answers are read one by one."""

    def read(self) -> Awaitable[object]: ...

    def cancel(self) -> bool: ...


M = TypeVar("M", bound=Told)

#: Opens the stream after a revision (None: from where it begins by itself). The flag says
#: whether to wait for a server, instead of failing when there is none.
Open = Callable[[int | None, bool], Awaitable[Stream]]


class Reopening(Generic[M]):
    """Messages of a stream, and of those that take its place when it breaks.

    There may be no server for `patience` seconds (None: for ever), and for ever once one has
    said something.
    """

    def __init__(self, open_: Open, patience: float | None) -> None:
        self._open = open_
        self._patience = patience
        self._call: Stream | None = None
        self._begun = False
        self._ended = False

    async def next(self, after: int | None) -> M | None:
        """Return the next message; None after the last, and once it is closed.

        A stream that has to be opened is opened `after` a revision. Raises `CallError`, but
        only for refusals.
        """
        message = None if self._ended else await self._next(after)
        if message is None or self._ended:
            return None
        self._patience = None
        if message.end != End.END_UNSPECIFIED:
            self.hang_up()
        self._ended = message.end == End.END_DONE
        return message

    def close(self) -> None:
        self._ended = True
        self.hang_up()

    def hang_up(self) -> None:
        """Give up the stream that is open; the next message is that of another."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    async def _next(self, after: int | None) -> M | None:
        if self._call is not None:
            try:
                return await self._read(self._call)
            except CallError as error:
                self.hang_up()
                if self._ended:
                    return None
                if not is_broken(error):
                    raise
                log.info("stream broken after revision %s: %r", after, error)
        if self._begun and self._patience is None:
            await asyncio.sleep(random.uniform(0, _SPREAD_SECONDS))  # noqa: S311
        self._begun = True
        return await retrying(is_broken, self._patience)(self._begin, after)

    async def _begin(self, after: int | None) -> M | None:
        """Open the stream and return its first message."""
        if self._ended:
            return None
        self._call = await self._open(after, self._patience is None)
        try:
            return await self._read(self._call)
        except BaseException:
            self.hang_up()
            raise

    async def _read(self, call: Stream) -> M:
        try:
            async with asyncio.timeout(_SILENCE_SECONDS):
                message = await call.read()
        except TimeoutError:
            raise lost(f"the server was silent for {_SILENCE_SECONDS:.0f} s") from None
        if message is EOF:
            raise lost("the stream ended in the middle")
        return cast("M", message)


def is_broken(error: BaseException) -> bool:
    """Whether a stream may be opened again, unlike one that was refused in words."""
    if not isinstance(error, CallError) or error.code in _FINAL:
        return False
    if error.code is StatusCode.RESOURCE_EXHAUSTED:
        return error.retry_after is not None
    return error.reason not in _FINAL_REASONS
