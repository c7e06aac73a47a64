"""The stream: one conversation with a server, from hello to its end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeAlias

import grpc
import structlog
from grpc import StatusCode
from grpc.aio import AioRpcError, Channel, StreamStreamCall

from longshore.client.callers import Metadata
from longshore.client.errors import rpc_error
from longshore.v1.worker_service_pb2 import WorkRequest, WorkResponse
from longshore.worker.session import Session

_Call: TypeAlias = StreamStreamCall[Any, WorkResponse]

_log = structlog.get_logger(__name__)

_METHOD: Final = "/longshore.v1.WorkerService/Work"
_WELCOME_SECONDS: Final = 5.0
_LINGER_SECONDS: Final = 0.2
_BEATS: Final = 3  #: Silence after which a stream is given up.


class StreamEnd(NamedTuple):
    """How a conversation ended."""

    welcomed: bool
    code: StatusCode
    message: str
    reason: str = ""
    goodbye: bool = False  #: Whether the worker has left, and the session is closed.


async def converse(channel: Channel, session: Session, metadata: Metadata) -> StreamEnd:
    """Speak with a server until the stream ends, for whatever reason."""
    call = channel.stream_stream(
        _METHOD,
        request_serializer=WorkRequest.SerializeToString,
        response_deserializer=WorkResponse.FromString,
    )(metadata=metadata)
    stream = _Stream(call, session)
    try:
        await stream.listen()
    except AioRpcError as error:
        return stream.end(error.code(), error.details() or "", rpc_error(error).reason)
    except TimeoutError:
        return stream.end(StatusCode.DEADLINE_EXCEEDED, "no answer to the hello")
    except asyncio.CancelledError:
        if not stream.given_up:
            raise
        return stream.end(StatusCode.DEADLINE_EXCEEDED, stream.given_up)
    finally:
        call.cancel()
    return stream.end(StatusCode.OK, "")


class _Stream:
    def __init__(self, call: _Call, session: Session) -> None:
        self.given_up = ""  # Why, if this side ended the stream.
        self._call = call
        self._session = session
        self._welcomed = False
        self._said_goodbye = False
        self._writing = asyncio.Lock()
        self._said_at = time.monotonic()
        self._heard_at = time.monotonic()
        self._heard = asyncio.Event()

    def end(self, code: StatusCode, message: str, reason: str = "") -> StreamEnd:
        goodbye = self._said_goodbye and code is StatusCode.OK
        return StreamEnd(self._welcomed, code, message, reason, goodbye)

    async def listen(self) -> None:
        """Say hello, then follow what the server says until it ends the stream."""
        await self._say(self._session.hello())
        self._session.connected = True
        async with asyncio.timeout(_WELCOME_SECONDS):
            response = await self._call.read()
        if isinstance(response, WorkResponse) and response.HasField("welcome"):
            self._session.welcome(response.welcome)
            self._welcomed = True
            sides = [asyncio.create_task(self._try(one)) for one in (self._speak, self._beat)]
            try:
                await self._follow(response)
            finally:
                for side in sides:
                    side.cancel()
                await asyncio.wait(sides)

    async def _follow(self, response: object) -> None:
        while isinstance(response, WorkResponse):
            self._heard_at = time.monotonic()
            self._heard.set()
            self._session.receive(response)
            if response.end:
                return
            response = await self._call.read()

    async def _try(self, side: Callable[[], Awaitable[None]]) -> None:
        """Do a part of the conversation; without it there is no use in the rest."""
        try:
            await side()
        except (AioRpcError, asyncio.InvalidStateError):
            pass  # the stream is over, and whoever reads it learns why
        except Exception as error:  # noqa: BLE001  # logged in full
            _log.exception("stream_broken")
            self._give_up(f"broken by {type(error).__name__}")

    def _give_up(self, why: str) -> None:
        self.given_up = why
        self._call.cancel()

    async def _speak(self) -> None:
        """Send what gathers; while one message is on its way, the next one grows."""
        session = self._session
        announced = lingered = False
        while True:
            await session.changed.wait()
            session.changed.clear()
            if session.draining and not announced:
                announced = True
                self._heard.clear()
                await self._say(WorkRequest(draining=True))
            for request in session.take():
                await self._say(request)
            if announced and session.settled.is_set() and not session.changed.is_set():
                if lingered:
                    self._said_goodbye = True
                    await self._call.done_writing()
                    return
                lingered = True
                await self._linger()
                session.changed.set()

    async def _linger(self) -> None:
        """Wait for work that the server sent before it knew that this worker leaves."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                await self._heard.wait()

    async def _say(self, request: WorkRequest) -> None:
        async with self._writing:
            await self._call.write(request)
            self._said_at = time.monotonic()

    async def _beat(self) -> None:
        """Break the own silence in time, and give the stream up if the server does not."""
        interval = self._session.beat
        while True:
            due = min(self._said_at + interval, self._heard_at + _BEATS * interval)
            await asyncio.sleep(max(due - time.monotonic(), 0.001))
            now = time.monotonic()
            if now > due + interval:  # this loop was blocked: what came meanwhile is unread
                self._heard_at = now
            if now >= self._heard_at + _BEATS * interval:
                self._give_up("the server fell silent")
                return
            if now >= self._said_at + interval and not self._writing.locked():
                await self._say(WorkRequest())


def is_refusal(end: StreamEnd) -> bool:
    """Whether the server knew the worker and would not have it."""
    return end.code in (
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNIMPLEMENTED,
    )
