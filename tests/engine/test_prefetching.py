"""Prefetching: the same chunks, one ahead of who uses them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from longshore.engine.prefetching import ahead


class Producer:
    """Yields chunks, then waits or fails."""

    def __init__(self, *chunks: bytes, fault: Exception | None = None) -> None:
        self.chunks = chunks
        self.fault = fault
        self.yielded: list[bytes] = []
        self.waits = asyncio.Event()
        self.closed = False

    async def produce(self, *, endless: bool = False) -> AsyncGenerator[bytes]:
        try:
            for chunk in self.chunks:
                self.yielded.append(chunk)
                yield chunk
            if self.fault is not None:
                raise self.fault
            if endless:
                self.waits.set()
                await asyncio.Event().wait()
        finally:
            self.closed = True


async def test_the_chunks_are_the_same_in_the_same_order() -> None:
    producer = Producer(b"a", b"b", b"c")
    assert [chunk async for chunk in ahead(producer.produce())] == [b"a", b"b", b"c"]
    assert producer.closed


async def test_the_next_chunk_is_fetched_while_one_is_used() -> None:
    producer = Producer(b"a", b"b")
    async with aclosing(ahead(producer.produce(endless=True))) as chunks:
        assert await anext(chunks) == b"a"
        assert await anext(chunks) == b"b"
        await producer.waits.wait()  # for a third one, which nobody has asked for yet
    assert producer.closed


async def test_what_the_producer_raises_comes_after_what_it_gave() -> None:
    producer = Producer(b"a", fault=OSError("the disk is gone"))
    async with aclosing(ahead(producer.produce())) as chunks:
        assert await anext(chunks) == b"a"
        with pytest.raises(OSError, match="gone"):
            await anext(chunks)
    assert producer.closed


async def test_who_leaves_early_closes_the_producer_and_hears_of_no_fault() -> None:
    producer = Producer(b"a", fault=OSError("nobody is left to be told"))
    async with aclosing(ahead(producer.produce())) as chunks:
        assert await anext(chunks) == b"a"
    assert producer.closed


async def test_the_producer_is_closed_however_often_its_reader_is_cancelled() -> None:
    begun, stopping, may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()
    closed = asyncio.Event()

    async def stubborn() -> AsyncGenerator[bytes]:
        yield b"a"
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            stopping.set()
            await may_end.wait()
            closed.set()

    async def read() -> None:
        async with aclosing(ahead(stubborn())) as chunks:
            async for _ in chunks:
                await asyncio.Event().wait()

    reader = asyncio.create_task(read())
    await begun.wait()
    reader.cancel()
    await stopping.wait()
    reader.cancel()
    await asyncio.sleep(0)
    assert not reader.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert closed.is_set()
