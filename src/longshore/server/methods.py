"""Methods: how a service of the contract is registered, and what surrounds every call.

A service class names its service in `SERVICE` and defines the methods that are served, under
the names of the contract; the others stay unimplemented. Who calls, what a call is told when
it fails, and the access log are seen to here once for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, ClassVar, Final, Protocol, TypeAlias

import grpc
import grpc.aio
import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from longshore.core import errors
from longshore.server import audit
from longshore.server.decoding import decode
from longshore.server.errors import status_of
from longshore.server.gate import Call, Gate
from longshore.server.roles import LASTING
from longshore.server.visitors import Context, Visitor

log = structlog.get_logger()

_Handle: TypeAlias = Callable[[AsyncIterator[bytes], Context], Awaitable[Any]]

_DETAILS: Final = "grpc-status-details-bin"
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


#: What is asked of the catalog as it is known here. Raised before anything was done or said.
_UNKNOWN: Final = (
    errors.ServiceNotFound,
    errors.ActionNotFound,
    errors.QueueNotFound,
    errors.ContractNotFound,
    errors.ScheduleNotFound,
)

#: Learns what other servers have added to the catalog; tells whether there was anything.
Learn: TypeAlias = Callable[[], Awaitable[bool]]


class Service(Protocol):
    """What a service class has besides the methods that it serves."""

    SERVICE: ClassVar[str]  #: The full name in the contract.


def handlers_of(
    service: Service, gate: Gate, learn: Learn
) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    """Return what serves the methods of a service, by their names."""
    descriptor = Default().FindServiceByName(service.SERVICE)
    return {
        method.name: _handler(method, getattr(service, method.name), gate, learn)
        for method in descriptor.methods
        if hasattr(service, method.name)
    }


def _handler(
    method: MethodDescriptor, serve: Callable[..., Any], gate: Gate, learn: Learn
) -> grpc.RpcMethodHandler[Any, Any]:
    """Return what serves a method.

    To gRPC every request is a stream. Else it would wait for the one message of a call before
    anybody could ask who calls, for as long as a stranger likes.
    """
    door = _Door(method, gate, learn)
    handle = _handling(method, serve, door)
    if method.server_streaming:
        return grpc.stream_stream_rpc_method_handler(handle, None, _encoded)
    return grpc.stream_unary_rpc_method_handler(handle, None, _encoded)


def _handling(method: MethodDescriptor, serve: Callable[..., Any], door: _Door) -> _Handle:
    if method.client_streaming:
        return _conversation(door, serve)
    if method.server_streaming and not inspect.iscoroutinefunction(serve):
        return _stream(door, serve)
    if method.server_streaming or door.path in LASTING:
        return _lasting(door, serve)
    return _unary(door, serve)


class _Door:
    """Where the callers of one method come in."""

    def __init__(self, method: MethodDescriptor, gate: Gate, learn: Learn) -> None:
        self.path = f"/{method.containing_service.full_name}/{method.name}"
        self.gate = gate
        self.learn = learn
        self.needed = gate.needed(self.path)
        self.audited = audit.is_audited(self.needed)
        self._kind = GetMessageClass(method.input_type)

    def visitor(self, context: Context) -> Visitor:
        return Visitor(self.path, self.needed, context)

    async def enter(self, visitor: Visitor) -> Call:
        return self.gate.recognize(visitor) or await self.gate.identify(visitor)

    async def request(self, context: Context) -> Any:
        """Return the one request of a call. Raises `InvalidFields`, also if it is late."""
        return decode(self._kind, await self.gate.arrivals.read(context))


def _encoded(response: bytes | Message) -> bytes:
    return response if isinstance(response, bytes) else response.SerializeToString()


def _unary(door: _Door, serve: Callable[[Any, Call], Awaitable[Any]]) -> _Handle:
    recognize, identify, request = door.gate.recognize, door.gate.identify, door.request
    path, needed, audited = door.path, door.needed, door.audited

    async def handle(_requests: AsyncIterator[bytes], context: Context) -> Any:
        visitor = Visitor(path, needed, context)
        try:
            call = recognize(visitor) or await identify(visitor)
            asked = await request(context)
            try:
                response = await serve(asked, call)
            except _UNKNOWN:
                if not await door.learn():
                    raise
                response = await serve(asked, call)
        except Exception as error:  # noqa: BLE001  Whatever it is becomes a status.
            await _refuse(visitor, error)
        else:
            if audited:
                audit.done(visitor, asked)
            return response

    return handle


def _lasting(door: _Door, serve: Callable[[Any, Call], Awaitable[Any]]) -> _Handle:
    """Serve a call that waits, or writes by its context: both count as streams."""

    async def handle(_requests: AsyncIterator[bytes], context: Context) -> Any:
        visitor = door.visitor(context)
        try:
            call = await door.enter(visitor)
            with door.gate.stream(call):
                return await serve(await door.request(context), call)
        except Exception as error:  # noqa: BLE001  Whatever it is becomes a status.
            await _refuse(visitor, error)

    return handle


def _stream(door: _Door, serve: Callable[[Any, Call], AsyncGenerator[Any, None]]) -> _Handle:
    """Serve a method that yields its messages.

    They are written here and not yielded any further: who is ended while a message waits for
    its reader would be ended outside of this, and never learn why.
    """

    async def handle(_requests: AsyncIterator[bytes], context: Context) -> None:
        visitor = door.visitor(context)
        try:
            call = await door.enter(visitor)
            with door.gate.stream(call):
                request = await door.request(context)
                try:
                    await _write(serve(request, call), call)
                except _UNKNOWN:
                    if not await door.learn():
                        raise
                    await _write(serve(request, call), call)
        except Exception as error:  # noqa: BLE001  Whatever it is becomes a status.
            await _refuse(visitor, error)

    return handle


async def _write(messages: AsyncGenerator[Any, None], call: Call) -> None:
    async with contextlib.aclosing(messages):
        async for message in messages:
            await call.write(message)


def _conversation(door: _Door, serve: Callable[[Call], Awaitable[Any]]) -> _Handle:
    """Serve a stream of requests: the method reads by the call's context.

    There it also writes, where responses are a stream as well; else it returns its response.
    """
    assert inspect.iscoroutinefunction(serve)

    async def handle(_requests: AsyncIterator[bytes], context: Context) -> Any:
        visitor = door.visitor(context)
        try:
            call = await door.enter(visitor)
            with door.gate.stream(call):
                return await serve(call)
        except Exception as error:  # noqa: BLE001  Whatever it is becomes a status.
            await _refuse(visitor, error)

    return handle


async def _refuse(visitor: Visitor, error: Exception) -> None:
    """End a call with the status that says what went wrong."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    try:
        await _tell(visitor, error)
    except grpc.aio.InternalError:  # So it was a write that has failed: nobody is there.
        raise asyncio.CancelledError from None


async def _tell(visitor: Visitor, error: Exception) -> None:
    if isinstance(error, grpc.aio.InternalError):
        raise error
    status = status_of(error)
    code = _CODES[status.code]
    if isinstance(error, audit.DENIALS):
        audit.denied(visitor, error)
    else:
        log.info("call_refused", method=visitor.path, code=code.name, message=status.message)
    context = visitor.context
    trailing = (*(context.trailing_metadata() or ()), (_DETAILS, status.SerializeToString()))
    await context.abort(code, status.message, trailing)
