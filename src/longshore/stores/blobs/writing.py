"""Writing: one blob on its way, in parts of bounded size; whole in the end, or nothing."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import obstore

from longshore.core.blobs import Chunk
from longshore.core.errors import FilesUnavailable
from longshore.stores.blobs.faults import finished
from longshore.stores.blobs.folder import WINDOW, Folder

if TYPE_CHECKING:  # obstore has it for type checkers only
    from obstore.store import ObjectStore

_STEP: Final = 256 * 1024  #: Smaller chunks are gathered: each step into obstore costs 50 µs.
_PART: Final = 1024 * 1024  #: Of a folder. A blob that is no larger is written in one go.
_BUCKET_PART: Final = 8 * 1024 * 1024  #: A service takes up to 10,000 parts of a blob.
_IN_FLIGHT: Final = 2  #: Parts that are being written while the next one is gathered.


class Writing:
    """Takes chunks in turn, and lets the producer wait for the disk or the service.

    Ends by `finish` or `abandon`. All methods but `abandon` raise `FilesUnavailable`.
    """

    def __init__(self, store: ObjectStore, name: str, folder: Folder | None) -> None:
        self._name = name
        self._folder = folder
        part = _BUCKET_PART if folder is None else _PART
        self._writer = obstore.open_writer_async(
            store, name, buffer_size=part, max_concurrency=_IN_FLIGHT
        )
        self._leaving = contextlib.AsyncExitStack()
        self._leaving.push_async_exit(self._writer)
        self._gathered = bytearray()
        self._size = 0
        self._flushed = 0
        self._flush: asyncio.Future[None] | None = None

    async def add(self, chunk: Chunk) -> None:
        if not self._gathered and len(chunk) >= _STEP:
            await self._hand_over(chunk)
            return
        self._gathered += chunk
        if len(self._gathered) >= _STEP:
            await self._hand_over_gathered()

    async def finish(self) -> None:
        """Return when the blob is whole, and would survive a power cut."""
        if self._gathered:
            await self._hand_over_gathered()
        await self._await_flush()
        await finished("written", self._writer.close())
        if self._folder is not None:
            large = self._size >= WINDOW
            keeping = asyncio.to_thread(self._folder.keep, self._name, large=large)
            await finished("written", keeping)

    async def abandon(self, error: BaseException) -> None:
        """Take back the parts that were written; a blob that was finished stays."""
        with contextlib.suppress(FilesUnavailable):
            await self._await_flush()
        # obstore takes them back if told of an error, unless the blob is finished already.
        leaving = self._leaving.__aexit__(type(error), error, error.__traceback__)
        with contextlib.suppress(FilesUnavailable):
            await finished("taken back", leaving)

    async def _hand_over_gathered(self) -> None:
        gathered, self._gathered = self._gathered, bytearray()
        await self._hand_over(gathered)

    async def _hand_over(self, step: Chunk | bytearray) -> None:
        await finished("written", self._writer.write(step))
        self._size += len(step)
        if self._folder is not None and self._size - self._flushed >= WINDOW:
            await self._await_flush()
            self._flushed = self._size
            flushing = asyncio.to_thread(self._folder.flush, self._name)
            self._flush = asyncio.ensure_future(flushing)

    async def _await_flush(self) -> None:
        flush, self._flush = self._flush, None
        if flush is not None:
            await finished("written", flush)
