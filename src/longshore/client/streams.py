"""Calls of which one side streams: answers that are read, requests that are written, in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar, cast

from grpc import StatusCode
from grpc.aio import EOF, AioRpcError, InternalError, Metadata

from longshore.client.errors import CallError, late, lost, rpc_error
from longshore.client.servers import Servers
from longshore.client.transports import Answers, Requests, Transport
from longshore.v1.operation_pb2 import End

T = TypeVar("T")

#: What gRPC says itself of a call that ended while a request was being written.
_NOT_WRITTEN: Final = "Internal error from Core"


class Stream:
    """A call whose answers are read one by one."""

    def __init__(self, call: Answers, servers: Servers, channel: Transport) -> None:
        self._call = call
        self._servers = servers
        self._channel = channel
        servers.carry(call, channel)

    async def read(self) -> object:
        """Return the next answer, or `EOF`; raises `CallError`."""
        try:
            message: Any = await self._call.read()
        except AioRpcError as error:
            raise failure(error, self._servers, self._channel) from None
        except asyncio.CancelledError:
            raise _cancellation() from None
        if message is not EOF and getattr(message, "end", None) == End.END_RECONNECT:
            self._servers.pass_over(self._channel)
        return cast("object", message)

    def cancel(self) -> bool:
        return self._call.cancel()


class Sending:
    """A call whose requests are written one by one, and which is answered once."""

    def __init__(self, call: Requests, servers: Servers, channel: Transport) -> None:
        self._call = call
        self._servers = servers
        self._channel = channel
        self._told: AioRpcError | None = None
        call.add_done_callback(self._note)
        servers.carry(call, channel)

    async def write(self, message: Any) -> bool:
        """Write a request; false if the server has answered already, and wants no more."""
        try:
            await self._call.write(message)
        except (AioRpcError, asyncio.InvalidStateError):
            return False  # Why is said by the answer only.
        except asyncio.CancelledError:
            raise _cancellation() from None
        return True

    async def answer(self) -> Any:
        """Say that this was all, unless the call has ended, and return the answer.

        Raises `CallError`.
        """
        try:
            with suppress(InternalError):
                await self._call.done_writing()
            return await self._call
        except AioRpcError as error:
            raise self._failure(error) from None
        except asyncio.CancelledError:
            raise _cancellation() from None

    def cancel(self) -> bool:
        return self._call.cancel()

    def _note(self, call: Any) -> None:
        """Keep what the call ended with: gRPC forgets it if a request cannot be written then."""
        code, details = _at_once(call.code()), _at_once(call.details())
        if self._told is None and details != _NOT_WRITTEN:
            trailing = _at_once(call.trailing_metadata())
            self._told = AioRpcError(code, Metadata(), trailing, details)

    def _failure(self, error: AioRpcError) -> CallError:
        if error.details() != _NOT_WRITTEN:
            return failure(error, self._servers, self._channel)
        if self._told is not None and self._told.code() is not StatusCode.OK:
            return failure(self._told, self._servers, self._channel)
        return lost("the stream broke while it was written to")


def _at_once(known: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns that has nothing to wait for."""
    try:
        known.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    raise AssertionError("it waits for something")


async def in_time(step: Awaitable[T], seconds: float) -> T:
    """Wait for one step of a stream; raises `DeadlineExceeded` if it takes longer."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await step
    except TimeoutError:
        if not limit.expired():
            raise
        raise late(f"nothing went on for {seconds:g} s") from None


def is_unavailable(error: BaseException) -> bool:
    """Whether a call may be repeated: nobody was there. A refusal in words is an answer."""
    return (
        isinstance(error, CallError)
        # A server that stops cancels calls that reached it but none of its methods.
        and error.code in (StatusCode.UNAVAILABLE, StatusCode.CANCELLED)
        and error.reason != "MAINTENANCE"
    )


def failure(error: AioRpcError, servers: Servers, channel: Transport) -> CallError:
    """Return why a call failed; if its server is not available, the next has its turn."""
    failed = rpc_error(error)
    if is_unavailable(failed):
        servers.pass_over(channel)
    return failed


def _cancellation() -> BaseException:
    """Tell apart whether somebody cancelled the task that runs, or only its stream."""
    task = asyncio.current_task()
    if task is not None and task.cancelling() > 0:
        return asyncio.CancelledError()
    return lost("the stream was cancelled")
