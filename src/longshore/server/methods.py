"""Methods: how a service of the contract is registered, and what surrounds every call.

A service class names its service in `SERVICE` and defines the methods that are served, under
the names of the contract; the others stay unimplemented. Who calls, what a call is told when
it fails, and the access log are seen to here once for all.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, ClassVar, Final, Protocol

import grpc
import grpc.aio
import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from longshore.server import audit
from longshore.server.beginnings import Beginnings
from longshore.server.decoding import decode
from longshore.server.errors import status_of
from longshore.server.gate import Call, Gate
from longshore.server.roles import LASTING
from longshore.server.visitors import Context, Visitor

log = structlog.get_logger()

_DETAILS: Final = "grpc-status-details-bin"
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


class Service(Protocol):
    """What a service class has besides the methods that it serves."""

    SERVICE: ClassVar[str]  #: The full name in the contract.


def handlers_of(service: Service, gate: Gate) -> grpc.GenericRpcHandler:
    """Return what registers a service with a gRPC server."""
    descriptor = Default().FindServiceByName(service.SERVICE)
    handlers = {
        f"/{service.SERVICE}/{method.name}": _handler(
            method, getattr(service, method.name), gate
        )
        for method in descriptor.methods
        if hasattr(service, method.name)
    }
    return _Handlers(handlers, gate.beginnings)


class _Handlers(grpc.GenericRpcHandler):
    """Finds the method that a call is for, before its request has come."""

    def __init__(
        self, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]], beginnings: Beginnings
    ) -> None:
        self._handlers = handlers
        self._called = beginnings.called

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = self._handlers.get(handler_call_details.method)
        # A stream of requests is served at once, and sees to its silences itself.
        if handler is not None and not handler.request_streaming:
            self._called()
        return handler


def _handler(
    method: MethodDescriptor, serve: Callable[..., Any], gate: Gate
) -> grpc.RpcMethodHandler[Any, Any]:
    door = _Door(f"/{method.containing_service.full_name}/{method.name}", gate)
    kind = GetMessageClass(method.input_type)
    if method.client_streaming and method.server_streaming:
        return grpc.stream_stream_rpc_method_handler(_conversation(door, serve), None, _encoded)
    if method.client_streaming:
        return grpc.stream_unary_rpc_method_handler(_conversation(door, serve), None, _encoded)
    if method.server_streaming and inspect.iscoroutinefunction(serve):
        return grpc.unary_stream_rpc_method_handler(_lasting(door, kind, serve), None, _encoded)
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(_stream(door, kind, serve), None, _encoded)
    if door.path in LASTING:
        return grpc.unary_unary_rpc_method_handler(_lasting(door, kind, serve), None, _encoded)
    return grpc.unary_unary_rpc_method_handler(_unary(door, kind, serve), None, _encoded)


class _Door:
    """Where the callers of one method come in."""

    def __init__(self, path: str, gate: Gate) -> None:
        self.path = path
        self.gate = gate
        self.begun = gate.beginnings.begun
        self.needed = gate.needed(path)
        self.audited = audit.is_audited(self.needed)

    def visitor(self, context: Context) -> Visitor:
        """Return who makes a call whose request is there, or is a stream that has begun."""
        self.begun()
        return Visitor(self.path, self.needed, context)

    async def enter(self, visitor: Visitor) -> Call:
        return self.gate.recognize(visitor) or await self.gate.identify(visitor)


def _encoded(response: bytes | Message) -> bytes:
    return response if isinstance(response, bytes) else response.SerializeToString()


def _unary(
    door: _Door, kind: type[Message], serve: Callable[[Any, Call], Awaitable[Any]]
) -> Callable[[bytes, Context], Awaitable[Any]]:
    recognize, identify = door.gate.recognize, door.gate.identify
    begun, path, needed, audited = door.begun, door.path, door.needed, door.audited

    async def handle(data: bytes, context: Context) -> Any:
        begun()
        visitor = Visitor(path, needed, context)
        try:
            call = recognize(visitor) or await identify(visitor)
            response = await serve(decode(kind, data), call)
        except Exception as error:  # noqa: BLE001  Whatever it is becomes a status.
            await _refuse(visitor, error)
        else:
            if audited:
                audit.done(visitor)
            return response

    return handle


def _lasting(
    door: _Door, kind: type[Message], serve: Callable[[Any, Call], Awaitable[Any]]
) -> Callable[[bytes, Context], Awaitable[Any]]:
    """Serve a call that waits, or writes by its context: both count as streams."""

    async def handle(data: bytes, context: Context) -> Any:
        visitor = door.visitor(context)
        try:
            call = await door.enter(visitor)
            with door.gate.stream(call):
                return await serve(decode(kind, data), call)
        except Exception as error:  # noqa: BLE001  Whatever it is becomes a status.
            await _refuse(visitor, error)

    return handle


def _stream(
    door: _Door, kind: type[Message], serve: Callable[[Any, Call], AsyncGenerator[Any, None]]
) -> Callable[[bytes, Context], Awaitable[None]]:
    """Serve a method that yields its messages.

    They are written here and not yielded any further: who is ended while a message waits for
    its reader would be ended outside of this, and never learn why.
    """

    async def handle(data: bytes, context: Context) -> None:
        visitor = door.visitor(context)
        try:
            call = await door.enter(visitor)
            with door.gate.stream(call):
                async with contextlib.aclosing(serve(decode(kind, data), call)) as messages:
                    async for message in messages:
                        await context.write(message)
        except Exception as error:  # noqa: BLE001  Whatever it is becomes a status.
            await _refuse(visitor, error)

    return handle


def _conversation(
    door: _Door, serve: Callable[[Call], Awaitable[Any]]
) -> Callable[[AsyncIterator[bytes], Context], Awaitable[Any]]:
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
    status = status_of(error)
    code = _CODES[status.code]
    if isinstance(error, audit.DENIALS):
        audit.denied(visitor, error)
    else:
        log.info("call_refused", method=visitor.path, code=code.name, message=status.message)
    context = visitor.context
    trailing = (*(context.trailing_metadata() or ()), (_DETAILS, status.SerializeToString()))
    await context.abort(code, status.message, trailing)
