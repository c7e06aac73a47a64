"""Clients: who sends a request, as far as the gateway and the proxies that it trusts can tell."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from starlette.datastructures import Headers
from starlette.types import Scope

from longshore.gateway.settings import Network

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_LONGEST: Final = 64  #: Characters of an address with its port and all.

#: An address as some proxies write it, with the port that the client called from.
_WITH_PORT: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")


def address_of(scope: Scope, trusted_proxies: Sequence[Network]) -> str:
    """Return the address of whoever sends a request; empty if the connection has none.

    That is the peer or, if that is a trusted proxy, the one that it names last in
    `X-Forwarded-For`, and so on: what stands before one that is not trusted may be invented.
    """
    peer = _peer(scope)
    if peer is None:
        return ""
    found = peer
    for hop in _named(scope) if trusted_proxies else ():
        sender = _read(hop) if _is_in(found, trusted_proxies) else None
        if sender is None:
            break
        found = sender
    return str(found)


def comes_by_proxy(scope: Scope, trusted_proxies: Sequence[Network]) -> bool:
    """Whether a request was sent by a trusted proxy, whose headers are believed."""
    peer = _peer(scope) if trusted_proxies else None
    return peer is not None and _is_in(peer, trusted_proxies)


def _peer(scope: Scope) -> _Address | None:
    client = scope.get("client")
    return _read(client[0]) if client else None


def _named(scope: Scope) -> Iterator[str]:
    """Yield what a request says of its way, from its last station on."""
    rest = ",".join(Headers(scope=scope).getlist("x-forwarded-for"))
    while rest:
        rest, _, hop = rest.rpartition(",")
        yield hop.strip()


def _is_in(address: _Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _read(text: str) -> _Address | None:
    return _parsed(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=4_096)
def _parsed(text: str) -> _Address | None:
    """Return an address without its port, and without the network card that it was seen by."""
    if found := _WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
