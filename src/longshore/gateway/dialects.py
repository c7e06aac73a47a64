"""Dialects: the documented APIs, each an application of its own, mounted where it is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fastapi import FastAPI

from longshore.gateway.callers import Way
from longshore.gateway.links import Links
from longshore.gateway.settings import GatewaySettings


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
