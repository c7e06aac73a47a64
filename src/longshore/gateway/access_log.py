"""The access log: each request by its id, its way through, and how it ended."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Final

import structlog
import uuid_utils
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longshore.gateway.clients import address_of
from longshore.gateway.settings import Network

log = structlog.get_logger("longshore.access")

_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_HEADER: Final = "x-request-id"

#: When to come again, unless the answer says so itself.
_RETRY_SECONDS: Final = {429: "1", 503: "5"}


class AccessLog:
    """Gives every request an id, `request.state.request_id`, tells it back, and writes one line.
    Who sent it is found once for all, `request.state.client_address`.

    The id is the sender's `X-Request-Id` if it is up to 128 visible characters of ASCII. The
    line has neither query nor headers: secrets may stand there. Whoever is to come again is
    told when.
    """

    def __init__(self, app: ASGIApp, trusted_proxies: Sequence[Network]) -> None:
        self._app = app
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        shown = Headers(scope=scope).get(_HEADER, "")
        request_id = shown if _ID.fullmatch(shown) else str(uuid_utils.uuid7())
        address = address_of(scope, self._trusted_proxies)
        state = scope.setdefault("state", {})
        state.update(request_id=request_id, client_address=address)
        start = time.monotonic()
        status = 0
        sent = 0

        async def told(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.setdefault(_HEADER, request_id)
                if status in _RETRY_SECONDS:
                    headers.setdefault("retry-after", _RETRY_SECONDS[status])
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                bytes=sent,
                milliseconds=round((time.monotonic() - start) * 1_000, 1),
                address=address,
                request_id=request_id,
            )
