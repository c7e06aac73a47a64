"""Transfers: how files get to the servers and back, beside the stream of work."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, ParamSpec, TypeVar

from grpc import StatusCode

from longshore.client.callers import Caller
from longshore.client.connection import Connection, retrying
from longshore.client.downloads import Reading
from longshore.client.errors import CallError, damaged
from longshore.client.sources import Source, is_repeatable
from longshore.client.uploads import upload_once
from longshore.v1.file_service_pb2 import FileHeader, GetFileRequest, GetFileResponse
from longshore.v1.operation_pb2 import File

P = ParamSpec("P")
T = TypeVar("T")

_STILL_SECONDS: Final = 30.0  #: A transfer that stands still for so long is broken.

#: Said by gRPC and this side of it, when there is nobody to say more.
_BROKEN: Final = (
    StatusCode.UNAVAILABLE,
    StatusCode.CANCELLED,
    StatusCode.DEADLINE_EXCEEDED,
)


class Transfers:
    """Sends and gets files over a connection of their own, to the first server that answers.

    What breaks is begun again, for as long as somebody waits for it.
    """

    def __init__(self, caller: Caller) -> None:
        self._connection = Connection(caller, _STILL_SECONDS)

    async def close(self) -> None:
        await self._connection.close()

    async def upload(self, header: FileHeader, source: Source) -> File:
        """Store a file; return when it safely is. Raises `CallError`, and what the source raises.

        What cannot be drawn again is sent once: it fails also when the connection breaks.
        """
        if is_repeatable(source):
            return await _persistently(upload_once, self._connection, header, source)
        return await upload_once(self._connection, header, source)

    async def get(self, file_id: str) -> File:
        """Return what is known of a file. Raises `CallError`."""
        request = GetFileRequest(file_id=file_id)
        return (await _persistently(self._connection.ask, request, GetFileResponse)).file

    async def read(self, file_id: str) -> AsyncGenerator[bytes]:
        """Yield a file's bytes. Raises `CallError`, at the end also if they are damaged."""
        resumed = _Resumed(self._connection, file_id)
        try:
            while piece := await _persistently(resumed.next):
                yield piece
        finally:
            resumed.close()


class _Resumed:
    """The bytes of a file, over as many downloads as they take."""

    def __init__(self, connection: Connection, file_id: str) -> None:
        self._connection = connection
        self._file_id = file_id
        self._reading: Reading | None = None
        self._sha256 = ""  # Of the file that the first download was of.
        self._read = 0  # Bytes, in this download.
        self._given = 0  # In all.

    def close(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    async def next(self) -> bytes:
        """Return the next bytes; none at the end. Raises `CallError`."""
        try:
            if self._reading is None:
                await self._begin()
            assert self._reading is not None
            while piece := await anext(self._reading, b""):
                if news := self._news(piece):
                    return news
        except CallError:
            self.close()
            raise
        return b""

    async def _begin(self) -> None:
        """Begin with the first byte; what was given before is passed over."""
        self._reading, self._read = Reading(self._connection, self._file_id), 0
        sha256 = (await self._reading.file()).sha256
        if self._given and sha256 != self._sha256:
            raise damaged("the file was replaced while it was read")
        self._sha256 = sha256

    def _news(self, piece: bytes) -> bytes:
        known = self._given - self._read
        self._read += len(piece)
        self._given = max(self._given, self._read)
        return piece[max(known, 0) :]


async def _persistently(step: Callable[P, Awaitable[T]], *args: P.args, **more: P.kwargs) -> T:
    """Do something again until it does not break. Raises `CallError` for all else."""
    done: T = await retrying(is_broken, None)(step, *args, **more)
    return done


def is_broken(error: BaseException) -> bool:
    """Whether nobody was there; whoever refuses something gives a reason."""
    if not isinstance(error, CallError):
        return False
    return error.reason == "OUTCOME_UNKNOWN" or (error.code in _BROKEN and not error.reason)
