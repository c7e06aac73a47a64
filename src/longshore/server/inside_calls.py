"""Calls from inside: what servicers are given of them, and what streams them without a wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from functools import partial
from typing import Any, Final, NoReturn, TypeAlias, cast

import grpc.aio
from grpc import StatusCode
from grpc.aio import AbortError, AioRpcError, InternalError, Metadata

from longshore.core.limits import MESSAGE_BYTES

Pairs: TypeAlias = Iterable[tuple[str, str | bytes]]
Handle: TypeAlias = Callable[[Any, Any], Awaitable[Any]]

_PEER: Final = "ipv4:127.0.0.1:0"
_NOBODY: Final[Mapping[str, Iterable[bytes]]] = {}  #: Who a connection without TLS says it is.


def failed(code: StatusCode, details: str, trailing: Pairs = ()) -> AioRpcError:
    """Return what a caller is raised, as gRPC makes it of what comes over the wire."""
    return AioRpcError(code, Metadata(), Metadata(*trailing), details)


def fitting(message: bytes, side: str) -> bytes:
    """Return a message. Raises `AioRpcError`, in gRPC's words, if it is longer than is sent."""
    if len(message) > MESSAGE_BYTES:
        told = f"{side}: Sent message larger than max ({len(message)} vs. {MESSAGE_BYTES})"
        raise failed(StatusCode.RESOURCE_EXHAUSTED, told)
    return message


class Pipe:
    """Messages on their way, one at a time: the next is put when the last one was taken.

    One side puts and the other takes, so that never both have to wait.
    """

    __slots__ = ("_message", "_waiting", "closed")

    def __init__(self, message: bytes | None = None, *, closed: bool = False) -> None:
        self.closed = closed
        self._message = message
        self._waiting: asyncio.Future[None] | None = None

    def check(self) -> None:
        """Raise `AioRpcError` if the message that was put is longer than is sent."""
        if self._message is not None:
            fitting(self._message, "CLIENT")

    async def put(self, message: bytes) -> bool:
        """Put a message; false if nobody wants it any more."""
        while self._message is not None and not self.closed:
            await self._change()
        if self.closed:
            return False
        self._message = message
        self._changed()
        return True

    async def take(self) -> bytes | None:
        """Return the next message; None if no more will come."""
        while self._message is None and not self.closed:
            await self._change()
        message, self._message = self._message, None
        self._changed()
        return message

    def close(self) -> None:
        """Take no more messages; one that was put can still be taken."""
        self.closed = True
        self._changed()

    async def _change(self) -> None:
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    def _changed(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Context:
    """The server's side of a call, in the place of gRPC's."""

    __slots__ = (
        "_answers",
        "_encode",
        "_limit",
        "_metadata",
        "_requests",
        "_trailing",
        "error",
    )

    def __init__(
        self,
        metadata: Pairs,
        requests: Pipe,
        answers: Pipe,
        encode: Callable[[Any], bytes],
        limit: asyncio.Timeout | None = None,
    ) -> None:
        self.error: AioRpcError | None = None  #: Why it has failed.
        self._metadata = metadata
        self._requests = requests
        self._answers = answers
        self._encode = encode
        self._limit = limit
        self._trailing: Pairs = ()

    def invocation_metadata(self) -> Pairs:
        return self._metadata

    def peer(self) -> str:
        return _PEER

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return _NOBODY

    def time_remaining(self) -> float | None:
        deadline = None if self._limit is None else self._limit.when()
        return deadline and max(deadline - asyncio.get_running_loop().time(), 0.0)

    def set_trailing_metadata(self, trailing_metadata: Pairs) -> None:
        self._trailing = trailing_metadata

    def trailing_metadata(self) -> Pairs:
        return self._trailing

    async def read(self) -> Any:
        message = await self._requests.take()
        return grpc.aio.EOF if message is None else message

    async def write(self, message: Any) -> None:
        """Send a message. Raises `InternalError` if it cannot be sent."""
        try:
            encoded = fitting(self._encode(message), "SERVER")
        except AioRpcError as error:
            self.error = error
            raise InternalError(str(error.details())) from None
        if not await self._answers.put(encoded):
            raise InternalError("nobody reads any more")

    async def abort(
        self, code: StatusCode, details: str = "", trailing_metadata: Pairs | None = None
    ) -> NoReturn:
        trailing = self._trailing if trailing_metadata is None else trailing_metadata
        self.error = failed(code, details, trailing)
        raise AbortError(details)


class Streaming:
    """The client's side of a call of which one side streams, in the place of gRPC's."""

    def __init__(
        self,
        handle: Handle,
        metadata: Pairs,
        requests: Pipe,
        encode: Callable[[Any], bytes],  #: Of answers.
        codec: tuple[Callable[[Any], bytes], Callable[[bytes], Any]],  #: The client's.
    ) -> None:
        self._answers = Pipe()
        self._requests = requests
        self._encode, self._decode = codec
        self._cancelled = False
        self._error: AioRpcError | None = None
        self._answer = b""
        self._ended = asyncio.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._context = Context(metadata, requests, self._answers, encode)
        self.task = asyncio.create_task(self._serve(handle, encode))

    async def _serve(self, handle: Handle, encode: Callable[[Any], bytes]) -> None:
        context = self._context
        try:
            self._requests.check()
            answer = await handle(None, context)
            if answer is not None:
                self._answer = fitting(encode(answer), "SERVER")
        except AbortError:
            self._end(context.error)
        except AioRpcError as error:
            self._end(error)
        except asyncio.CancelledError:
            self._end(context.error or failed(StatusCode.CANCELLED, ""))
        else:
            self._end(None)

    def _end(self, error: AioRpcError | None) -> None:
        if self._ended.is_set():
            return
        self._error = error
        self._ended.set()
        self._answers.close()
        self._requests.close()
        for callback in self._callbacks:
            callback()

    def stop(self, error: AioRpcError) -> None:
        """End it from outside, with an error."""
        self._end(error)
        self.task.cancel()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        bound = partial(callback, self)
        if self._ended.is_set():
            bound()
        else:
            self._callbacks.append(bound)

    def cancel(self) -> bool:
        if self._ended.is_set():
            return False
        self._cancelled = True
        self.stop(failed(StatusCode.CANCELLED, "Locally cancelled by application!"))
        return True

    async def read(self) -> Any:
        """Return the next answer, or `EOF`. Raises `AioRpcError`."""
        if not self._cancelled:
            message = await self._while_waiting(self._answers.take())
            if message is not None:
                return self._decode(message)
        self._check()
        return grpc.aio.EOF

    async def write(self, request: Any) -> None:
        """Send a request. Raises `InvalidStateError` if the call has ended."""
        try:
            message = fitting(self._encode(request), "CLIENT")
        except AioRpcError as error:
            self.stop(error)
            raise
        if not await self._while_waiting(self._requests.put(message)):
            raise asyncio.InvalidStateError("the call has ended")

    async def done_writing(self) -> None:
        self._requests.close()

    def __await__(self) -> Generator[Any, None, Any]:
        return self._outcome().__await__()

    async def _outcome(self) -> Any:
        await self._while_waiting(self._ended.wait())
        self._check()
        return self._decode(self._answer)

    async def code(self) -> StatusCode:
        await self._ended.wait()
        return StatusCode.OK if self._error is None else self._error.code()

    async def details(self) -> str:
        await self._ended.wait()
        return "" if self._error is None else str(self._error.details())

    async def trailing_metadata(self) -> Metadata:
        await self._ended.wait()
        if self._error is not None:
            return cast("Metadata", self._error.trailing_metadata())
        return Metadata(*self._context.trailing_metadata())

    async def _while_waiting(self, step: Awaitable[Any]) -> Any:
        """Take a step; who is cancelled meanwhile ends the call, as with gRPC."""
        try:
            return await step
        except asyncio.CancelledError:
            self.cancel()
            raise

    def _check(self) -> None:
        """Raise what has ended the call, if that was no good end."""
        if self._cancelled:
            raise asyncio.CancelledError
        if self._error is not None:
            raise self._error
