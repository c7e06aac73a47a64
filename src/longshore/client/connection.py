"""The way to the servers: call metadata, deadlines, and what is tried again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeVar, cast

from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode
from grpc.aio import EOF, AioRpcError, Channel, UnaryStreamCall
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_before_delay,
    stop_never,
    wait_random_exponential,
)

from longshore.client.errors import CallError, rpc_error
from longshore.client.servers import Servers, split_addresses
from longshore.v1.operation_pb2 import End

R = TypeVar("R", bound=Message)

DEFAULT_SERVER: Final = "127.0.0.1:50051"

#: Seconds between two attempts: anything between 0 and 0.2, 0.4, 0.8 … 30.
_BACKOFF: Final = wait_random_exponential(multiplier=0.2, max=30)


class Connection:
    """Two channels to a server: one for calls, one for what streams for a long time.

    The type of a request tells the method, as every method of the contract has its own.
    """

    def __init__(
        self, servers: str | Sequence[str], metadata: Mapping[str, str], timeout: float
    ) -> None:
        addresses = split_addresses(servers)
        self.timeout = timeout
        self._metadata = tuple(metadata.items())
        self._calls = Servers(addresses)
        self._streams = Servers(addresses)

    async def close(self) -> None:
        await asyncio.gather(self._calls.close(), self._streams.close())

    async def reach(self) -> None:
        """Connect, or raise `Unavailable` when every server has failed once."""
        await self._calls.connected(self.timeout)

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

    async def open(self, request: Message, *, wait: bool) -> Stream:
        """Open a stream. If no server can be connected: wait for one, or raise `Unavailable`."""
        channel = await self._streams.connected(None, wait=wait)
        method = _method(request.DESCRIPTOR)
        open_ = channel.unary_stream(_path(method), _encode, _reader(method))
        return Stream(open_(request, metadata=self._metadata), self._streams, channel)

    async def _ask(self, request: Message, answer: type[R], deadline: float) -> R:
        channel = await self._calls.connected(max(deadline - time.monotonic(), 0.0))
        method = _method(request.DESCRIPTOR)
        call = channel.unary_unary(_path(method), _encode, _reader(method))
        left = max(deadline - time.monotonic(), 0.0)
        try:
            told = await call(request, timeout=left, metadata=self._metadata)
        except AioRpcError as error:
            raise _failure(error, self._calls, channel) from None
        assert isinstance(told, answer)
        return told


class Stream:
    """A call whose answers are read one by one."""

    def __init__(
        self, call: UnaryStreamCall[Any, Any], servers: Servers, channel: Channel
    ) -> None:
        self._call = call
        self._servers = servers
        self._channel = channel

    async def read(self) -> object:
        """Return the next answer, or `EOF`; raises `CallError`."""
        try:
            message: Any = await self._call.read()
        except AioRpcError as error:
            raise _failure(error, self._servers, self._channel) from None
        if message is not EOF and message.end == End.END_RECONNECT:
            self._servers.pass_over(self._channel)
        return cast("object", message)

    def cancel(self) -> bool:
        return self._call.cancel()


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


def _failure(error: AioRpcError, servers: Servers, channel: Channel) -> CallError:
    """Return why a call failed; if its server is not available, the next has its turn."""
    failure = rpc_error(error)
    if is_unavailable(failure):
        servers.pass_over(channel)
    return failure


def _wait(state: RetryCallState) -> float:
    error = state.outcome and state.outcome.exception()
    told = error.retry_after if isinstance(error, CallError) else None
    return max(_BACKOFF(state), told or 0.0)


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
