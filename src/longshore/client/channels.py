"""Channels: the results of a caller's tasks, as these end."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from longshore.client.acknowledging import Acknowledgements
from longshore.client.connection import Connection
from longshore.client.reopening import Reopening
from longshore.client.results import Gathering, Result
from longshore.client.streams import Stream
from longshore.v1.server_service_pb2 import GetCallerRequest, GetCallerResponse
from longshore.v1.task_service_pb2 import StreamResultsRequest, StreamResultsResponse


class Results:
    """The results of a channel, in the order in which their tasks ended, each once.

    Iterate over it; it never ends by itself. A stream that breaks is opened again where it
    was, as often as it takes; only refusals are raised, as a `CallError`: `StreamTaken` if
    another listener has begun, `Damaged` if a result did not come as it was stored, and
    `Unavailable` if no server was reached in the first place.

    A result is acknowledged, and so removed, when the next one is asked for: that in hand when
    the loop is left, or the process dies, is streamed again to whoever listens next, and so is
    what was acknowledged less than about a tenth of a second before a crash. So every result
    arrives at least once, and exactly once if `close`, or leaving `async with`, ends it after
    the next was asked for.
    """

    #: That of the last result that was handed out.
    revision: int | None

    def __init__(
        self,
        connection: Connection,
        stream: str,
        after_revision: int | None,
        *,
        acknowledge: bool,
    ) -> None:
        self.revision = after_revision
        follows = not acknowledge or after_revision is not None
        self._channel = _Channel(connection, stream, follows=follows)
        self._messages = Reopening[StreamResultsResponse](
            self._channel.open, connection.timeout
        )
        self._acknowledgements = Acknowledgements(connection) if acknowledge else None
        self._gathering = Gathering()
        self._gathers_from = 0
        self._in_hand = ""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Result:
        await self._let_go()
        while (message := await self._messages.next(self.revision)) is not None:
            if self._is_new(message) and (result := await self._gathered(message)):
                self.revision = result.revision
                self._in_hand = result.task.metadata.id
                return result
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Listen no longer, and send the acknowledgements that wait to be sent."""
        self._messages.close()
        if self._acknowledgements is not None:
            await self._acknowledgements.close()

    async def _let_go(self) -> None:
        """Acknowledge the result that was handed out last."""
        task_id, self._in_hand = self._in_hand, ""
        if task_id and self._acknowledgements is not None:
            await self._acknowledgements.add(task_id)

    def _is_new(self, message: StreamResultsResponse) -> bool:
        """Whether it is of a result that was not handed out; heartbeats are of none."""
        known = self.revision is not None and message.revision <= self.revision
        return message.HasField("task") and not known

    async def _gathered(self, message: StreamResultsResponse) -> Result | None:
        """Return the result that is whole now. With every stream its chunks begin anew."""
        if self._gathers_from != self._channel.opened:
            self._gathering = Gathering()
            self._gathers_from = self._channel.opened
        try:
            return await self._gathering.take(message)
        except Exception:
            self._messages.hang_up()
            raise


class _Channel:
    """Opens the stream of a channel."""

    def __init__(self, connection: Connection, stream: str, *, follows: bool) -> None:
        self._connection = connection
        self._stream = stream
        self._follows = follows
        self.opened = 0

    async def open(self, after: int | None, wait: bool) -> Stream:
        """Open it with what follows a revision or, unless it `follows`, what is unacknowledged.

        Asking for what is unacknowledged works however old the revision is; what was handed out
        and is not acknowledged yet comes again.
        """
        if not self._stream:
            caller = await self._connection.ask(GetCallerRequest(), GetCallerResponse)
            self._stream = caller.stream
        request = StreamResultsRequest(
            stream=self._stream, after_revision=after if self._follows else None
        )
        self.opened += 1
        return await self._connection.open(request, wait=wait)
