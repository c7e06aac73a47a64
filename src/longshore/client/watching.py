"""Streams of changes that outlive every connection: they resume by revision."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

from longshore.client.connection import Connection
from longshore.client.reopening import Open, Reopening, Stream
from longshore.v1.operation_pb2 import End, Event


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
        self._stream = Reopening[Told[E]](open_, patience)
        self._changes: deque[E] = deque()
        self._told_revision: int | None = None

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
            message = await self._stream.next(self.revision)
            if message is None:
                raise StopAsyncIteration
            self._take(message)

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
        self._changes.clear()
        self._stream.close()

    def _is_new(self, change: E) -> bool:
        """Note how far the caller now knows; false for what it knows already."""
        if not change.HasField("event"):
            return True
        if self.revision is not None and change.event.revision <= self.revision:
            return False
        self.revision = change.event.revision
        return True

    def _take(self, message: Told[E]) -> None:
        self._changes.extend(message.changes)
        self._told_revision = message.revision if message.HasField("revision") else None


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
