"""Downloads: bytes that a server streams, to be iterated over or saved."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from google.protobuf.message import Message
from grpc.aio import EOF

from longshore.client.connection import Connection, retrying
from longshore.client.digests import Digest
from longshore.client.errors import CallError, damaged, lost
from longshore.client.places import Place, below, refuse_unsafe
from longshore.client.streams import Stream, in_time, is_unavailable
from longshore.client.threads import Helper
from longshore.client.uploads import Tell
from longshore.v1.file_service_pb2 import DownloadFileRequest
from longshore.v1.operation_pb2 import File


class Download:
    """Bytes that a server streams: iterate over them, or `save` them, once.

    A download that breaks, or stands still for the client's timeout, fails.
    """

    def __init__(self, connection: Connection, request: Message, name: str) -> None:
        self._connection = connection
        self._request = request
        self._own_name = name
        self._helper = Helper()
        self._stream: Stream | None = None
        self._ahead = b""
        self._handed_out = False
        self._ended = False
        self._failure: CallError | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self._handed_out = True
        piece = await self._next()
        if not piece:
            await self._arrived()
            raise StopAsyncIteration
        return piece

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def save(self, to: str | PathLike[str], *, told: Tell | None = None) -> Path:
        """Write it to a file, in the place of any other: all of it or, if it fails, nothing.

        `to` is the file, or a folder, in which it has a name of its own. `told` is called with
        the number of bytes that have arrived. Raises `CallError` and `OSError`, and
        `UnsafePath` if that name is none.
        """
        if self._handed_out:
            raise RuntimeError("a part has been handed out already, which would be missing")
        try:
            self._ahead = await self._next()
            target = Path(to)
            if await self._helper.call(target.is_dir):
                target = await self._helper.call(below, target, self._name())
            await self._save(target, told)
        finally:
            self.close()
        await self._arrived()
        return target

    def close(self) -> None:
        """End it: what has not arrived never does."""
        if not self._ended:
            self._fail(lost("the download was closed before its end"))
        self._helper.close()

    def _name(self) -> str:
        """Return what it is called in a folder, once it has begun."""
        return self._own_name

    async def _take(self, message: Any) -> bytes:
        """Return the bytes of a message."""
        return cast("bytes", message.data)

    async def _check(self) -> None:
        """Raise `Damaged` if this is not all."""

    async def _arrived(self) -> None:
        """Do what is to be done when somebody has all of it."""

    async def _next(self) -> bytes:
        """Return the next bytes; none at the end."""
        if self._failure is not None:
            raise self._failure
        piece, self._ahead = self._ahead, b""
        try:
            while not piece and not self._ended:
                piece = await self._read()
        except BaseException as error:
            self._fail(error if isinstance(error, CallError) else lost("it was broken off"))
            raise
        return piece

    async def _read(self) -> bytes:
        """Return what the next message brings, which may be nothing."""
        patience = self._connection.timeout
        if self._stream is None:
            message: Any = await retrying(is_unavailable, patience)(self._begin)
        else:
            message = await in_time(self._stream.read(), patience)
        if message is not EOF:
            return await self._take(message)
        await self._check()
        self._ended = True
        return b""

    async def _begin(self) -> object:
        """Open the stream and return its first message, before which nothing is handed out."""
        self._stream = await self._connection.open(self._request, wait=False)
        return await in_time(self._stream.read(), self._connection.timeout)

    def _fail(self, failure: CallError) -> None:
        self._failure = failure
        if self._stream is not None:
            self._stream.cancel()

    async def _save(self, target: Path, told: Tell | None) -> None:
        place = Place(target)
        try:
            await self._helper.call(place.open)
            await self._write(place, told)
            await self._helper.call(place.finish)
        except BaseException:
            await asyncio.shield(self._helper.call(place.discard))
            raise

    async def _write(self, place: Place, told: Tell | None) -> None:
        """Write each piece while the next one arrives."""
        written = self._helper.call(lambda: None)
        arrived = 0
        while piece := await self._next():
            await written
            written = self._helper.call(place.write, piece)
            arrived += len(piece)
            if told is not None:
                told(arrived)
        await written


class Reading(Download):
    """The bytes of a file: iterate over them, or `save` them, once.

    At the end it raises `Damaged` unless they are those that were stored.
    """

    def __init__(self, connection: Connection, file_id: str) -> None:
        super().__init__(connection, DownloadFileRequest(file_id=file_id), file_id)
        self._digest = Digest(self._helper)
        self._size = 0
        self._file: File | None = None

    async def file(self) -> File:
        """Return what is known of the file."""
        if self._file is None:
            self._ahead = await self._next()
        assert self._file
        return self._file

    def _name(self) -> str:
        assert self._file
        return self._file.path.rpartition("/")[2] or self._own_name

    async def _take(self, message: Any) -> bytes:
        if message.HasField("file"):
            self._file = message.file
        piece: bytes = message.data
        self._size += len(piece)
        await self._digest.add(piece)
        return piece

    async def _check(self) -> None:
        file, sha256 = self._file, await self._digest.hex()
        if file is None or (file.size, file.sha256) != (self._size, sha256):
            told = f"{file.size} bytes {file.sha256}" if file else "nothing"
            raise damaged(f"of {told}, {self._size} bytes {sha256} arrived")


async def save_all(
    connection: Connection, files: Sequence[File], folder: Path, told: Tell | None
) -> list[Path]:
    """Save files below a folder; raises `UnsafePath` before the first if one is elsewhere."""
    for file in files:
        refuse_unsafe(file.path)
    helper = Helper()
    saved: list[Path] = []
    before = 0
    for file in files:
        target = await helper.call(below, folder, file.path)
        reading = Reading(connection, file.file_id)
        saved.append(await reading.save(target, told=told and _after(before, told)))
        before += file.size
    return saved


def _after(before: int, told: Tell) -> Tell:
    return lambda arrived: told(before + arrived)
