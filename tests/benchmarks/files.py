"""Files of a gibibyte: how fast they go in and out, and what memory that takes of the server."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import grpc

from longshore.v1 import file_service_pb2 as pb
from longshore.v1.file_service_pb2_grpc import FileServiceStub
from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.byte_stream import CHUNK
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.processes import Running, byte_server
from tests.benchmarks.samples import Sample

T = TypeVar("T")

_MIB: Final = 1 << 20
_HEADER: Final = pb.UploadFileRequest(header=pb.FileHeader(path="figures.bin"))
_DATA: Final = pb.UploadFileRequest(data=CHUNK)


async def measure(bench: Bench) -> list[Figure]:
    chunks = bench.size(1_024, 16)
    async with (
        bench.server("files") as server,
        connected(server.address) as channel,
        byte_server() as bare_server,
        connected(bare_server.address) as bare_channel,
    ):
        bare, ours = Bare(bare_channel, chunks), Ours(channel, server, chunks)
        takes = await bench.interleaved(bare.upload, ours.upload, rounds=3)
        gives = await bench.interleaved(bare.download, ours.download, rounds=3)
    size = f"{chunks:,} MiB"
    return [
        _speed(f"upload of {size}", *takes),
        _speed(f"download of {size}", *gives),
        Figure(
            name=f"memory that the server gains by {size} up and down",
            unit="MiB",
            value=Sample.of([max(ours.grown)]),
            target=Target(sign="≤", bound=64),
        ),
    ]


def _speed(name: str, bare: list[float], ours: list[float]) -> Figure:
    return Figure(
        name=name,
        unit="MiB/s",
        value=Sample.of(ours),
        baseline=Sample.of(bare),
        baseline_name="bare byte stream",
        ratio=Sample.ratio(ours, bare),
        target=Target(sign="≥", bound=0.6, of_ratio=True),
    )


@dataclass(frozen=True, slots=True)
class Bare:
    """A stream of bytes with nothing behind it."""

    channel: grpc.aio.Channel
    chunks: int

    async def upload(self) -> float:
        """Return how many MiB a second go in."""

        async def requests() -> AsyncGenerator[pb.UploadFileRequest]:
            for _ in range(self.chunks):
                yield _DATA

        start = time.perf_counter()
        answer = await FileServiceStub(self.channel).UploadFile(requests())
        assert answer.file.size == self.chunks * _MIB
        return self.chunks / (time.perf_counter() - start)

    async def download(self) -> float:
        """Return how many MiB a second come out."""
        start, size = time.perf_counter(), 0
        request = pb.DownloadFileRequest(file_id=str(self.chunks))
        async for response in FileServiceStub(self.channel).DownloadFile(request):
            size += len(response.data)
        assert size == self.chunks * _MIB
        return self.chunks / (time.perf_counter() - start)


@dataclass(slots=True)
class Ours:
    """The same bytes as a file that is checked and kept."""

    channel: grpc.aio.Channel
    server: Running
    chunks: int
    grown: list[float] = field(default_factory=list[float])  #: Of the memory, in MiB.
    _digest: str = ""

    async def upload(self) -> float:
        """Return how many MiB a second go in, from the first byte to the safe end."""
        digest = self._sha256()
        file, seconds = await self._measured(self._upload(digest))
        await self._delete(file)
        return self.chunks / seconds

    async def download(self) -> float:
        """Return how many MiB a second come out."""
        file = await self._upload(self._sha256())
        size, seconds = await self._measured(self._download(file))
        assert size == self.chunks * _MIB
        await self._delete(file)
        return self.chunks / seconds

    async def _measured(self, transfer: Awaitable[T]) -> tuple[T, float]:
        """Return what a transfer gives and its seconds, and note what memory it took."""
        before = self.server.resident_bytes()
        self.server.forget_peak()
        start = time.perf_counter()
        given = await transfer
        seconds = time.perf_counter() - start
        self.grown.append((self.server.peak_bytes() - before) / _MIB)
        return given, seconds

    async def _upload(self, digest: str) -> str:
        async def requests() -> AsyncGenerator[pb.UploadFileRequest]:
            yield _HEADER
            for _ in range(self.chunks):
                yield _DATA
            yield pb.UploadFileRequest(sha256=digest)

        answer = await FileServiceStub(self.channel).UploadFile(requests())
        return answer.file.file_id

    async def _download(self, file_id: str) -> int:
        size = 0
        call = FileServiceStub(self.channel).DownloadFile(
            pb.DownloadFileRequest(file_id=file_id)
        )
        async for response in call:
            size += len(response.data)
        return size

    async def _delete(self, file_id: str) -> None:
        await FileServiceStub(self.channel).DeleteFile(pb.DeleteFileRequest(file_id=file_id))

    def _sha256(self) -> str:
        if not self._digest:
            digest = hashlib.sha256()
            for _ in range(self.chunks):
                digest.update(CHUNK)
            self._digest = digest.hexdigest()
        return self._digest
