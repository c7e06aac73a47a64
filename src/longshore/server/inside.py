"""Inside: callers in the server's own process, who need no wire to reach its methods.

They get channels that behave as those of gRPC do: the same bytes go in and come out, the gate
is passed in the same way, and whatever goes wrong is raised as gRPC would raise it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeAlias, cast

from grpc import ChannelConnectivity, RpcMethodHandler, StatusCode
from grpc.aio import AbortError, AioRpcError

from longshore.server.core_options import HEADER_BYTES
from longshore.server.inside_calls import (
    Context,
    Handle,
    Pairs,
    Pipe,
    Streaming,
    failed,
    fitting,
)

_Encode: TypeAlias = Callable[[Any], bytes]
_Decode: TypeAlias = Callable[[bytes], Any]

_NOWHERE: Final = Pipe(closed=True)
_ENTRY_BYTES: Final = 32  #: What HTTP/2 counts for each header besides its name and value.


class Inside:
    """The methods of a server by their paths, and the channels to them that are open."""

    def __init__(self) -> None:
        self.serving = False
        self._methods: dict[str, tuple[Handle, _Encode]] = {}
        self._channels: set[InsideChannel] = set()

    def serve(self, handlers: Mapping[str, Mapping[str, RpcMethodHandler[Any, Any]]]) -> None:
        """Begin to serve handlers, by the names of services and methods."""
        for service, by_name in handlers.items():
            for name, handler in by_name.items():
                self._methods[f"/{service}/{name}"] = _served(handler)
        self.serving = True

    def open(self) -> InsideChannel:
        """Open a channel."""
        channel = InsideChannel(self)
        self._channels.add(channel)
        return channel

    def forget(self, channel: InsideChannel) -> None:
        self._channels.discard(channel)

    def found(self, path: str, metadata: Pairs) -> tuple[Handle, _Encode]:
        """Return what serves a method, and what encodes its answers.

        Raises `AioRpcError` as the core of gRPC would refuse the call.
        """
        size = sum(len(name) + len(value) + _ENTRY_BYTES for name, value in metadata)
        if size > HEADER_BYTES:
            told = f"received metadata size exceeds hard limit ({size} vs. {HEADER_BYTES})"
            raise failed(StatusCode.RESOURCE_EXHAUSTED, told)
        if path not in self._methods:
            raise failed(StatusCode.UNIMPLEMENTED, "Method not found!")
        if not self.serving:
            raise failed(StatusCode.UNAVAILABLE, "the server has stopped")
        return self._methods[path]

    async def stop(self, grace_seconds: float | None) -> None:
        """Take no more calls; those under way are cut after the grace, None: at once."""
        self.serving = False
        await asyncio.gather(*(one.drain(grace_seconds or 0.0) for one in self._channels))


class InsideChannel:
    """A channel to the server of this process."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._closed = False
        self._asks: set[asyncio.Timeout] = set()
        self._streams: dict[asyncio.Task[None], Streaming] = {}
        self._idle: asyncio.Event | None = None  #: While it is waited for.
        self._cut = False

    def get_state(self, try_to_connect: bool = False) -> ChannelConnectivity:
        if self._closed:
            return ChannelConnectivity.SHUTDOWN
        if self._inside.serving:
            return ChannelConnectivity.READY
        return ChannelConnectivity.TRANSIENT_FAILURE

    async def wait_for_state_change(self, last_observed_state: ChannelConnectivity) -> None:
        """Wait, for ever: what has stopped in its own process does not come back."""
        if self.get_state() is last_observed_state:
            await asyncio.get_running_loop().create_future()

    async def close(self, grace: float | None = None) -> None:
        """Take no more calls; those under way are cut after the grace, None: at once."""
        self._closed = True
        self._inside.forget(self)
        await self.drain(grace or 0.0)

    def unary_unary(
        self, method: str, request_serializer: _Encode, response_deserializer: _Decode
    ) -> Callable[..., Awaitable[Any]]:
        """Return what makes a call. It runs in the caller's own task."""

        async def ask(
            request: Any,
            *,
            timeout: float | None = None,  # noqa: ASYNC109  its name in gRPC
            metadata: Pairs = (),
        ) -> Any:
            requests = Pipe(fitting(request_serializer(request), "CLIENT"), closed=True)
            handle, encode = self._inside.found(method, metadata)
            limit = asyncio.timeout(timeout)
            context = Context(metadata, requests, _NOWHERE, encode, limit)
            try:
                async with limit:
                    self._asks.add(limit)
                    answer = await handle(None, context)
            except AbortError:
                assert context.error is not None
                raise context.error from None
            except TimeoutError:
                raise _cancelled() if self._cut else _late() from None
            finally:
                self._asks.discard(limit)
                self._look_whether_idle()
            return response_deserializer(fitting(encode(answer), "SERVER"))

        return ask

    def unary_stream(
        self, method: str, request_serializer: _Encode, response_deserializer: _Decode
    ) -> Callable[..., Streaming]:
        """Return what opens a stream of answers."""

        def opened(request: Any, *, metadata: Pairs = ()) -> Streaming:
            message = request_serializer(request)
            codec = (request_serializer, response_deserializer)
            return self._open(method, metadata, Pipe(message, closed=True), codec)

        return opened

    def stream_unary(
        self, method: str, request_serializer: _Encode, response_deserializer: _Decode
    ) -> Callable[..., Streaming]:
        """Return what opens a stream of requests."""

        def opened(*, metadata: Pairs = ()) -> Streaming:
            codec = (request_serializer, response_deserializer)
            return self._open(method, metadata, Pipe(), codec)

        return opened

    def _open(
        self, path: str, metadata: Pairs, requests: Pipe, codec: tuple[_Encode, _Decode]
    ) -> Streaming:
        try:
            handle, encode = self._inside.found(path, metadata)
        except AioRpcError as error:
            handle, encode = _refusing(error), codec[0]
        stream = Streaming(handle, metadata, requests, encode, codec)
        self._streams[stream.task] = stream
        stream.task.add_done_callback(self._forget)
        return stream

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._streams[task]
        self._look_whether_idle()

    def _look_whether_idle(self) -> None:
        if self._idle is not None and not self._asks and not self._streams:
            self._idle.set()

    async def drain(self, grace_seconds: float) -> None:
        """Wait for the calls under way, and cut those that last longer than the grace."""
        self._idle = asyncio.Event()
        self._look_whether_idle()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self._idle.wait()
        self._cut = True
        for ask in self._asks:
            ask.reschedule(asyncio.get_running_loop().time())
        for stream in self._streams.values():
            stream.stop(_cancelled())
        await asyncio.gather(*self._streams, return_exceptions=True)


def _served(handler: RpcMethodHandler[Any, Any]) -> tuple[Handle, _Encode]:
    handle = handler.stream_stream if handler.response_streaming else handler.stream_unary
    return cast("Handle", handle), cast("_Encode", handler.response_serializer)


def _refusing(error: AioRpcError) -> Handle:
    """Return what serves a call that nobody serves."""

    async def handle(_requests: object, _context: object) -> None:
        raise error

    return handle


def _late() -> AioRpcError:
    return failed(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")


def _cancelled() -> AioRpcError:
    return failed(StatusCode.UNAVAILABLE, "Cancelling all calls")
