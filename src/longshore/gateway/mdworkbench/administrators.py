"""Administrators: who may see and order the queue, and steer the server."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request

from longshore.client import PermissionDenied, Relayed, Unauthenticated
from longshore.gateway.dialects import Gateway
from longshore.gateway.mdworkbench.errors import NotAdministrator, NotAuthenticated

#: Name and password; gRPC carries nothing else than visible characters of ASCII.
_BASIC: Final = re.compile(r"basic +[A-Za-z0-9+/]+={0,2} *", re.IGNORECASE)
_ROLE: Final = "operator"  #: That administrators have; `admin` implies it.


async def administrator(gateway: Gateway, request: Request) -> Relayed:
    """Return what asks for the administrator who sends a request.

    Nothing else of the request is looked at before. Raises `NotAuthenticated`,
    `NotAdministrator` and `CallError`.
    """
    shown = request.headers.getlist("authorization")
    if len(shown) != 1 or not _BASIC.fullmatch(shown[0]):
        raise NotAuthenticated("an administrator's name and password are needed")
    asking = gateway.way.of(request, shown[0])
    try:
        caller = await asking.server.caller()
    except Unauthenticated:
        raise NotAuthenticated("no administrator has this name and password") from None
    except PermissionDenied as error:
        raise NotAdministrator(str(error)) from None
    if _ROLE not in caller.roles:
        raise NotAdministrator(f"{caller.principal} is no administrator")
    return asking
