"""Sites: what pages of other sites let browsers send changes nothing here.

A browser sends along what it has, credentials or the right place in a network, whoever made the
page; it also says whether the page was of another site or, where the way to it is not secure, of
which origin the page was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from longshore.gateway.faults import Fault
from longshore.gateway.links import Links

#: What changes nothing, so that whoever likes may link to it.
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SITE: Final = b"sec-fetch-site"
_ORIGIN: Final = b"origin"


class CrossSite(Fault):
    """A page of another site wants something changed."""

    status = 403

    def __init__(self) -> None:
        super().__init__("pages of other sites may not change anything here")


class OwnSite:
    """Refuses such requests before an application sees them, in the words that it has."""

    def __init__(
        self,
        app: ASGIApp,
        links: Links,
        refuse: Callable[[Request, Any], Response | Awaitable[Response]],
    ) -> None:
        self._app = app
        self._links = links
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_cross_site(scope, self._links):
            await self._app(scope, receive, send)
            return
        told = self._refuse(Request(scope, receive), CrossSite())
        response = await told if isawaitable(told) else told
        await response(scope, receive, send)


def is_cross_site(scope: Scope, links: Links) -> bool:
    """Whether a page of another site wants something changed."""
    if scope["method"] in _SAFE:
        return False
    headers = dict(scope["headers"])
    site = headers.get(_SITE)
    if site is not None:
        return bool(site == b"cross-site")
    if _ORIGIN not in headers:
        return False
    host = _host(headers[_ORIGIN].decode("latin-1"))
    return not host or host not in _own(scope, links)


def _own(scope: Scope, links: Links) -> tuple[str, str]:
    """Return the host that was asked, and what that is called outside, if it is told."""
    request = Request(scope)
    return request.headers.get("host", "").lower(), _host(links.origin(request))


def _host(origin: str) -> str:
    """Return the host of an origin with its port; empty if it has none, as that of a file."""
    return origin.lower().partition("://")[2].partition("/")[0]
