"""The files of one running action: what it saves and reads ends when it does."""

from __future__ import annotations

import asyncio
import mimetypes
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError
from typing import Any, Final, TypeVar

from longshore.client.errors import CallError
from longshore.client.sources import Source, parts_of
from longshore.v1.file_service_pb2 import FileHeader
from longshore.worker import fetching
from longshore.worker.files import Chunks
from longshore.worker.lease import Lease, Stop
from longshore.worker.post import Post
from longshore.worker.pump import Pump, is_drawn
from longshore.worker.refusals import broken, refusal, stopped
from longshore.worker.saving import FileInfo, Paths, Saved, info_of
from longshore.worker.transfers import Transfers, is_broken

T = TypeVar("T")

#: Which orders to end keep an action from reading on, and from saving what it has.
READING: Final = Stop.LEAVING
SAVING: Final = Stop.LOST


class ActionFiles:
    """Saves and gets files for one call of an action, in a coroutine or in a thread.

    What is asked for on the event loop is awaited there; other threads are held up until it
    is done.
    """

    __slots__ = (
        "_closed",
        "_lease",
        "_lose",
        "_paths",
        "_post",
        "_saved",
        "_tasks",
        "_transfers",
        "_uploads",
    )

    def __init__(
        self, lease: Lease, transfers: Transfers, post: Post, lose: Callable[[Lease], None]
    ) -> None:
        self._lease = lease
        self._transfers = transfers
        self._post = post
        self._lose = lose  # Is told when a server says that the lease is lost.
        self._paths = Paths()
        self._saved: list[Saved] = []  # By coroutines.
        self._uploads: set[asyncio.Task[Any]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()  # Of uploads and all else that goes on.
        self._closed = False

    def save(self, path: str, source: Source, content_type: str) -> Saved:
        """Save a file, or begin to. Raises `ValueError` at once if the path is taken."""
        self._paths.take(path)
        if not self._post.here():
            pump = Pump(parts_of(source)) if is_drawn(source) else None
            work = self.upload(path, pump.drawn() if pump else source, content_type)
            return Saved(self._wait(work, SAVING, pump))
        if isinstance(source, bytearray | memoryview):
            source = bytes(source)  # the action may go on, and change it
        work = self.tracked(self.upload(path, source, content_type), SAVING)
        task = asyncio.create_task(work)
        self._tasks.add(task)
        saved = Saved(task)
        self._saved.append(saved)
        return saved

    def info(self, uri: str) -> Any:
        return self._answer(fetching.look(uri, self._transfers))

    def read(self, uri: str) -> Any:
        return self._answer(fetching.load(uri, self._transfers))

    def fetch(self, uri: str, to: str | os.PathLike[str]) -> Any:
        return self._answer(fetching.save(uri, to, self._transfers))

    def chunks(self, uri: str) -> Chunks:
        return Chunks(
            lambda: self._iterate(fetching.read(uri, self._transfers)),
            lambda: fetching.read(uri, self._transfers),
        )

    async def upload(self, path: str, source: Source, content_type: str) -> FileInfo:
        """Save a file under the lease. Raises `ActionError`, and whatever its source raises."""
        header = FileHeader(
            path=path,
            content_type=content_type or mimetypes.guess_type(path)[0] or "",
            number=self._lease.number,
            lease_token=self._lease.token,
        )
        task = asyncio.current_task()
        assert task is not None
        self._uploads.add(task)
        try:
            return info_of(await self._transfers.upload(header, source))
        except CallError as error:
            self._paths.release(path)
            raise self._refused(path, error) from None
        except BaseException:
            self._paths.release(path)
            raise
        finally:
            self._uploads.discard(task)

    async def tracked(self, work: Coroutine[Any, Any, T], until: Stop) -> T:
        """Do something that ends with the action.

        Raises `ActionError` if the action is over, or has been told to end by such an order, or
        a graver one.
        """
        if self._closed or (self._lease.stop or 0) >= until:
            work.close()
            raise stopped()
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            return await work
        finally:
            self._tasks.discard(task)

    @property
    def unsettled(self) -> bool:
        """Whether the action ended without waiting for all that it saves."""
        return bool(self._uploads) or any(not saved.seen for saved in self._saved)

    async def settle(self) -> None:
        """Wait for what is still being saved. Raises what has failed, unless somebody saw it."""
        for saved in self._saved:
            if not saved.seen:
                await saved
        while self._uploads:
            await asyncio.wait(self._uploads)

    def cancel(self) -> None:
        """End all that goes on; more may follow, unless the lease is lost."""
        for task in tuple(self._tasks):
            task.cancel()

    def close(self) -> None:
        """End all that goes on, for good."""
        self._closed = True
        self.cancel()

    def _refused(self, path: str, error: CallError) -> Exception:
        if error.reason == "LEASE_LOST":
            self._lose(self._lease)
            return stopped()
        return broken(path) if is_broken(error) else refusal(error, f"saving {path!r}")

    def _answer(self, work: Coroutine[Any, Any, T]) -> Any:
        """Return what is awaited on the loop, and in other threads what comes of it."""
        return work if self._post.here() else self._wait(work, READING)

    def _wait(self, work: Coroutine[Any, Any, T], until: Stop, pump: Pump | None = None) -> T:
        """Hold up this thread until something is done on the loop."""
        if self._closed:  # and perhaps the loop as well
            work.close()
            raise stopped()
        done = self._post.run(self.tracked(work, until))
        if pump is not None:
            done.add_done_callback(lambda _: pump.stop())
            pump.serve()
        try:
            return done.result()
        except CancelledError:
            raise stopped() from None

    def _iterate(self, pieces: AsyncGenerator[bytes]) -> Iterator[bytes]:
        if self._post.here():
            raise RuntimeError("a coroutine reads the chunks of a file by 'async for'")
        try:
            while piece := self._wait(_next(pieces), READING):
                yield piece
        finally:
            # Not waited for: whoever forgets an iterator may do so on the loop.
            self._post.call(self._drop, pieces)

    def _drop(self, pieces: AsyncGenerator[bytes]) -> None:
        task = asyncio.create_task(_close(pieces))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _next(pieces: AsyncGenerator[bytes]) -> bytes:
    return await anext(pieces, b"")


async def _close(pieces: AsyncGenerator[bytes]) -> None:
    await pieces.aclose()
