"""Blobs over obstore: in a local folder, or in a bucket of a service."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import TYPE_CHECKING, Final

import obstore

from longshore.core.blobs import Chunk
from longshore.core.errors import FilesUnavailable
from longshore.stores.blobs.faults import finished, translated
from longshore.stores.blobs.folder import Folder
from longshore.stores.blobs.place import Place
from longshore.stores.blobs.writing import Writing

if TYPE_CHECKING:  # obstore has it for type checkers only
    from obstore.store import ObjectStore

_CHUNK: Final = 1024 * 1024  #: The most bytes that a reader gets at once.
_AT_ONCE: Final = 16  #: Blobs of a bucket that are removed at once, where each is a call.


class ObstoreBlobs:
    """Keeps blobs at a place that is named by a path or a URL; see `core.blobs.Blobs`.

    The credentials of services are read from the environment, under the names that their own
    tools use. A wrong path or URL raises `FilesUnavailable` at once.

    What a crash leaves of a blob in a bucket is invisible, and cannot be named afterwards: a
    lifecycle rule of the bucket has to end multipart uploads that are never completed.
    """

    _store: ObjectStore

    def __init__(self, place: str) -> None:
        self._place = Place.of(place)
        folder = self._place.folder
        self._folder = None if folder is None else Folder(folder)

    def __repr__(self) -> str:
        return f"ObstoreBlobs({self._place.text!r})"

    async def open(self) -> None:
        """Write and remove a blob of no bytes: a full disk must not hinder its clearing up."""
        self._store = self._place.connect()
        # Of its own: another server that starts at the same moment would take it away.
        probe = f"probe-{secrets.token_hex(8)}"
        try:
            await finished("written", obstore.put_async(self._store, probe, b""))
            await self.remove([probe])
        except FilesUnavailable as error:
            message = f"files cannot be kept at {self._place.text}: {error.facts['reason']}"
            raise FilesUnavailable(message, **error.facts) from error

    async def write(self, name: str, chunks: AsyncIterable[Chunk]) -> None:
        writing = Writing(self._store, name, self._folder)
        try:
            async for chunk in chunks:
                await writing.add(chunk)
            await writing.finish()
        except BaseException as error:
            await writing.abandon(error)
            with contextlib.suppress(FilesUnavailable):
                await self.remove([name])
            raise

    def read(self, name: str) -> AsyncGenerator[bytes]:
        if self._folder is not None:
            return self._folder.read(name)
        return self._read_from_bucket(name)

    async def remove(self, names: Iterable[str]) -> None:
        if self._folder is not None:
            await finished("removed", asyncio.to_thread(self._folder.remove, list(names)))
        else:
            await self._remove_from_bucket(list(names))

    async def _read_from_bucket(self, name: str) -> AsyncGenerator[bytes]:
        with translated("read"):
            found = await obstore.get_async(self._store, name)
            stream = aiter(found.stream(min_chunk_size=_CHUNK // 2))
        while True:
            with translated("read"):
                chunk = await anext(stream, None)
            if chunk is None:
                return
            for begin in range(0, len(chunk), _CHUNK):
                yield chunk[begin : begin + _CHUNK]

    async def _remove_from_bucket(self, names: list[str]) -> None:
        with translated("removed"):
            try:
                await obstore.delete_async(self._store, names)
            except FileNotFoundError:  # said by Google and Azure; the other blobs may be there
                gate = asyncio.Semaphore(_AT_ONCE)
                await asyncio.gather(*(self._remove_one(name, gate) for name in names))

    async def _remove_one(self, name: str, gate: asyncio.Semaphore) -> None:
        async with gate:
            with contextlib.suppress(FileNotFoundError):
                await obstore.delete_async(self._store, name)
