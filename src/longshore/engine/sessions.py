"""All live sessions of this server: opened, taken over, left, closed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from longshore.core.changes import CloseSession, Opened, OpenSession
from longshore.core.events import Event, EventKind
from longshore.core.lanes import Session
from longshore.core.operations import State
from longshore.engine.clock import Clock
from longshore.engine.conversation import Hello
from longshore.engine.live import LiveSession
from longshore.engine.writer import Writer


@dataclass(slots=True)
class _Opening:
    """A hello whose change is being written, and the session that came of it."""

    hello: Hello
    session: LiveSession | None = None


class Sessions:
    """All live sessions of this server."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self.live: dict[int, LiveSession] = {}
        #: When sessions without a stream here were last heard of, on the monotonic clock.
        self.last_heard: dict[int, float] = {}
        self._openings: dict[int, _Opening] = {}  # By the identity of their changes.
        self._reconnect = False

    async def open(self, hello: Hello) -> LiveSession:
        """Begin a session or take one up again; an older stream of it is ended."""
        change = OpenSession(
            hello.caller,
            hello.secret,
            hello.worker,
            hello.queues,
            hello.offers,
            hello.slots,
            hello.services,
        )
        opening = self._openings[id(change)] = _Opening(hello)
        try:
            await self._writer.write(change)
        except BaseException:
            if opening.session is not None:
                self.leave(opening.session)
            raise
        finally:
            del self._openings[id(change)]
        assert opening.session is not None
        self._writer.wake()
        return opening.session

    def opened(self, change: OpenSession, opened: Opened) -> None:
        """Make a session live at its commit, so that it misses nothing that follows."""
        earlier = self.live.pop(opened.session, None)
        if earlier is not None:
            earlier.take_over()
        # The worker has spoken, also if its stream ended before it could be answered.
        self.last_heard[opened.session] = self._clock.monotonic()
        opening = self._openings.get(id(change))
        if opening is not None:
            session = LiveSession(opening.hello, opened, self._writer, self._clock)
            opening.session = self.live[session.number] = session
            if self._reconnect:
                session.tell_to_reconnect()

    def leave(self, session: LiveSession) -> None:
        """Note that a stream has ended; its leases live on for their time to live."""
        if self.live.get(session.number) is session:
            del self.live[session.number]
            self.last_heard[session.number] = session.heard_at

    async def close(self, session: LiveSession) -> None:
        """End a session whose worker has said goodbye."""
        self.leave(session)
        await self._writer.write(CloseSession(session.caller, session.number, session.epoch))
        self.last_heard.pop(session.number, None)

    def compare(self, known: Mapping[int, Session]) -> None:
        """End the streams whose sessions other servers have taken up, or ended."""
        for session in tuple(self.live.values()):
            stored = known.get(session.number)
            if stored is None or stored.epoch > session.epoch:
                del self.live[session.number]
                session.take_over()

    def tell_to_reconnect(self) -> None:
        """Tell every worker, also those yet to come, to go to another server."""
        self._reconnect = True
        self.send_away()

    def send_away(self) -> None:
        """Tell every worker that is connected now to connect again, here or elsewhere.

        Whoever takes its session up again is told what it holds.
        """
        for session in self.live.values():
            session.tell_to_reconnect()

    def show(self, events: Iterable[Event]) -> None:
        """Show events to the sessions that may hold the operations' leases."""
        sessions = list(self.live.values())
        for event in events:
            if event.kind == EventKind.STATE_CHANGED and event.state == State.RUNNING:
                continue
            for session in sessions:
                if event.number in session.held:
                    session.look_at(event)
