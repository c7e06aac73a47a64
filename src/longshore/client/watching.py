"""Streams of changes that outlive every connection: they resume by revision."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Final, Generic, Literal, Protocol, Self, TypeVar, cast

from grpc import StatusCode
from grpc.aio import EOF

from longshore.client.connection import Connection, retrying
from longshore.client.errors import CallError, lost
from longshore.v1.operation_pb2 import End, Event

log = logging.getLogger(__name__)

#: Refusals, which would be repeated whenever the stream is opened again.
_FINAL: Final = frozenset(
    {
        StatusCode.ALREADY_EXISTS,
        StatusCode.FAILED_PRECONDITION,
        StatusCode.INVALID_ARGUMENT,
        StatusCode.NOT_FOUND,
        StatusCode.OUT_OF_RANGE,
        StatusCode.PERMISSION_DENIED,
        StatusCode.UNAUTHENTICATED,
        StatusCode.UNIMPLEMENTED,
    }
)

#: A server is never silent for longer than 10 s; after three times that the stream is dead.
_SILENCE_SECONDS: Final = 30.0

#: Streams that were cut at the same moment come back spread over so many seconds.
_SPREAD_SECONDS: Final = 0.2


class Change(Protocol):
    """Something that happened, with its event, or how something stands, without."""

    @property
    def event(self) -> Event: ...

    def HasField(self, field_name: Literal["event"], /) -> bool: ...


E = TypeVar("E", bound=Change)
E_co = TypeVar("E_co", bound=Change, covariant=True)


class Told(Protocol[E_co]):
    """A message of any watch."""

    @property
    def revision(self) -> int: ...

    @property
    def changes(self) -> Iterable[E_co]: ...

    @property
    def end(self) -> End.ValueType: ...

    def HasField(self, field_name: Literal["revision"], /) -> bool: ...


class Stream(Protocol):
    """A call whose answers are read one by one."""

    def read(self) -> Awaitable[object]: ...

    def cancel(self) -> bool: ...


#: Opens the stream after a revision (None: with the present state). The flag says whether to
#: wait for a server, instead of failing when there is none.
Open = Callable[[int | None, bool], Awaitable[Stream]]


class Watch(Generic[E]):
    """Changes in the order of their revisions, each once and none left out.

    Iterate over it. A stream that breaks is opened again after the last revision seen, as
    often as it takes; only a refusal is raised, as a `CallError`, and `Unavailable` if no
    server was reached in the first place. It ends when everything watched has ended. Leaving
    the loop ends the watch, never the work.

    Without a revision to start from, how things stand comes first, in changes without an
    event. If the connection breaks before all of that was told it is told again.
    """

    #: Resume after this revision later: all changes up to it were handed out. None while the
    #: present state is being told.
    revision: int | None

    def __init__(self, open_: Open, after_revision: int | None, patience: float | None) -> None:
        self.revision = after_revision
        self._open = open_
        self._patience = patience
        self._call: Stream | None = None
        self._begun = False
        self._changes: deque[E] = deque()
        self._told_revision: int | None = None
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        while True:
            while self._changes:
                change = self._changes.popleft()
                if self._is_new(change):
                    return change
            if self._told_revision is not None:
                self.revision = self._told_revision
            if self._ended:
                raise StopAsyncIteration
            self._take(await self._next())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the watch; the work goes on."""
        self._ended = True
        self._changes.clear()
        self._hang_up()

    def _is_new(self, change: E) -> bool:
        """Note how far the caller now knows; false for what it knows already."""
        if not change.HasField("event"):
            return True
        if self.revision is not None and change.event.revision <= self.revision:
            return False
        self.revision = change.event.revision
        return True

    def _take(self, message: Told[E]) -> None:
        self._patience = None
        self._changes.extend(message.changes)
        self._told_revision = message.revision if message.HasField("revision") else None
        if message.end == End.END_DONE:
            self._ended = True
        if message.end != End.END_UNSPECIFIED:
            self._hang_up()

    async def _next(self) -> Told[E]:
        """Return the next message, of this stream or of one that takes its place."""
        if self._call is not None:
            try:
                return await self._read(self._call)
            except CallError as error:
                self._hang_up()
                if not is_broken(error):
                    raise
                log.info("stream broken after revision %s: %r", self.revision, error)
        if self._begun and self._patience is None:
            await asyncio.sleep(random.uniform(0, _SPREAD_SECONDS))  # noqa: S311
        self._begun = True
        return await retrying(is_broken, self._patience)(self._begin)

    async def _begin(self) -> Told[E]:
        """Open the stream and return its first message."""
        self._call = await self._open(self.revision, self._patience is None)
        try:
            return await self._read(self._call)
        except BaseException:
            self._hang_up()
            raise

    async def _read(self, call: Stream) -> Told[E]:
        try:
            async with asyncio.timeout(_SILENCE_SECONDS):
                message = await call.read()
        except TimeoutError:
            raise lost(f"the server was silent for {_SILENCE_SECONDS:.0f} s") from None
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            raise lost("the stream was cancelled") from None
        if message is EOF:
            raise lost("the stream ended in the middle")
        return cast("Told[E]", message)

    def _hang_up(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None


def watch(connection: Connection, request: Any, patience: float | None) -> Watch[Any]:
    """Watch what a request names; for `patience` seconds there may be no server at first."""
    after = request.after_revision if request.HasField("after_revision") else None
    return Watch(
        lambda revision, wait: resume(connection, request, revision, wait), after, patience
    )


async def resume(
    connection: Connection, request: Any, revision: int | None, wait: bool
) -> Stream:
    """Open the stream of a watch after a revision; see `Open`."""
    request.ClearField("after_revision")
    if revision is not None:
        request.after_revision = revision
    return await connection.open(request, wait=wait)


def is_broken(error: BaseException) -> bool:
    """Whether a stream may be opened again, unlike one that was refused in words."""
    if not isinstance(error, CallError) or error.code in _FINAL:
        return False
    if error.code is StatusCode.RESOURCE_EXHAUSTED:
        return error.retry_after is not None
    return error.reason != "MAINTENANCE"


def _is_cancelled() -> bool:
    """Whether somebody cancelled the task that runs, and not only its stream."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
