"""A peer for clients: every method of the contract, answered as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode


class Recorder(grpc.GenericRpcHandler):
    """Keeps what it is asked, and says what was laid ready: messages, or statuses.

    Without anything ready a call is answered with an empty message, and a stream is silent;
    OK is its end.
    """

    def __init__(self) -> None:
        self.address = ""
        self.asked: list[Any] = []
        self.metadata: list[dict[str, str | bytes]] = []  #: Of each call.
        self.ready: list[Message | StatusCode] = []

    def service(self, handler_call_details: Any) -> Any:
        self.metadata.append(dict(handler_call_details.invocation_metadata))
        service, name = handler_call_details.method.removeprefix("/").split("/")
        method = Default().FindServiceByName(service).methods_by_name[name]
        read = GetMessageClass(method.input_type).FromString
        if method.client_streaming:
            return grpc.stream_unary_rpc_method_handler(self._sent(method), read, _encode)
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(self._streamed(method), read, _encode)
        return grpc.unary_unary_rpc_method_handler(self._answered(method), read, _encode)

    def _sent(self, method: MethodDescriptor) -> Any:
        answered = self._answered(method)

        async def take(requests: AsyncIterator[Any], context: Any) -> Any:
            *before, last = [request async for request in requests]
            self.asked += before
            return await answered(last, context)

        return take

    def _answered(self, method: MethodDescriptor) -> Any:
        async def answer(request: Any, context: Any) -> Any:
            self.asked.append(request)
            said = self.ready.pop(0) if self.ready else GetMessageClass(method.output_type)()
            if isinstance(said, StatusCode):
                await context.abort(said, "as the test has it")
            return said

        return answer

    def _streamed(self, method: MethodDescriptor) -> Any:
        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            self.asked.append(request)
            while self.ready:
                said = self.ready.pop(0)
                if said is StatusCode.OK:
                    return
                if isinstance(said, StatusCode):
                    await context.abort(said, "as the test has it")
                yield said
            await asyncio.Event().wait()

        return stream


def _encode(message: Message) -> bytes:
    return message.SerializeToString()


@asynccontextmanager
async def recorder(
    listen: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
) -> AsyncGenerator[Recorder]:
    server = grpc.aio.server()
    found = Recorder()
    server.add_generic_rpc_handlers([found])
    if credentials is None:
        port = server.add_insecure_port(listen)
    else:
        port = server.add_secure_port(listen, credentials)
    found.address = f"127.0.0.1:{port}"
    await server.start()
    try:
        yield found
    finally:
        await server.stop(0)
