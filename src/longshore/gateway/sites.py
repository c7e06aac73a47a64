"""Sites: what pages of other sites let browsers send changes nothing here.

A browser sends along what it has, credentials or the right place in a network, whoever made the
page; it also says that the page was of another site.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from longshore.gateway.faults import Fault

#: What changes nothing, so that whoever likes may link to it.
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADER: Final = b"sec-fetch-site"


class CrossSite(Fault):
    """A page of another site wants something changed."""

    status = 403

    def __init__(self) -> None:
        super().__init__("pages of other sites may not change anything here")


class OwnSite:
    """Refuses such requests before an application sees them, in the words that it has."""

    def __init__(
        self, app: ASGIApp, refuse: Callable[[Request, Any], Response | Awaitable[Response]]
    ) -> None:
        self._app = app
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_cross_site(scope):
            await self._app(scope, receive, send)
            return
        told = self._refuse(Request(scope, receive), CrossSite())
        response = await told if isawaitable(told) else told
        await response(scope, receive, send)


def is_cross_site(scope: Scope) -> bool:
    """Whether a page of another site wants something changed."""
    return scope["method"] not in _SAFE and (_HEADER, b"cross-site") in scope["headers"]
