"""Hosts: what requests say that they are sent to, of which links are made."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

#: A name or an address, and perhaps a port, as URLs have them.
_HOST: Final = re.compile(
    rb"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(?::[0-9]{0,5})?"
)


class OneHost:
    """Refuses requests whose `Host` is no part of a URL, or which have several.

    One that is missing, as in HTTP/1.0, is where the request has arrived.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) > 1 or not all(map(is_host, hosts)):
            refusal = PlainTextResponse("400 Bad Request: Host\n", 400)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def is_host(text: bytes) -> bool:
    """Whether it can be where a URL leads to; what is empty leaves that open."""
    found = _HOST.fullmatch(text)
    if found is None:
        return False
    try:
        return not found["address"] or bool(ipaddress.IPv6Address(found["address"].decode()))
    except ValueError:
        return False
