"""WorkerService: one stream per worker process, and who is connected."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from collections.abc import Sequence
from typing import ClassVar, Final

from google.protobuf.duration_pb2 import Duration

from longshore.core.errors import InvalidFields, Violation
from longshore.core.fields import FieldType
from longshore.core.lanes import SECRET_BYTES, Session
from longshore.core.page_tokens import PageToken, question
from longshore.engine.engine import Engine
from longshore.engine.live import LiveSession
from longshore.server import worker_infos, worker_messages
from longshore.server.checks import page_size
from longshore.server.decoding import decode
from longshore.server.gate import Call
from longshore.v1.worker_service_pb2 import (
    ListWorkersRequest,
    ListWorkersResponse,
    Welcome,
    WorkerInfo,
    WorkRequest,
    WorkResponse,
)

#: Messages with reports that may be in the writer at once, before the next one is read.
_REPORTS_IN_FLIGHT: Final = 4

_PLACE_TYPES: Final = (FieldType.TEXT, FieldType.INT)


class WorkerService:
    """Hands out work and takes reports, and lists the workers."""

    SERVICE: ClassVar[str] = "longshore.v1.WorkerService"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def Work(self, call: Call) -> None:
        settings = self._engine.settings
        silence_seconds = 3 * settings.beat_seconds
        first = await _first(call, silence_seconds)
        secret = _secret_of(first.hello.session_id)
        hello = worker_messages.hello_of(first.hello, call.caller, call.principal, secret)
        hello = hello._replace(draining=first.draining)
        session = await self._engine.sessions.open(hello)
        try:
            welcome = Welcome(
                session_id=base64.urlsafe_b64encode(secret).decode(),
                epoch=session.epoch,
                beat_interval=_span(settings.beat_seconds),
                time_to_live=_span(settings.time_to_live_seconds),
            )
            await call.write(WorkResponse(welcome=welcome))
            stream = _Stream(session, call, silence_seconds)
            closed = await stream.run(settings.beat_seconds)
            # One that still holds work has not said goodbye: its connection broke.
            if closed and session.draining and not session.held:
                await self._engine.sessions.close(session)
        finally:
            self._engine.sessions.leave(session)

    async def ListWorkers(self, request: ListWorkersRequest, call: Call) -> ListWorkersResponse:
        size = page_size(request.page_size)
        asked = question("workers", call.caller.tenant)
        after: tuple[str | int, ...] = ("", 0)
        if request.page_token:
            after = PageToken.decode(request.page_token, asked, _PLACE_TYPES).after
        await self._engine.learn()  # Of those who came to another server just now.
        sessions = [
            session
            for session in self._engine.catalog.current.sessions.values()
            if session.tenant == call.caller.tenant and _place(session) > after
        ]
        sessions.sort(key=_place)
        response = ListWorkersResponse(workers=await self._infos(sessions[:size]))
        if len(sessions) > size:
            last = _place(sessions[size - 1])
            revision = self._engine.feed.revision
            response.next_page_token = PageToken(asked, last, revision).encode()
        return response

    async def _infos(self, sessions: Sequence[Session]) -> list[WorkerInfo]:
        """Return how workers do, here and at other servers."""
        engine = self._engine
        infos = {session.number: worker_infos.info_of(session) for session in sessions}
        known = await engine.store.attendance(list(infos))
        since = engine.clock.now() - round(3_000 * engine.settings.beat_seconds)
        for number, info in infos.items():
            live = engine.sessions.live.get(number)
            if live is not None:
                worker_infos.show_live(info, live)
            else:
                worker_infos.show_elsewhere(info, known[number], since)
        return list(infos.values())


def _place(session: Session) -> tuple[str, int]:
    """Return what workers are listed by: names need not be unique."""
    return session.worker, session.number


class _Stream:
    """Both directions of one worker's stream."""

    def __init__(self, session: LiveSession, call: Call, silence_seconds: float) -> None:
        self._session = session
        self._call = call
        self._silence_seconds = silence_seconds
        self._room = asyncio.Semaphore(_REPORTS_IN_FLIGHT)

    async def run(self, beat_seconds: float) -> bool:
        """Serve until one side ends; return whether the worker closed its side.

        Raises `SessionTakenOver` if a younger stream has the session.
        """
        listening = asyncio.create_task(self._listen(), name="work-listen")
        listening.add_done_callback(lambda _: self._session.interrupt())
        try:
            while not listening.done():
                outgoing = await self._session.take(beat_seconds)
                if listening.done():
                    break
                for message in worker_messages.responses_of(outgoing):
                    await self._call.write(message)
                if outgoing.end:
                    return False
            return await listening
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await listening

    async def _listen(self) -> bool:
        """Read until the worker closes its side (true), or is silent for too long (false)."""
        try:
            async with asyncio.TaskGroup() as reporting:
                while (request := await self._next()) is not None:
                    await self._room.acquire()
                    reporting.create_task(self._report(request))
        except ExceptionGroup as failed:
            # The first fault is told; those that it brought about are not.
            first = failed.exceptions[0]
            if isinstance(first, TimeoutError):
                return False
            raise first from None
        return True

    async def _next(self) -> WorkRequest | None:
        """Return the next message that reports something, noting that the worker lives."""
        while True:
            async with asyncio.timeout(self._silence_seconds):
                request = await _read(self._call)
            if request is None:
                return None
            self._session.heard()
            if request.draining:
                self._session.drain()
            if request.reports:
                return request

    async def _report(self, request: WorkRequest) -> None:
        try:
            await self._session.report(worker_messages.reports_of(request.reports))
        finally:
            self._room.release()


async def _first(call: Call, silence_seconds: float) -> WorkRequest:
    """Return the first message of a stream, which introduces the worker."""
    request = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(silence_seconds):
            request = await _read(call)
    if request is None or not request.HasField("hello"):
        missing = "the first message of a stream says hello"
        raise InvalidFields([Violation("hello", missing, "MISSING")])
    return request


async def _read(call: Call) -> WorkRequest | None:
    data = await call.read()
    return None if data is None else decode(WorkRequest, data)


def _secret_of(session_id: str) -> bytes:
    if not session_id:
        return secrets.token_bytes(SECRET_BYTES)
    try:
        secret = base64.urlsafe_b64decode(session_id.encode("ascii"))
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise InvalidFields([Violation("hello.session_id", "not an id that was given here")])
    return secret


def _span(seconds: float) -> Duration:
    span = Duration()
    span.FromMilliseconds(int(seconds * 1_000))
    return span
