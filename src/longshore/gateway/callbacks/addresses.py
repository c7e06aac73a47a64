"""Addresses: where a name leads, and whether strangers may send the gateway there."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from longshore.gateway.settings import Network

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Returns the addresses of a host, the best first. Raises `OSError` if it has none."""

#: Ways through IPv6 to whatever IPv4 address stands in them.
_TUNNELS: Final = tuple(
    map(
        ipaddress.IPv6Network,
        ("::/96", "::ffff:0:0/96", "64:ff9b::/32", "2001::/32", "2002::/16"),
    )
)


class Forbidden(Exception):
    """All addresses of a host are such that callbacks may not go there."""


async def resolved(host: str, port: int) -> list[Address]:
    """Ask the resolver of this machine, which also reads addresses in all their spellings."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    texts = (str(address[0]).partition("%")[0] for *_, address in found)
    return [ipaddress.ip_address(text) for text in dict.fromkeys(texts)]


def permitted(
    host: str, addresses: Sequence[Address], allowed: Sequence[Network]
) -> list[Address]:
    """Return those that callbacks may go to. Raises `Forbidden` if there are none.

    That is what everybody on the internet can reach, and what is allowed besides: neither this
    machine nor its neighbours, nor groups, nor ways around through tunnels.
    """
    found = [one for one in addresses if _is_public(one) or _is_in(one, allowed)]
    if not found:
        raise Forbidden(f"{host} leads to {', '.join(map(str, addresses))}")
    return found


def _is_public(address: Address) -> bool:
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    return address.version == 4 or not (address.is_site_local or _is_in(address, _TUNNELS))


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
