"""Blobs: where the bytes of files are kept, under names that the store of operations knows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import Protocol, TypeAlias

#: Bytes on their way; a view of a message spares the copying of what may be a mebibyte.
Chunk: TypeAlias = bytes | memoryview


class Blobs(Protocol):
    """Keeps bytes by name. A blob is written once, whole or not at all, and never changed.

    Every method may raise `FilesUnavailable`, which says what the disk or the service said.
    """

    async def open(self) -> None:
        """Make sure that blobs can be kept; creates a folder that is missing."""
        ...

    async def write(self, name: str, chunks: AsyncIterable[Chunk]) -> None:
        """Keep what the chunks are together; when this returns it survives a power cut.

        If the chunks raise, or the writer is cancelled, nothing is kept under the name.
        """
        ...

    def read(self, name: str) -> AsyncGenerator[bytes]:
        """Yield the bytes in order, at most `CHUNK_BYTES` at once.

        Raises `FilesUnavailable` also if there is no such blob.

        Who has begun to read goes on to the end, even if the blob is removed meanwhile.
        """
        ...

    async def remove(self, names: Iterable[str]) -> None:
        """Remove blobs, and what broken writes have left of them; what is gone is no error."""
        ...
