"""Open streams: each is counted as long as it is open, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.core.errors import RateLimited, RoleMissing, Unauthenticated
from longshore.server.open_streams import OpenStreams, Owner

LIMIT = 3
OWNERS: tuple[Owner, ...] = (("ada", ""), ("bob", ""), ("", "ada"))

Way = Callable[["Stream", OpenStreams], None]


class Broken(Exception):
    """Something that nobody foresaw."""


class Stream:
    """A stream that a task serves until a test ends it."""

    def __init__(
        self, streams: OpenStreams, owner: Owner, expires: float | None = None
    ) -> None:
        self.owner = owner
        self.refusal: Exception | None = None  #: What it is told when it is looked at.
        self.error: Exception | None = None  #: What its own work raises at last.
        self.over = asyncio.Event()
        self._expires = expires
        self.task = asyncio.create_task(self._serve(streams))

    async def _serve(self, streams: OpenStreams) -> None:
        with streams.entered(self.owner, self._look, self._expires):
            await self.over.wait()
            if self.error is not None:
                raise self.error

    def _look(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def outcome(self) -> BaseException | None:
        await asyncio.wait([self.task])
        return asyncio.CancelledError() if self.task.cancelled() else self.task.exception()


def finish(stream: Stream, _streams: OpenStreams) -> None:
    stream.over.set()


def fail(stream: Stream, _streams: OpenStreams) -> None:
    stream.error = ValueError("broken")
    stream.over.set()


def cancel(stream: Stream, _streams: OpenStreams) -> None:
    stream.task.cancel()


def refuse(stream: Stream, streams: OpenStreams) -> None:
    stream.refusal = RoleMissing("viewer")
    streams.look_again(0.0, at_all=True)


def refuse_twice(stream: Stream, streams: OpenStreams) -> None:
    refuse(stream, streams)
    refuse(stream, streams)


def refuse_what_finishes(stream: Stream, streams: OpenStreams) -> None:
    finish(stream, streams)
    refuse(stream, streams)


def refuse_what_is_cancelled(stream: Stream, streams: OpenStreams) -> None:
    cancel(stream, streams)
    refuse(stream, streams)


WAYS: tuple[Way, ...] = (
    finish,
    fail,
    cancel,
    refuse,
    refuse_twice,
    refuse_what_finishes,
    refuse_what_is_cancelled,
)


@given(st.data())
def test_as_many_as_are_allowed_can_be_open_whatever_became_of_others(
    data: st.DataObject,
) -> None:
    asyncio.run(_play(data))


async def _play(data: st.DataObject) -> None:
    streams = OpenStreams(LIMIT)
    open_ones: list[Stream] = []
    for _ in range(data.draw(st.integers(1, 25))):
        ending: bool = data.draw(st.booleans())
        if open_ones and ending:
            stream = open_ones.pop(data.draw(st.integers(0, len(open_ones) - 1)))
            data.draw(st.sampled_from(WAYS))(stream, streams)
            await stream.outcome()
            continue
        stream = Stream(streams, data.draw(st.sampled_from(OWNERS)))
        await asyncio.sleep(0)
        if sum(one.owner == stream.owner for one in open_ones) < LIMIT:
            assert not stream.task.done()
            open_ones.append(stream)
        else:
            assert isinstance(await stream.outcome(), RateLimited)
    for stream in open_ones:
        stream.over.set()
        assert await stream.outcome() is None


async def opened(streams: OpenStreams, expires: float | None = None) -> Stream:
    stream = Stream(streams, OWNERS[0], expires)
    await asyncio.sleep(0)
    return stream


@pytest.mark.parametrize(
    "way, outcome",
    [
        (finish, None),
        (fail, ValueError),
        (cancel, asyncio.CancelledError),
        (refuse, RoleMissing),
        (refuse_twice, RoleMissing),
    ],
)
async def test_what_serves_a_stream_learns_how_it_ends(
    way: Way, outcome: type[BaseException] | None
) -> None:
    streams = OpenStreams(1)
    stream = await opened(streams)
    way(stream, streams)
    ended = await stream.outcome()
    assert type(ended) is (outcome or type(None))
    assert bool(stream.task.cancelling()) == (way is cancel)


async def test_a_stream_ends_when_its_credential_expires_and_is_not_looked_at_before() -> None:
    streams = OpenStreams(3)
    stream = await opened(streams, expires=100.0)
    lasting = await opened(streams)
    for one in (stream, lasting):
        one.refusal = RoleMissing("viewer")
    streams.look_again(99.9, at_all=False)
    await asyncio.sleep(0)
    assert not stream.task.done()
    streams.look_again(100.0, at_all=False)
    assert isinstance(await stream.outcome(), Unauthenticated)
    assert not lasting.task.done()
    finish(lasting, streams)
    await lasting.outcome()


async def test_who_cannot_be_looked_at_may_not_go_on_and_the_others_are_looked_at() -> None:
    streams = OpenStreams(3)
    first, second = await opened(streams), await opened(streams)
    first.refusal, second.refusal = Broken(), RoleMissing("viewer")
    streams.look_again(0.0, at_all=True)
    assert isinstance(await first.outcome(), Broken)
    assert isinstance(await second.outcome(), RoleMissing)
