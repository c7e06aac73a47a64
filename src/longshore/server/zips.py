"""Zips: several files as one stream of bytes, of any length, with a chunk or two in memory."""

from __future__ import annotations

import zipfile
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from io import RawIOBase
from typing import TYPE_CHECKING, Final, NamedTuple
from zipfile import ZipFile, ZipInfo

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_CHUNK: Final = 1024 * 1024  #: The most bytes that are yielded at once.
_MODE: Final = 0o100644  #: A plain file that its owner may change and everybody may read.

# How many bytes a zip has besides names and members: before each member, after it, in the
# directory, and at the end of all.
_HEADER: Final = 30
_AFTER, _LONG_AFTER = 16, 24
_DIRECTORY_ENTRY: Final = 46
_END, _LONG_END = 22, 22 + 56 + 20


class Member(NamedTuple):
    """One file of a zip."""

    path: str  #: Within the zip, with `/` between its parts; no two members have the same.
    size: int  #: In bytes: what is 2 GiB or more is announced in other words.
    chunks: AsyncGenerator[bytes]  #: Begun when its turn comes, and closed in any case.


async def zipped(members: Iterable[Member]) -> AsyncGenerator[bytes]:
    """Yield a zip of the members in their order; the same for the same members at any time.

    Nothing is compressed, so that it costs little. Whatever a member raises ends the stream
    before its directory, so that no reader takes it for whole.
    """
    packing = _Packing()
    with ZipFile(packing, "w") as archive:  # it sees that it cannot go back in this file
        for member in members:
            with archive.open(_entry(member), "w") as entry:
                async with aclosing(member.chunks) as chunks:
                    async for chunk in chunks:
                        entry.write(chunk)
                        while packing.packed:
                            yield packing.packed.pop(0)
    for chunk in packing.rest():
        yield chunk


def size_of(members: Iterable[Member]) -> int:
    """Return how many bytes the zip of the members has, without reading any of them."""
    offset = directory = 0
    for path, size, _ in members:
        name = len(path.encode())
        long = size > zipfile.ZIP64_LIMIT
        directory += _DIRECTORY_ENTRY + name + _wide(2 * long + (offset > zipfile.ZIP64_LIMIT))
        # The header is written before all is known, and so takes more room sooner.
        long = size * 1.05 > zipfile.ZIP64_LIMIT
        offset += _HEADER + name + _wide(2 * long) + size + (_LONG_AFTER if long else _AFTER)
    end = _LONG_END if max(offset, directory) > zipfile.ZIP64_LIMIT else _END
    return offset + directory + end


def _wide(numbers: int) -> int:
    """Return the bytes of an extra field with numbers of eight bytes."""
    return 4 + 8 * numbers if numbers else 0


def _entry(member: Member) -> ZipInfo:
    entry = ZipInfo(member.path)  # of 1980-01-01, where time begins for zips
    entry.file_size = member.size
    entry.external_attr = _MODE << 16
    return entry


class _Packing(RawIOBase):
    """A file that can only be written, and gives what was written in chunks worth sending."""

    def __init__(self) -> None:
        super().__init__()
        self.packed: list[bytes] = []  #: Chunks that are full, or that the next did not fit.
        self._open: list[bytes] = []
        self._size = 0

    def write(self, buffer: ReadableBuffer, /) -> int:
        data = bytes(buffer)  # no copy: bytes is what zipfile writes
        for begin in range(0, len(data), _CHUNK):
            part = data[begin : begin + _CHUNK]
            if self._size + len(part) > _CHUNK:
                self._pack()
            self._open.append(part)
            self._size += len(part)
        return len(data)

    def rest(self) -> list[bytes]:
        """Return all that was not taken yet."""
        if self._open:
            self._pack()
        return self.packed

    def _pack(self) -> None:
        self.packed.append(b"".join(self._open))
        self._open = []
        self._size = 0
