"""Connections: HTTP as uvicorn speaks it, with bounds for those who send slowly or too much."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from longshore.gateway.access_log import AccessLog
from longshore.gateway.leaving import BREAK_OFF
from longshore.gateway.settings import GatewaySettings, Limits

log = structlog.get_logger("longshore.access")


def bounded(settings: GatewaySettings) -> type[HttpToolsProtocol]:
    """Return connections with these limits."""
    too_large = AccessLog(_refuse_head, settings.trusted_proxies)
    return type(
        "Connection", (_Connection,), {"limits": settings.limits, "too_large": too_large}
    )


class _Connection(HttpToolsProtocol):
    """A connection. The heads of its requests come in time and within a size, their bodies
    without long pauses, and answers are taken; else it is closed.
    """

    limits: Limits
    too_large: ASGIApp  #: What answers requests whose heads are too large.
    app: Any  #: Whom requests are handed to.

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head_began = False
        self._head_bytes = 0  #: Of a head that is not complete yet.
        self._body_awaited = False
        self._heard_at = 0.0
        self._head_timer: asyncio.TimerHandle | None = None
        self._body_timer: asyncio.TimerHandle | None = None
        self._taking_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_timer, self._body_timer, self._taking_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_began or self._is_idle():
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.header_bytes:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            elif self._head_timer is None:
                self._await_head()
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._body_awaited:
            self._heard_at = self.loop.time()
            if self._body_timer is None:
                self._await_body(self.limits.silence.total_seconds())

    def on_message_begin(self) -> None:
        self._head_began = True
        super().on_message_begin()
        self.scope["extensions"] = {BREAK_OFF: {"close": self._break_off}}

    def on_headers_complete(self) -> None:
        self._head_began, self._head_bytes = False, 0
        self._body_awaited = True
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size <= self.limits.header_bytes:
            super().on_headers_complete()
            return
        usual, self.app = self.app, self.too_large
        super().on_headers_complete()
        self.app = usual

    def on_message_complete(self) -> None:
        self._body_awaited = False
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_taking()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._taking_timer is not None:
            self._taking_timer.cancel()
            self._taking_timer = None

    @property
    def _answered(self) -> bool:
        return not self.cycle or self.cycle.response_complete

    def _is_idle(self) -> bool:
        """Whether nothing is known yet of the next request."""
        return self._answered and not self._body_awaited

    def _await_head(self) -> None:
        seconds = self.limits.head.total_seconds()
        self._head_timer = self.loop.call_later(seconds, self._give_up_head)

    def _await_body(self, seconds: float) -> None:
        self._body_timer = self.loop.call_later(seconds, self._look_for_body)

    def _await_taking(self) -> None:
        seconds = self.limits.silence.total_seconds()
        self._taking_timer = self.loop.call_later(seconds, self._give_up_taking)

    def _look_for_body(self) -> None:
        """Give the client up unless it has sent something lately, or is kept from it here."""
        self._body_timer = None
        if not self._body_awaited:
            return
        now, silence = self.loop.time(), self.limits.silence.total_seconds()
        if self.flow.read_paused:
            self._heard_at = now
        left = self._heard_at + silence - now
        if left > 0:
            self._await_body(left)
        else:
            self._give_up("body")

    def _give_up_head(self) -> None:
        if self._head_began:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif self._is_idle():
            self.transport.close()

    def _give_up_taking(self) -> None:
        self._give_up("answer")

    def _break_off(self) -> None:
        if self.transport.is_closing():
            return
        self.transport.close()
        if self._taking_timer is None:
            self._await_taking()

    def _give_up(self, during: str) -> None:
        log.info("slow_client", during=during, address=self.client and self.client[0])
        self.transport.abort()

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer a request whose head is not known in full, and close."""
        log.info("refused", status=int(status), address=self.client and self.client[0])
        text = f"{status.value} {status.phrase}\n".encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            "content-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(text)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + text)
        self.transport.close()


async def _refuse_head(_scope: Scope, _receive: Receive, send: Send) -> None:
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    text = f"{status.value} {status.phrase}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(text)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": text})
