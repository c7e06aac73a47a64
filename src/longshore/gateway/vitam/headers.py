"""Headers: what requests and answers carry beside their bodies."""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from longshore.gateway.vitam.errors import NoKey, NotMet

API_VERSION: Final = "V1.0"  #: Of the contract that is served, not of this program.

#: The method of a POST that says that it stands for a POST: none that any path has.
_ITSELF: Final = "OVERRIDDEN"

_KEY: Final = re.compile(r"[\x21-\x7e]+")
_TENANT: Final = re.compile(r"[+-]?[0-9]{1,18}")


def authorization_of(request: Request) -> str:
    """Return the platform key in the words of call metadata. Raises `NoKey`."""
    key = _first(request.headers, "x-vitam-key")
    if key is None or _KEY.fullmatch(key) is None:
        raise NoKey("the header X-Vitam-Key is needed")
    return f"Bearer {key}"


def tenant_of(request: Request) -> str | None:
    """Return the number of a tenant as text; None if none is named. Raises `NotMet`."""
    tenant = _first(request.headers, "x-tenant-id")
    if tenant is None:
        return None
    if _TENANT.fullmatch(tenant) is None:
        raise NotMet("the header X-Tenant-Id is no integer", "X-Tenant-Id")
    return str(int(tenant))


def documented(request: Request) -> dict[str, str]:
    """Return the headers that every answer has, and those that tell what was sent."""
    headers = {"x-request-id": request.state.request_id, "fullapiversion": API_VERSION}
    application = _first(request.headers, "x-application-id")
    if application:
        headers["x-application-id"] = application
    tenant = _first(request.headers, "x-tenant-id")
    if tenant and _TENANT.fullmatch(tenant):
        headers["x-tenant-id"] = str(int(tenant))
    return headers


def _first(headers: Headers, name: str) -> str | None:
    """Return the first value of a header, that may be repeated or hold several by commas."""
    value = headers.get(name)
    return None if value is None else value.partition(",")[0].strip()


class MethodOverride:
    """Lets a POST stand for another method, for clients that cannot send that with a body.

    Whatever it stands for, it is a POST no more: nothing is made by mistake.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            method = _first(Headers(scope=scope), "x-http-method-override")
            if method is not None:
                stands_for = method.upper()
                scope = {**scope, "method": stands_for if stands_for != "POST" else _ITSELF}
        await self._app(scope, receive, send)
