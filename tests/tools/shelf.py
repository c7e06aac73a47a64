"""A shelf: files as a server keeps them, in memory, and as troublesome as a test wants."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from longshore.v1 import file_service_pb2 as files
from longshore.v1.operation_pb2 import File

MIB = 1024 * 1024


def status(code: StatusCode, reason: str, field: str = "") -> Status:
    """Return an error as the server refuses with it."""
    found = Status(code=int(code.value[0]), message=reason.lower())
    found.details.add().Pack(ErrorInfo(reason=reason, domain="longshore.dev"))
    if field:
        fault = BadRequest.FieldViolation(field=field, description="is bad", reason="INVALID")
        found.details.add().Pack(BadRequest(field_violations=[fault]))
    return found


class Shelf:
    """The file service of a peer."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.headers: list[files.FileHeader] = []
        self.pieces: list[int] = []  #: Sizes of what arrived.
        self.refusals: list[Status] = []  #: For the next uploads, after their first piece.
        self.piece_bytes = MIB  #: Of what is sent.
        self.damage = False
        self.downloads = 0
        self.arrived = asyncio.Event()  #: A piece has arrived.
        self.cancelled = asyncio.Event()  #: An upload was given up by the worker.
        self.going_on = asyncio.Event()  #: Unless it is set uploads and downloads stand still.
        self.going_on.set()
        self.before_end: Callable[[], None] = lambda: None

    @property
    def handler(self) -> grpc.GenericRpcHandler:
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "UploadFile": grpc.stream_unary_rpc_method_handler(
                self._upload,
                request_deserializer=files.UploadFileRequest.FromString,
                response_serializer=files.UploadFileResponse.SerializeToString,
            ),
            "DownloadFile": grpc.unary_stream_rpc_method_handler(
                self._download,
                request_deserializer=files.DownloadFileRequest.FromString,
                response_serializer=files.DownloadFileResponse.SerializeToString,
            ),
            "GetFile": grpc.unary_unary_rpc_method_handler(
                self._get,
                request_deserializer=files.GetFileRequest.FromString,
                response_serializer=files.GetFileResponse.SerializeToString,
            ),
        }
        return grpc.method_handlers_generic_handler("longshore.v1.FileService", handlers)

    def file(self, path: str) -> File:
        data = self.kept[path]
        return File(
            file_id=path,
            path=path,
            size=len(data),
            content_type="text/plain",
            sha256=hashlib.sha256(data).hexdigest(),
        )

    async def _upload(self, requests: AsyncIterator[Any], context: Any) -> Any:
        try:
            return await self._take(requests, context)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def _take(self, requests: AsyncIterator[Any], context: Any) -> Any:
        data, digest, header = bytearray(), "", files.FileHeader()
        async for request in requests:
            if request.HasField("header"):
                header = request.header
                self.headers.append(header)
            if request.data:
                self.pieces.append(len(request.data))
                data += request.data
                self.arrived.set()
                await self.going_on.wait()
                if self.refusals:
                    await self._refuse(context, self.refusals.pop(0))
            digest = request.sha256
        assert digest == hashlib.sha256(data).hexdigest()
        self.before_end()
        self.kept[header.path] = bytes(data)
        return files.UploadFileResponse(file=self.file(header.path))

    async def _refuse(self, context: Any, error: Status) -> None:
        code = next(one for one in StatusCode if one.value[0] == error.code)
        details = (("grpc-status-details-bin", error.SerializeToString()),)
        await context.abort(code, error.message, details if error.details else ())

    async def _download(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if request.file_id not in self.kept:
            await self._refuse(context, status(StatusCode.NOT_FOUND, "FILE_NOT_FOUND"))
        file, data = self.file(request.file_id), self.kept[request.file_id]
        if self.damage:
            data = data[:-1] + b"?"
        self.downloads += 1
        yield files.DownloadFileResponse(file=file)
        for start in range(0, len(data), self.piece_bytes):
            yield files.DownloadFileResponse(data=data[start : start + self.piece_bytes])
            self.arrived.set()
            await self.going_on.wait()

    async def _get(self, request: Any, context: Any) -> Any:
        if request.file_id not in self.kept:
            await self._refuse(context, status(StatusCode.NOT_FOUND, "FILE_NOT_FOUND"))
        return files.GetFileResponse(file=self.file(request.file_id))


@asynccontextmanager
async def standing(shelf: Shelf) -> AsyncGenerator[str]:
    """Serve a shelf until the block ends; yield its address."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([shelf.handler])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)
