"""Methods: how a service of the contract is registered, and what surrounds every call.

A service class names its service in `SERVICE` and defines the methods that are served, under
the names of the contract; the others stay unimplemented. Who calls, what a call is told when
it fails, and the access log are seen to here once for all.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, TypeAlias

import grpc
import grpc.aio
import structlog
import uuid_utils
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from longshore.core.callers import Caller
from longshore.core.errors import LimitExceeded
from longshore.core.limits import NAME_CHARACTERS
from longshore.server.decoding import decode
from longshore.server.errors import status_of

log = structlog.get_logger()

_HEADER_CHARACTERS: Final = 128  #: Of an x-request-id, which other systems may have made.
_DETAILS: Final = "grpc-status-details-bin"
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


@dataclass(frozen=True, slots=True)
class Call:
    """One call: who makes it, and the channel's side of it."""

    caller: Caller
    traceparent: str | None
    context: Context


class Service(Protocol):
    """What a service class has besides the methods that it serves."""

    SERVICE: ClassVar[str]  #: The full name in the contract.


def handlers_of(service: Service) -> grpc.GenericRpcHandler:
    """Return what registers a service with a gRPC server."""
    descriptor = Default().FindServiceByName(service.SERVICE)
    handlers = {
        method.name: _handler(method, getattr(service, method.name))
        for method in descriptor.methods
        if hasattr(service, method.name)
    }
    return grpc.method_handlers_generic_handler(service.SERVICE, handlers)


def _handler(
    method: MethodDescriptor, serve: Callable[..., Any]
) -> grpc.RpcMethodHandler[Any, Any]:
    kind = GetMessageClass(method.input_type)
    path = f"/{method.containing_service.full_name}/{method.name}"
    if method.client_streaming and method.server_streaming:
        return grpc.stream_stream_rpc_method_handler(_conversation(path, serve), None, _encoded)
    if method.client_streaming:
        return grpc.stream_unary_rpc_method_handler(_conversation(path, serve), None, _encoded)
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(_stream(path, kind, serve), None, _encoded)
    return grpc.unary_unary_rpc_method_handler(_unary(path, kind, serve), None, _encoded)


def _encoded(response: bytes | Message) -> bytes:
    return response if isinstance(response, bytes) else response.SerializeToString()


def _unary(
    path: str, kind: type[Message], serve: Callable[[Any, Call], Awaitable[Any]]
) -> Callable[[bytes, Context], Awaitable[Any]]:
    async def handle(data: bytes, context: Context) -> Any:
        try:
            call = _call(context)
            return await serve(decode(kind, data), call)
        except Exception as error:  # noqa: BLE001  Whatever it is becomes a status.
            await _refuse(path, error, context)

    return handle


def _stream(
    path: str, kind: type[Message], serve: Callable[[Any, Call], AsyncGenerator[Any, None]]
) -> Callable[[bytes, Context], AsyncIterator[Any]]:
    async def handle(data: bytes, context: Context) -> AsyncIterator[Any]:
        try:
            call = _call(context)
            async with contextlib.aclosing(serve(decode(kind, data), call)) as messages:
                async for message in messages:
                    yield message
        except Exception as error:  # noqa: BLE001  Whatever it is becomes a status.
            await _refuse(path, error, context)

    return handle


def _conversation(
    path: str, serve: Callable[[Call], Awaitable[Any]]
) -> Callable[[AsyncIterator[bytes], Context], Awaitable[Any]]:
    """Serve a stream of requests: the method reads by the call's context.

    There it also writes, where responses are a stream as well; else it returns its response.
    """
    assert inspect.iscoroutinefunction(serve)

    async def handle(_requests: AsyncIterator[bytes], context: Context) -> Any:
        try:
            return await serve(_call(context))
        except Exception as error:  # noqa: BLE001  Whatever it is becomes a status.
            await _refuse(path, error, context)

    return handle


def _call(context: Context) -> Call:
    """Return who calls. The request id is told back, and made up if there is none."""
    metadata: Mapping[str, Any] = dict(context.invocation_metadata() or ())
    tenant = metadata.get("x-tenant-id") or "default"
    if len(tenant) > NAME_CHARACTERS:
        raise LimitExceeded("x-tenant-id", NAME_CHARACTERS, len(tenant))
    request_id = metadata.get("x-request-id") or str(uuid_utils.uuid7())
    if len(request_id) > _HEADER_CHARACTERS:
        raise LimitExceeded("x-request-id", _HEADER_CHARACTERS, len(request_id))
    context.set_trailing_metadata((("x-request-id", request_id),))
    caller = Caller(tenant, "anonymous", request_id)
    return Call(caller, metadata.get("traceparent"), context)


async def _refuse(path: str, error: Exception, context: Context) -> None:
    """End a call with the status that says what went wrong."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    status = status_of(error)
    code = _CODES[status.code]
    log.info("call_refused", method=path, code=code.name, message=status.message)
    trailing = (*(context.trailing_metadata() or ()), (_DETAILS, status.SerializeToString()))
    await context.abort(code, status.message, trailing)
