"""Uploads: bytes on their way to a server, with their digest at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import cast

from longshore.client.connection import Connection, retrying
from longshore.client.digests import Digest
from longshore.client.errors import CallError
from longshore.client.sources import PIECE_BYTES, Source, drawn, is_repeatable
from longshore.client.streams import Sending, in_time, is_unavailable
from longshore.client.threads import Helper
from longshore.v1.file_service_pb2 import FileHeader, UploadFileRequest, UploadFileResponse
from longshore.v1.operation_pb2 import File

#: Called with the number of bytes that are through so far.
Tell = Callable[[int], None]


async def upload(
    connection: Connection, header: FileHeader, source: Source, told: Tell | None
) -> File:
    """Send a file and return it as it was stored; see `Files.upload`."""
    sending = _Upload(connection, header, source, told)
    try:
        return await sending.once()
    except CallError as error:
        if not sending.may_repeat(error):
            raise
    return await retrying(sending.may_repeat, connection.timeout)(sending.once)


async def upload_once(connection: Connection, header: FileHeader, source: Source) -> File:
    """Send a file, and leave it to the caller whether to do so again. Raises `CallError`."""
    return await _Upload(connection, header, source, None).once()


class _Upload:
    """A file to be sent, as often as it takes."""

    def __init__(
        self, connection: Connection, header: FileHeader, source: Source, told: Tell | None
    ) -> None:
        self._connection = connection
        self._header = header
        self._source = source
        self._told = told
        self._is_complete = False  # Whether the server may have all of it.

    def may_repeat(self, error: BaseException) -> bool:
        """Whether nobody was there, and sending it again leaves nothing behind for ever."""
        kept = self._header.expire_after.ToTimedelta().total_seconds() < 0
        leaves = self._is_complete and kept and not self._header.file_id
        return is_unavailable(error) and is_repeatable(self._source) and not leaves

    async def once(self) -> File:
        """Send all of it. Raises `CallError`, and whatever the source raises."""
        self._is_complete = False
        sending = await self._connection.send(UploadFileRequest)
        helper = Helper()
        try:
            await self._write(sending, helper)
            answer = await in_time(sending.answer(), self._connection.timeout)
        finally:
            sending.cancel()
            helper.close()
        return cast("UploadFileResponse", answer).file

    async def _write(self, sending: Sending, helper: Helper) -> None:
        """Write all of it, unless the server has answered before: that it does not want it."""
        digest = Digest(helper)
        request = UploadFileRequest(header=self._header)
        writing = _Writing(sending, self._connection.timeout, self._told)
        try:
            async with aclosing(drawn(self._source, helper)) as pieces:
                async for piece in pieces:
                    await digest.add(piece)
                    request.data = piece
                    if len(piece) < PIECE_BYTES:
                        request.sha256 = await digest.hex()
                        self._is_complete = True
                    if not await writing.write(request):
                        return
                    request = UploadFileRequest()
            await writing.settled()
        finally:
            writing.cancel()


class _Writing:
    """Writes a request while the next one is made."""

    def __init__(self, sending: Sending, timeout: float, told: Tell | None) -> None:
        self._sending = sending
        self._timeout = timeout
        self._told = told
        self._sent = 0
        self._write: asyncio.Task[bool] | None = None

    async def write(self, request: UploadFileRequest) -> bool:
        """Begin to write a request when that before is written; false if none is wanted."""
        wanted = await self.settled()
        if wanted:
            self._write = asyncio.create_task(self._begin(request), name="longshore-upload")
        return wanted

    async def settled(self) -> bool:
        """Wait until all is written; false if the server wants no more."""
        return self._write is None or await self._write

    def cancel(self) -> None:
        if self._write is not None:
            self._write.cancel()

    async def _begin(self, request: UploadFileRequest) -> bool:
        written = await in_time(self._sending.write(request), self._timeout)
        self._sent += len(request.data)
        if written and self._told is not None:
            self._told(self._sent)
        return written
