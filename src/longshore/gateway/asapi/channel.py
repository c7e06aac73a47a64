"""The channel: results as they come, for as long as somebody listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Final, Self

from longshore.client import OutOfRange, Relayed, StreamTaken
from longshore.client.reopening import Reopening, Stream
from longshore.gateway.asapi.framing import HEARTBEAT, result, system
from longshore.gateway.pouring import Outlet, Poured
from longshore.v1.task_service_pb2 import StreamResultsRequest, StreamResultsResponse

MEDIA_TYPE: Final = "application/octet-stream"

#: No proxy may hold back what is meant to arrive at once.
_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}

#: So long nothing may come before it is said that the channel lives.
SILENCE_SECONDS: Final = 5.0

#: By then who may not listen has been told so.
_REFUSAL_SECONDS: Final = 0.3


async def listening(client: Relayed, stream: str) -> Poured:
    """Return the response that is a channel: first what nobody has acknowledged, then what
    comes. Raises `CallError` if the caller may not listen.

    It never ends as complete: the client would be back at once, and again and again. When
    another listener takes over it is told, and broken off, after which the client comes back
    only after a while.
    """
    async with AsyncExitStack() as held:
        told = await held.enter_async_context(_Told(client, stream))
        await told.begin()

        async def pour(outlet: Outlet) -> None:
            await outlet.write(system("stream-started", "The stream has started."))
            try:
                async with aclosing(told.messages()) as messages:
                    async for message in messages:
                        await outlet.write(_framed(message))
            except StreamTaken:
                await outlet.write(system("stream-taken", "Another listener has taken over."))
                await outlet.flush()
                raise

        return Poured(pour, MEDIA_TYPE, _HEADERS, held.pop_all())


def _framed(message: StreamResultsResponse | None) -> bytes:
    if message is None or not message.HasField("task"):
        return HEARTBEAT
    return result(message)


class _Told:
    """What the servers say to one listener, whatever becomes of the connections to them."""

    def __init__(self, client: Relayed, stream: str) -> None:
        self._client = client
        self._stream = stream
        self._whole: int | None = None  #: The revision of the last result that was told whole.
        self._reopening = Reopening[StreamResultsResponse](self._open, None)
        self._reading = asyncio.create_task(self._next())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._reopening.close()

    async def begin(self) -> None:
        """Wait until it is known whether the caller may listen. Raises `CallError` if not."""
        if (await asyncio.wait({self._reading}, timeout=_REFUSAL_SECONDS))[0]:
            with suppress(StreamTaken):
                self._reading.result()

    async def messages(self) -> AsyncGenerator[StreamResultsResponse | None]:
        """Yield what is said, and None as often as nothing was for a while.

        A result of which the end did not come is begun anew, which is no matter to who puts its
        chunks where they belong. Never ends but by a `CallError`.
        """
        while True:
            while not (await asyncio.wait({self._reading}, timeout=SILENCE_SECONDS))[0]:
                yield None
            message = self._reading.result()
            yield message
            if message.HasField("task") and message.chunk == message.total_chunks:
                self._whole = message.revision
            self._reading = asyncio.create_task(self._next())

    async def _next(self) -> StreamResultsResponse:
        """Return the next message. Raises `CallError` for what would be so for ever."""
        while True:
            try:
                message = await self._reopening.next(self._whole)
            except OutOfRange:
                # Too long ago, or of a time that was lost: what nobody has acknowledged it is.
                self._whole = None
                continue
            assert message is not None, "it is closed only when nobody waits"
            return message

    async def _open(self, after: int | None, wait: bool) -> Stream:
        request = StreamResultsRequest(stream=self._stream, after_revision=after)
        return await self._client.open(request)
