"""Dialects: the documented APIs, each an application of its own, mounted where it is wanted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol

from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import Match, Route

from longshore.gateway.callers import Way
from longshore.gateway.links import Links
from longshore.gateway.settings import GatewaySettings

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Gateway:
    """What every part of the gateway is given."""

    settings: GatewaySettings
    way: Way
    links: Links


class Dialect(Protocol):
    """What a module of a dialect offers: `longshore.gateway.vitam.application` and so on.

    Paths are those of its contract, without the mount. Whatever is wrong is answered in its
    own shape: nothing of FastAPI's or Starlette's reaches its clients. Its OpenAPI document is
    what FastAPI makes of its routes; nothing is served below the mount but the contract.
    """

    def __call__(self, gateway: Gateway) -> FastAPI: ...


def is_id(text: str) -> bool:
    """Whether it is a whole id. Servers take numbers as well, but these can be guessed."""
    return _ID.fullmatch(text) is not None


def allowed(request: Request) -> str:
    """Return the methods of a path of a dialect, as `Allow` has them."""
    application: FastAPI = request.app
    return ", ".join(
        sorted(
            method
            for route in application.routes
            if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
            for method in route.methods or ()
        )
    )
