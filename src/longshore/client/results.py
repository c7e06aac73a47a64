"""Results: what comes by a channel, put together from its chunks."""

from __future__ import annotations

import asyncio
import os
import weakref
from dataclasses import dataclass, field
from io import BytesIO
from tempfile import TemporaryFile
from typing import BinaryIO, Final

from longshore.client.errors import WorkError, damaged
from longshore.client.handles import work_error
from longshore.client.threads import Helper
from longshore.v1.task_service_pb2 import StreamResultsResponse, Task

#: Larger results wait on the disk until somebody reads them.
_IN_MEMORY: Final = 8 * 1024 * 1024


class Spool:
    """A large result, in a file without a name, which goes with its last reference."""

    def __init__(self) -> None:
        self._file = TemporaryFile(buffering=0)  # noqa: SIM115 - closed with this object
        weakref.finalize(self, self._file.close)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def open(self) -> BinaryIO:
        file = os.fdopen(os.dup(self._file.fileno()), "rb")
        file.seek(0)
        return file


@dataclass(frozen=True)
class Result:
    """The result of one task, or that it has none."""

    task: Task  #: In its basic view: how it ended, without the result.
    revision: int  #: Of its end; `results(after_revision=…)` goes on from there.
    content_type: str  #: `application/json` or that of a file; empty if there is no result.
    content: bytes | Spool = field(repr=False)

    @property
    def error(self) -> WorkError | None:
        """Why there is no result; None if there is one."""
        return work_error(self.task)

    @property
    def data(self) -> bytes:
        """All bytes; empty if there is no result. A large one may not fit into memory."""
        if isinstance(self.content, bytes):
            return self.content
        with self.open() as file:
            return file.read()

    def open(self) -> BinaryIO:
        """Open the bytes as a file; a large one is read from the disk."""
        return BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open()


class Gathering:
    """Puts results together, of each of which every chunk has to come, in order."""

    def __init__(self) -> None:
        self._begun: StreamResultsResponse | None = None
        self._chunks = 0
        self._parts: list[bytes] = []
        self._spool: Spool | None = None
        self._helper = Helper()

    async def take(self, message: StreamResultsResponse) -> Result | None:
        """Return the result that is whole with this message, if one is.

        Raises `Damaged` if it does not follow what came before, and `OSError` if there is no
        room for it on the disk.
        """
        self._refuse_gap(message)
        if message.total_chunks <= 1:
            return _result(message, message.data)
        if message.chunk == 1:
            self._begin(message)
        self._chunks = message.chunk
        if self._spool is None:
            self._parts.append(message.data)
        else:
            await asyncio.shield(self._helper.call(self._spool.write, message.data))
        return self._end() if message.chunk == message.total_chunks else None

    def _refuse_gap(self, message: StreamResultsResponse) -> None:
        begun = self._begun
        follows = (
            message.chunk <= 1
            if begun is None
            else (message.revision, message.total_chunks, message.chunk)
            == (begun.revision, begun.total_chunks, self._chunks + 1)
        )
        is_last = message.chunk == message.total_chunks
        if not follows or not (is_last or len(message.data) == message.chunk_size):
            raise damaged(
                f"chunk {message.chunk} of {message.total_chunks} of the result of "
                f"{message.task.metadata.id} came after chunk {self._chunks}, "
                f"with {len(message.data)} bytes"
            )

    def _begin(self, message: StreamResultsResponse) -> None:
        self._begun = message
        self._parts = []
        large = message.total_chunks * message.chunk_size > _IN_MEMORY
        self._spool = Spool() if large else None

    def _end(self) -> Result:
        assert self._begun
        result = _result(self._begun, self._spool or b"".join(self._parts))
        self._begun, self._chunks, self._parts, self._spool = None, 0, [], None
        return result


def _result(first: StreamResultsResponse, content: bytes | Spool) -> Result:
    return Result(first.task, first.revision, first.content_type, content)
