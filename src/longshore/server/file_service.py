"""FileService: files taken in, handed out, looked up and deleted."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar, Final

from longshore.core.errors import FileNotFound
from longshore.core.file_changes import DeleteFile
from longshore.core.files import File, described
from longshore.core.ids import text_of
from longshore.core.principals import Role
from longshore.engine.engine import Engine
from longshore.server import wire
from longshore.server.file_headers import file_id_of, keep_file
from longshore.server.gate import Call
from longshore.server.plan_checks import at
from longshore.server.uploads import Upload
from longshore.v1 import file_service_pb2 as pb
from longshore.v1.operation_pb2 import File as FileMessage

_FILE: Final = pb.DownloadFileResponse.FILE_FIELD_NUMBER
_DATA: Final = pb.DownloadFileResponse.DATA_FIELD_NUMBER


class FileService:
    """Serves what is too large for arguments and results."""

    SERVICE: ClassVar[str] = "longshore.v1.FileService"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def UploadFile(self, call: Call) -> pb.UploadFileResponse:
        upload = Upload(call.context, self._engine.settings.upload_silence_seconds)
        try:
            asked = keep_file(await upload.header(), call.caller)
            # What an operation makes is its worker's to add; the lease tells which.
            made = asked.file.number is not None
            call.require(Role.WORKER if made else Role.SUBMITTER)
            if asked.replace:
                await self._found(asked.file.id, call)  # Rather now than after its last byte.
            async with aclosing(upload.data()) as chunks:
                file = await self._engine.files.take(asked, chunks, lambda: upload.sha256)
        except FileNotFound as error:
            raise at("header.file_id", error) from None
        return pb.UploadFileResponse(file=_shown(file))

    async def DownloadFile(
        self, request: pb.DownloadFileRequest, call: Call
    ) -> AsyncGenerator[bytes]:
        file = await self._found(file_id_of(request.file_id), call)
        lead = wire.part(_FILE, _shown(file).SerializeToString())
        chunks = self._engine.files.read(file)
        async with aclosing(wire.stream(lead, _DATA, chunks)) as messages:
            async for message in messages:
                yield message

    async def GetFile(self, request: pb.GetFileRequest, call: Call) -> pb.GetFileResponse:
        file = await self._found(file_id_of(request.file_id), call)
        return pb.GetFileResponse(file=_shown(file))

    async def DeleteFile(
        self, request: pb.DeleteFileRequest, call: Call
    ) -> pb.DeleteFileResponse:
        change = DeleteFile(call.caller, file_id_of(request.file_id))
        await self._engine.writer.write(change)
        return pb.DeleteFileResponse()

    async def _found(self, file_id: bytes, call: Call) -> File:
        """Return a file of the caller's tenant. Raises `FileNotFound`."""
        store, now = self._engine.store, self._engine.clock.now()
        (file,) = await store.files(call.caller.tenant, [file_id], now)
        if file is None:
            raise FileNotFound(text_of(file_id))
        return file


def _shown(file: File) -> FileMessage:
    message = FileMessage(**described(file))
    if file.expire_time is not None:
        message.expire_time.FromMilliseconds(file.expire_time)
    return message
