"""The connection: one stream after the other, until the worker has left."""

from __future__ import annotations

import asyncio
import random
from typing import Final

import grpc
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_result, wait_random_exponential

from longshore.client.callers import Caller
from longshore.client.opened import CHANNEL_OPTIONS
from longshore.client.tls import fault
from longshore.worker.session import Session
from longshore.worker.stream import StreamEnd, converse, is_refusal

_log = structlog.get_logger(__name__)

_FIRST_SECONDS: Final = 0.2
_LONGEST_SECONDS: Final = 30.0

_OPTIONS: Final = (
    *CHANNEL_OPTIONS,
    # The waiting is done here, where the session's time to live is known.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
)


class Connection:
    """Keeps a session in touch with one of several servers."""

    def __init__(self, session: Session, caller: Caller) -> None:
        self._session = session
        self._caller = caller
        self._turn = 0

    async def keep(self) -> None:
        """Speak with a server, whatever comes between, until the session is closed.

        Every end of a stream is followed by another, on the next server: after 0.2 s if it
        was welcomed, else after up to 30 s, or a third of the session's time to live.
        """
        while True:
            again = AsyncRetrying(retry=retry_if_result(_unwelcome), wait=self._wait)
            end: StreamEnd = await again(self._converse)
            if end.goodbye:
                return
            await asyncio.sleep(_FIRST_SECONDS * (1 + random.random()))  # noqa: S311

    async def _converse(self) -> StreamEnd:
        servers = self._caller.turns
        server = servers[self._turn % len(servers)]
        channel = self._caller.channel(server, _OPTIONS)
        try:
            end = await converse(channel, self._session, self._caller.metadata())
        finally:
            self._session.connected = False
            await channel.close()
        self._turn += 1
        if end.reason == "SESSION_TAKEN_OVER":
            self._session.forget()
        if not end.goodbye:
            _say(server, end, secure=self._caller.secure)
        return end

    def _wait(self, state: RetryCallState) -> float:
        """Return how long to wait; what is to be kept alive must not wait too long."""
        longest = min(_LONGEST_SECONDS, self._session.time_to_live / 3)
        end = state.outcome.result() if state.outcome else None
        if isinstance(end, StreamEnd) and is_refusal(end):
            return longest
        return float(wait_random_exponential(multiplier=_FIRST_SECONDS, max=longest)(state))


def _say(server: str, end: StreamEnd, *, secure: bool) -> None:
    log = _log.error if is_refusal(end) else _log.warning
    if end.code is grpc.StatusCode.OK:
        log = _log.info
    meaning = fault(end.message, secure=secure) if not end.welcomed else ""
    log("stream_ended", server=server, code=end.code.name, message=meaning or end.message)


def _unwelcome(end: StreamEnd) -> bool:
    return not end.welcomed
