"""The baseline of files: a bare grpc.aio server that takes bytes in and hands bytes out.

Run as a program it names its address. It speaks in the messages of the contract, as one must,
but nothing is digested or kept: an upload is answered when it ends, a download is the same
chunk as often as was asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final

import grpc
import uvloop

from longshore.v1 import file_service_pb2 as pb
from longshore.v1.operation_pb2 import File

_SERVICE: Final = pb.DESCRIPTOR.services_by_name["FileService"].full_name
CHUNK: Final = bytes(range(256)) * 4_096  #: A mebibyte.
OPTIONS: Final = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.max_send_message_length", 4 << 20),
]


async def take(
    requests: AsyncIterator[pb.UploadFileRequest], _context: Any
) -> pb.UploadFileResponse:
    size = 0
    async for request in requests:
        size += len(request.data)
    return pb.UploadFileResponse(file=File(size=size))


async def give(
    request: pb.DownloadFileRequest, _context: Any
) -> AsyncGenerator[pb.DownloadFileResponse]:
    for _ in range(int(request.file_id)):
        yield pb.DownloadFileResponse(data=CHUNK)


async def serve() -> None:
    """Serve until the process is ended."""
    server = grpc.aio.server(options=OPTIONS)
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "UploadFile": grpc.stream_unary_rpc_method_handler(
            take,
            request_deserializer=pb.UploadFileRequest.FromString,
            response_serializer=pb.UploadFileResponse.SerializeToString,
        ),
        "DownloadFile": grpc.unary_stream_rpc_method_handler(
            give,
            request_deserializer=pb.DownloadFileRequest.FromString,
            response_serializer=pb.DownloadFileResponse.SerializeToString,
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"bytes listening on 127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve())
