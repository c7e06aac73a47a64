"""Files: their bytes written before anybody knows of them, and removed after everybody forgot.

A blob is announced, written, and only then given to a file, each in a commit of its own. So
whatever a crash or a broken stream leaves behind is nobody's, and the sweep removes it.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Coroutine,
    Generator,
    Sequence,
)
from contextlib import aclosing, contextmanager
from typing import Any, Final, TypeVar, cast

import structlog

from longshore.core.blobs import Blobs, Chunk
from longshore.core.errors import (
    FileDamaged,
    InvalidFields,
    PayloadTooLarge,
    StoreUnavailable,
    UploadGivenUp,
    Violation,
)
from longshore.core.file_changes import ForgetBlobs, KeepFile, OpenBlob, SweepFiles
from longshore.core.files import File
from longshore.core.ids import text_of
from longshore.core.limits import BLOB_WRITTEN_WITHIN_MS, FILE_BYTES
from longshore.engine.clock import Clock
from longshore.engine.prefetching import ahead
from longshore.engine.settings import EngineSettings
from longshore.engine.writer import Writer

log = structlog.get_logger()

T = TypeVar("T")

_RENEW_SECONDS: Final = BLOB_WRITTEN_WITHIN_MS / 3_000
_BLOB_BYTES: Final = 16
_SWEPT_AT_ONCE: Final = 500

#: More than this is hashed in another thread: it takes longer than going there.
_HASHED_HERE_BYTES: Final = 64 * 1024


class Files:
    """Takes files in, hands them out, and sweeps up what is left of them."""

    def __init__(
        self, blobs: Blobs, writer: Writer, clock: Clock, settings: EngineSettings
    ) -> None:
        self._blobs = blobs
        self._writer = writer
        self._clock = clock
        self._settings = settings
        self._unfinished: set[asyncio.Future[Any]] = set()

    async def take(
        self, asked: KeepFile, chunks: AsyncIterable[Chunk], claimed: Callable[[], str]
    ) -> File:
        """Keep what the chunks are together, as the file that is asked for.

        `claimed` says, after the last chunk, which SHA-256 they must have; "": any. Size,
        digest and blob of the file are filled in here. Raises `InvalidFields` for another
        digest, `PayloadTooLarge`, `FilesUnavailable`, what the chunks raise, and as
        `KeepFile`; then nothing is kept. Who is cancelled before the last chunk and its check
        leaves nothing; after that the file is kept all the same.
        """
        blob = secrets.token_bytes(_BLOB_BYTES)
        incoming = _Incoming(chunks, _Renewal(self._writer, self._clock, blob))
        with self._waited_for():
            try:
                await self._writer.write(OpenBlob(blob))
                async with aclosing(incoming.chunks()) as pieces:
                    await self._blobs.write(blob.hex(), pieces)
                incoming.check(claimed())
            except BaseException:
                self._begin(self._discard(blob))
                raise
        file = asked.file._replace(blob=blob, size=incoming.size, sha256=incoming.digest)
        # The change is on its way, whoever is cancelled: its outcome decides about the blob.
        return await asyncio.shield(self._begin(self._keep(asked._replace(file=file))))

    async def read(self, file: File) -> AsyncGenerator[bytes]:
        """Yield what is in a file. Raises `FilesUnavailable` and, at the end, `FileDamaged`."""
        digest, size = _Digest(), 0
        async with aclosing(ahead(self._blobs.read(file.blob.hex()))) as chunks:
            async for chunk in chunks:
                await digest.add(chunk)
                size += len(chunk)
                yield chunk
        if size != file.size or await digest.value() != file.sha256:
            log.error("file_damaged", file_id=text_of(file.id), size=size, expected=file.size)
            raise FileDamaged(text_of(file.id))

    async def run(self) -> None:
        """Sweep at intervals until cancelled."""
        while True:
            try:
                await self.sweep()
            except StoreUnavailable as error:
                log.warning("sweep_failed", reason=str(error))
            except Exception:
                log.exception("sweep_failed")
            await asyncio.sleep(self._settings.sweep_every_seconds)

    async def sweep(self) -> None:
        """Remove what has expired and what was given up, a few at a time."""
        swept = _SWEPT_AT_ONCE
        while swept == _SWEPT_AT_ONCE:
            outcome = await self._writer.write(SweepFiles(_SWEPT_AT_ONCE))
            blobs = cast("Sequence[bytes]", outcome)
            await self._remove(blobs)
            swept = len(blobs)

    async def settle(self) -> None:
        """Wait until everything that was begun is kept or removed."""
        while self._unfinished:
            await asyncio.wait(self._unfinished)

    @contextmanager
    def _waited_for(self) -> Generator[None]:
        """Let `settle` wait for the end: who is cancelled still takes back what was written."""
        over = asyncio.get_running_loop().create_future()
        self._unfinished.add(over)
        try:
            yield
        finally:
            self._unfinished.discard(over)
            over.set_result(None)

    def _begin(self, work: Coroutine[None, None, T]) -> asyncio.Task[T]:
        """Do something to its end, whoever waits for it."""
        task = asyncio.create_task(work, name="file")
        self._unfinished.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._unfinished.discard(task)
        if not task.cancelled():
            task.exception()  # Nobody may be left to ask for it.

    async def _keep(self, change: KeepFile) -> File:
        try:
            return cast("File", await self._writer.write(change))
        except StoreUnavailable:
            raise  # It may have been kept: if not, the sweep will see to it.
        except Exception:
            await self._discard(change.file.blob)
            raise

    async def _discard(self, blob: bytes) -> None:
        """Remove a blob that no file will have."""
        try:
            await self._remove([blob])
        except Exception:
            log.exception("discard_failed")  # The sweep will try again.

    async def _remove(self, blobs: Sequence[bytes]) -> None:
        if blobs:
            await self._blobs.remove([blob.hex() for blob in blobs])
            await self._writer.write(ForgetBlobs(tuple(blobs)))


class _Renewal:
    """Asks for more time while a blob is still being written."""

    def __init__(self, writer: Writer, clock: Clock, blob: bytes) -> None:
        self._writer = writer
        self._clock = clock
        self._blob = blob
        self._renewed_at = clock.monotonic()

    async def look(self) -> None:
        """Raise `UploadGivenUp` if it was too late to ask."""
        now = self._clock.monotonic()
        if now - self._renewed_at < _RENEW_SECONDS:
            return
        self._renewed_at = now
        if not await self._writer.write(OpenBlob(self._blob, again=True)):
            raise UploadGivenUp


class _Incoming:
    """Counts and digests chunks on their way in."""

    def __init__(self, chunks: AsyncIterable[Chunk], renewal: _Renewal) -> None:
        self._chunks = chunks
        self._renewal = renewal
        self._digest = _Digest()
        self.size = 0
        self.digest = b""

    async def chunks(self) -> AsyncGenerator[Chunk]:
        async for chunk in self._chunks:
            self.size += len(chunk)
            if self.size > FILE_BYTES:
                raise PayloadTooLarge("data", FILE_BYTES, self.size)
            await self._digest.add(chunk)
            yield chunk
            await self._renewal.look()
        self.digest = await self._digest.value()

    def check(self, claimed: str) -> None:
        """Raise `InvalidFields` if this is not what was sent."""
        if claimed and claimed.lower() != self.digest.hex():
            wrong = f"{self.size} bytes arrived, whose SHA-256 is {self.digest.hex()}"
            raise InvalidFields([Violation("sha256", wrong)])


class _Digest:
    """A SHA-256 that is computed while the next chunk is on its way."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._adding: asyncio.Future[None] | None = None

    async def add(self, chunk: Chunk) -> None:
        if self._adding is not None:
            await self._adding
            self._adding = None
        if len(chunk) <= _HASHED_HERE_BYTES:
            self._hash.update(chunk)
        else:
            loop = asyncio.get_running_loop()
            self._adding = loop.run_in_executor(None, self._hash.update, chunk)

    async def value(self) -> bytes:
        if self._adding is not None:
            await self._adding
        return self._hash.digest()
