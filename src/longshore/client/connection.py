"""The way to a server: channels, call metadata, deadlines, and what is tried again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import grpc
from google.protobuf.message import Message
from grpc import ChannelConnectivity, StatusCode
from grpc.aio import AioRpcError, Channel, UnaryUnaryMultiCallable
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_before_delay,
    stop_never,
    wait_random_exponential,
)

from longshore.client.errors import CallError, lost, rpc_error

Q = TypeVar("Q", bound=Message)
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
    """Two channels to one server: one for calls, one for what streams for a long time."""

    def __init__(self, server: str, metadata: Mapping[str, str], timeout: float) -> None:
        self.server = server
        self.metadata = tuple(metadata.items())
        self.timeout = timeout
        self.calls = open_channel(server)
        self.streams = open_channel(server)

    async def close(self) -> None:
        await asyncio.gather(self.calls.close(), self.streams.close())

    async def reach(self) -> None:
        """Connect, or raise `Unavailable` at the first failure."""
        try:
            async with asyncio.timeout(self.timeout):
                await _reach(self.calls)
        except TimeoutError:
            raise lost(f"{self.server} does not answer") from None

    async def ask(self, method: UnaryUnaryMultiCallable[Q, R], request: Q) -> R:
        """Make a call once."""
        return await self._ask(method, request, time.monotonic() + self.timeout)

    async def ask_safely(self, method: UnaryUnaryMultiCallable[Q, R], request: Q) -> R:
        """Make a call that carries a request id: it is repeated while nobody is available.

        All attempts together take at most the timeout.
        """
        deadline = time.monotonic() + self.timeout
        try:
            return await self._ask(method, request, deadline)
        except CallError as error:
            if not is_unavailable(error):
                raise
        again = retrying(is_unavailable, deadline - time.monotonic())
        return await again(self._ask, method, request, deadline)

    async def _ask(
        self, method: UnaryUnaryMultiCallable[Q, R], request: Q, deadline: float
    ) -> R:
        left = max(deadline - time.monotonic(), 0.0)
        try:
            return await method(request, timeout=left, metadata=self.metadata)
        except AioRpcError as error:
            raise rpc_error(error) from None


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
