"""Uploads: a file on its way in, as a stream of messages: the header first, then the bytes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Final, cast

import grpc.aio

from longshore.core.blobs import Chunk
from longshore.core.errors import InvalidFields, UploadGivenUp, Violation
from longshore.server import wire
from longshore.server.decoding import decode
from longshore.server.visitors import Context
from longshore.v1.file_service_pb2 import FileHeader, UploadFileRequest

_DATA: Final = UploadFileRequest.DATA_FIELD_NUMBER
_SHA256: Final = re.compile(r"[0-9A-Fa-f]{64}")

#: A stream that breaks looks at first as if it had ended. That it did not is known within a
#: millisecond, unless the loop is busy.
_DOUBTFUL_SECONDS: Final = 0.05


class Upload:
    """Reads the messages of one upload: `header` once, then `data`."""

    def __init__(self, context: Context, silence_seconds: float) -> None:
        self._context = context
        self._silence_seconds = silence_seconds
        self._first = b""  #: Bytes that came with the header.
        self.sha256 = ""  #: What the whole must have, as far as it was said.

    async def header(self) -> FileHeader:
        """Return what is said of the file. Raises `InvalidFields` and `UploadGivenUp`."""
        message = decode(UploadFileRequest, await self._read() or b"")
        if not message.HasField("header"):
            raise InvalidFields([Violation("header", "the first message needs one", "MISSING")])
        self._note(message.sha256)
        self._first = message.data
        return message.header

    async def data(self) -> AsyncGenerator[Chunk]:
        """Yield the bytes as they come. Raises `InvalidFields` and `UploadGivenUp`."""
        if self._first:
            yield self._first
            self._first = b""
        while (message := await self._read()) is not None:
            data: Chunk | None = wire.sole(_DATA, message)
            if data is None:
                data = self._taken_apart(message)
            if data:
                yield data
        if not self.sha256:
            await asyncio.sleep(_DOUBTFUL_SECONDS)

    def _taken_apart(self, encoded: bytes) -> bytes:
        """Return the bytes of a message that holds other things as well."""
        message = decode(UploadFileRequest, encoded)
        if message.HasField("header"):
            raise InvalidFields([Violation("header", "on the first message only")])
        self._note(message.sha256)
        return message.data

    def _note(self, sha256: str) -> None:
        if not sha256:
            return
        if not _SHA256.fullmatch(sha256):
            raise InvalidFields([Violation("sha256", "64 hexadecimal digits are needed")])
        if self.sha256 not in ("", sha256.lower()):
            raise InvalidFields([Violation("sha256", "another than was said before")])
        self.sha256 = sha256.lower()

    async def _read(self) -> bytes | None:
        """Return the next message; None at the end."""
        try:
            async with asyncio.timeout(self._silence_seconds):
                message = await self._context.read()
        except TimeoutError:
            raise UploadGivenUp from None
        return None if message is grpc.aio.EOF else cast("bytes", message)
