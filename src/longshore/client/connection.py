"""The way to a server: channels, call metadata, deadlines, and what is tried again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import ChannelConnectivity, StatusCode
from grpc.aio import AioRpcError, Channel, UnaryStreamCall
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_before_delay,
    stop_never,
    wait_random_exponential,
)

from longshore.client.errors import CallError, lost, rpc_error

R = TypeVar("R", bound=Message)

DEFAULT_SERVER: Final = "127.0.0.1:50051"

_MESSAGE_BYTES: Final = 4 * 1024 * 1024

#: Seconds between two attempts: anything between 0 and 0.2, 0.4, 0.8 … 30.
_BACKOFF: Final = wait_random_exponential(multiplier=0.2, max=30)

CHANNEL_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 30_000),
    # Channels with equal options share their connections otherwise.
    ("grpc.use_local_subchannel_pool", 1),
)


class Connection:
    """Two channels to one server: one for calls, one for what streams for a long time.

    The type of a request tells the method, as every method of the contract has its own.
    """

    def __init__(self, server: str, metadata: Mapping[str, str], timeout: float) -> None:
        self.server = server
        self.timeout = timeout
        self._metadata = tuple(metadata.items())
        self._calls = open_channel(server)
        self._streams = open_channel(server)

    async def close(self) -> None:
        await asyncio.gather(self._calls.close(), self._streams.close())

    async def reach(self) -> None:
        """Connect, or raise `Unavailable` at the first failure."""
        try:
            async with asyncio.timeout(self.timeout):
                await _reach(self._calls)
        except TimeoutError:
            raise lost(f"{self.server} does not answer") from None

    async def ask(self, request: Message, answer: type[R]) -> R:
        """Make a call once."""
        return await self._ask(request, answer, time.monotonic() + self.timeout)

    async def ask_safely(self, request: Message, answer: type[R]) -> R:
        """Make a call that carries a request id: it is repeated while nobody is available.

        All attempts together take at most the timeout.
        """
        deadline = time.monotonic() + self.timeout
        try:
            return await self._ask(request, answer, deadline)
        except CallError as error:
            if not is_unavailable(error):
                raise
        again = retrying(is_unavailable, deadline - time.monotonic())
        return await again(self._ask, request, answer, deadline)

    async def open(self, request: Message, *, wait: bool) -> UnaryStreamCall[Any, Any]:
        """Open a stream; with `wait`, once there is a server."""
        method = _method(request.DESCRIPTOR)
        call = self._streams.unary_stream(_path(method), _encode, _reader(method))
        return call(request, metadata=self._metadata, wait_for_ready=wait)

    async def _ask(self, request: Message, answer: type[R], deadline: float) -> R:
        left = max(deadline - time.monotonic(), 0.0)
        method = _method(request.DESCRIPTOR)
        call = self._calls.unary_unary(_path(method), _encode, _reader(method))
        try:
            told = await call(request, timeout=left, metadata=self._metadata)
        except AioRpcError as error:
            raise rpc_error(error) from None
        assert isinstance(told, answer)
        return told


def open_channel(server: str) -> Channel:
    """Return a channel with the settings that the contract's servers expect."""
    return grpc.aio.insecure_channel(server, options=CHANNEL_OPTIONS)


def retrying(passing: Callable[[BaseException], bool], patience: float | None) -> AsyncRetrying:
    """Return what repeats a coroutine while it raises `passing` errors, with backoff.

    The last error is raised after `patience` seconds; None: never.
    """
    return AsyncRetrying(
        retry=retry_if_exception(passing),
        wait=_wait,
        stop=stop_never if patience is None else stop_before_delay(patience),
        reraise=True,
    )


def is_unavailable(error: BaseException) -> bool:
    """Whether a call may be repeated: nobody was there. A refusal in words is an answer."""
    return (
        isinstance(error, CallError)
        # A server that stops cancels calls that reached it but none of its methods.
        and error.code in (StatusCode.UNAVAILABLE, StatusCode.CANCELLED)
        and error.reason != "MAINTENANCE"
    )


def _wait(state: RetryCallState) -> float:
    error = state.outcome and state.outcome.exception()
    told = error.retry_after if isinstance(error, CallError) else None
    return max(_BACKOFF(state), told or 0.0)


async def _reach(channel: Channel) -> None:
    while (state := channel.get_state(try_to_connect=True)) is not ChannelConnectivity.READY:
        if state is ChannelConnectivity.TRANSIENT_FAILURE:
            raise lost("there is no connection")
        await channel.wait_for_state_change(state)


@cache
def _method(request: Descriptor) -> MethodDescriptor:
    """Return the one method that takes such requests."""
    for service in request.file.services_by_name.values():
        for method in service.methods:
            if method.input_type is request:
                return method
    raise TypeError(f"{request.full_name} asks for nothing")


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def _reader(method: MethodDescriptor) -> Callable[[bytes], Message]:
    return GetMessageClass(method.output_type).FromString


def _encode(message: Message) -> bytes:
    return message.SerializeToString()
