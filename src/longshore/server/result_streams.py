"""Result streams: what comes into a channel, told to the one who listens."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, TypeAlias

from longshore.core.changes import Acknowledge
from longshore.core.deliveries import Delivery
from longshore.core.errors import (
    InvalidFields,
    OperationNotFound,
    StoreUnavailable,
    StreamNotFound,
    Violation,
)
from longshore.core.ids import target_of
from longshore.core.limits import ACKNOWLEDGED_AT_ONCE, PAGE_BYTES
from longshore.core.operations import Part, Record
from longshore.core.store import Channel
from longshore.engine.engine import Engine
from longshore.engine.streams import Listener
from longshore.server.checks import at_most
from longshore.server.gate import Call
from longshore.server.messages import FULL_PARTS, Messages
from longshore.server.plan_checks import at
from longshore.server.result_messages import HEARTBEAT, LAST, ResultMessages
from longshore.v1 import task_service_pb2 as pb

_AT_ONCE: Final = 100  #: Results that are read at once, if they are small.
_AGE_SPREAD: Final = (0.9, 1.1)  #: Streams that began together do not end together.
_Arrived: TypeAlias = tuple[int, Record]  #: With the revision of the end.
_NOTHING: Final = b""  #: An encoded `AcknowledgeResultsResponse`.


class ResultStreams:
    """Serves the channels of those who asked for results to be sent to them."""

    def __init__(self, engine: Engine, messages: Messages) -> None:
        self._engine = engine
        self._messages = ResultMessages(engine, messages)

    async def listen(
        self, request: pb.StreamResultsRequest, call: Call
    ) -> AsyncGenerator[bytes]:
        """Yield the results of the caller's stream, which it takes over.

        The stream has the caller's name as well, whatever its id is.

        Raises `StreamNotFound`, `StreamTaken`, `RevisionCompacted`, `RevisionInFuture`, and
        what the files of a result raise.
        """
        caller = call.caller
        if request.stream not in (caller.stream_id, caller.principal):
            raise StreamNotFound(request.stream)
        after = request.after_revision if request.HasField("after_revision") else None
        if after is not None:
            if after < 0:
                raise InvalidFields([Violation("after_revision", "from 0")])
            await self._engine.check_revision(after)
        listener = await self._engine.streams.open(caller, caller.stream_id)
        try:
            stream = ResultStream(self._engine, self._messages, listener, after)
            async with aclosing(stream.messages()) as messages:
                async for message in messages:
                    yield message
        finally:
            self._engine.streams.close(listener)

    async def acknowledge(self, request: pb.AcknowledgeResultsRequest, call: Call) -> bytes:
        at_most("ids", ACKNOWLEDGED_AT_ONCE, len(request.ids))
        try:
            targets = tuple(dict.fromkeys(map(target_of, request.ids)))
            if targets:
                await self._engine.writer.write(Acknowledge(call.caller, targets))
        except OperationNotFound as error:
            raise at("ids", error) from None
        return _NOTHING


class ResultStream:
    """Makes the messages of one listener, until it is old or the server goes away.

    Without a revision to go on after, it begins with what was not acknowledged, as far as
    that is not too old and not too much.
    """

    def __init__(
        self,
        engine: Engine,
        messages: ResultMessages,
        listener: Listener,
        after: int | None,
    ) -> None:
        self._engine = engine
        self._messages = messages
        self._listener = listener
        tenant, stream = listener.channel
        asked = Channel(tenant, stream, after or 0, _AT_ONCE, room=PAGE_BYTES)
        self._asked = self._bounded(asked) if after is None else asked
        self._clock = asyncio.get_running_loop().time
        spread = random.uniform(*_AGE_SPREAD)  # noqa: S311
        self._last = self._clock() + engine.settings.stream_age_seconds * spread

    def _bounded(self, asked: Channel) -> Channel:
        settings, now = self._engine.settings, self._engine.clock.now()
        since = now - int(settings.resend_seconds * 1_000)
        return asked._replace(since=since, newest=settings.resend_results)

    async def messages(self) -> AsyncGenerator[bytes]:
        """Yield results, and heartbeats when there are none. Raises `StreamTaken`."""
        heartbeat = self._next_heartbeat()
        while True:
            arrived = await self._read_if_there()
            async with aclosing(self._told(arrived)) as messages:
                async for message in messages:
                    yield message
            if self._leaving():
                yield LAST
                return
            if arrived:
                heartbeat = self._next_heartbeat()
                continue
            heard = await self._listener.wait(min(heartbeat, self._last) - self._clock())
            if not heard and self._clock() >= heartbeat:
                if self._engine.cut_off:  # Another server may have what comes next.
                    yield LAST
                    return
                yield HEARTBEAT
                heartbeat = self._next_heartbeat()

    def _next_heartbeat(self) -> float:
        return self._clock() + self._engine.settings.bookmark_seconds

    def _leaving(self) -> bool:
        return self._engine.draining.is_set() or self._clock() >= self._last

    async def _read_if_there(self) -> list[_Arrived]:
        """Return what comes next; nothing while the store is gone and may be back."""
        try:
            return await self._read()
        except StoreUnavailable:
            if not self._engine.store.recovers:
                raise
            return []

    async def _read(self) -> list[_Arrived]:
        """Return what comes next and was not acknowledged; nothing if there is no more yet."""
        store, listener = self._engine.store, self._listener
        while True:
            asked, newest = self._asked, self._engine.feed.revision
            found = await store.channel(asked)
            numbers = [number for _, number in found]
            listener.expect(numbers)
            records = await store.get(asked.tenant, numbers, FULL_PARTS) if found else ()
            # What comes later has a revision beyond all that was known before this was read.
            after = found[-1][0] if found else max(asked.after, newest)
            self._asked = asked._replace(after=after, since=0, newest=0)
            arrived = [
                (revision, record)
                for (revision, _), record in zip(found, records, strict=True)
                if record is not None and not _acknowledged(record)
            ]
            if arrived or not found:
                return arrived

    async def _told(self, arrived: list[_Arrived]) -> AsyncGenerator[bytes]:
        """Yield messages of results, as far as these are still wanted when their turn comes."""
        # All are made before the first is sent: a listener who has to be woken for every
        # single one costs more than the messages do.
        made = [(one.operation.number, self._messages.of(end, one)) for end, one in arrived]
        for number, told in made:
            self._listener.check()
            if self._leaving():
                return
            if not self._listener.expects(number):
                continue
            if isinstance(told, bytes):
                yield told
                continue
            async with aclosing(told) as messages:
                async for message in messages:
                    self._listener.check()
                    yield message


def _acknowledged(record: Record) -> bool:
    """Tell whether a result was acknowledged between two reads."""
    return Delivery.decode(record.documents[Part.DELIVERY]).retrieve_time is not None
