"""The way to the servers: call metadata, deadlines, and what is tried again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, TypeVar

from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc.aio import AioRpcError
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_before_delay,
    stop_never,
    wait_random_exponential,
)

from longshore.client.callers import Caller, Metadata
from longshore.client.errors import CallError
from longshore.client.servers import Servers
from longshore.client.streams import Sending, Stream, failure, is_unavailable

R = TypeVar("R", bound=Message)

DEFAULT_SERVER: Final = "127.0.0.1:50051"

#: Seconds between two attempts: anything between 0 and 0.2, 0.4, 0.8 … 30.
_BACKOFF: Final = wait_random_exponential(multiplier=0.2, max=30)


class Connection:
    """Two channels to a server: one for calls, one for what streams for a long time.

    The type of a request tells the method, as every method of the contract has its own.
    """

    def __init__(self, caller: Caller, timeout: float) -> None:
        self.timeout = timeout
        self._caller = caller
        self._calls = Servers(caller)
        self._streams = Servers(caller)

    def acting(self, metadata: Mapping[str, str]) -> Acting:
        """Return the same way for somebody else, who shows nothing but this metadata.

        Raises `InvalidValue` if it would show a credential to those who listen.
        """
        self._caller.check(metadata)
        return Acting(self, metadata)

    async def close(self) -> None:
        await asyncio.gather(self._calls.close(), self._streams.close())

    async def reach(self) -> None:
        """Connect, or raise `Unavailable` when every server has failed once."""
        await self._calls.connected(self.timeout)

    async def ask(self, request: Message, answer: type[R]) -> R:
        """Make a call once."""
        return await self._ask(request, answer, time.monotonic() + self.timeout)

    async def ask_safely(self, request: Message, answer: type[R]) -> R:
        """Make a call that may be repeated, by its request id or by what it does: it is, while
        nobody is available.

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
        call = open_(request, metadata=self._metadata())
        return Stream(call, self._streams, channel)

    async def send(self, request: type[Message]) -> Sending:
        """Open a stream of such requests. If no server can be connected: `Unavailable`."""
        channel = await self._streams.connected(self.timeout)
        method = _method(request.DESCRIPTOR)
        open_ = channel.stream_unary(_path(method), _encode, _reader(method))
        call = open_(metadata=self._metadata())
        return Sending(call, self._streams, channel)

    def _metadata(self) -> Metadata:
        return self._caller.metadata()

    async def _ask(self, request: Message, answer: type[R], deadline: float) -> R:
        channel = await self._calls.connected(max(deadline - time.monotonic(), 0.0))
        method = _method(request.DESCRIPTOR)
        call = channel.unary_unary(_path(method), _encode, _reader(method))
        left = max(deadline - time.monotonic(), 0.0)
        try:
            with self._calls.using(channel):
                told = await call(request, timeout=left, metadata=self._metadata())
        except AioRpcError as error:
            raise failure(error, self._calls, channel) from None
        assert isinstance(told, answer)
        return told


class Acting(Connection):
    """Somebody else's calls over the channels of a connection, which has to stay open."""

    def __init__(self, connection: Connection, metadata: Mapping[str, str]) -> None:
        # All but the metadata is that of the connection.
        self.__dict__.update(vars(connection))
        self._carried = tuple(metadata.items())

    def _metadata(self) -> Metadata:
        return self._carried

    async def close(self) -> None:
        """Do nothing: the channels are others'."""


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
