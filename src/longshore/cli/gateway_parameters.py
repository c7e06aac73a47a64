"""What may stand behind the options of a gateway: networks, sizes, mounts."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any, Final, cast

import click

from longshore.gateway.settings import Network

_UNITS: Final = {"": 1, "KIB": 1024, "MIB": 1024**2, "GIB": 1024**3, "TIB": 1024**4}
_SIZE: Final = re.compile(r"(\d+)\s*([KMGT]iB|)", re.IGNORECASE)


class NetworkType(click.ParamType[Network]):
    """A network, or one address: `10.0.0.0/8`, `::1`."""

    name = "network"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Network:
        if isinstance(value, Network):
            return value
        try:
            return ipaddress.ip_network(str(value))
        except ValueError:
            self.fail(f"{value!r} is no network; write 10.0.0.0/8, or an address", param, ctx)


class Size(click.ParamType[int]):
    """A number of bytes: `4MiB`, `500KiB`, `1000`."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(str(value).strip())
        if found is None or not int(found[1]):
            self.fail(f"{value!r} is no size; write 500KiB, 4MiB or 1GiB", param, ctx)
        return int(found[1]) * _UNITS[found[2].upper()]


class MountPair(click.ParamType[tuple[str, str]]):
    """A dialect and where it stands: `vitam=/v1`."""

    name = "dialect=place"

    def __init__(self, dialects: Iterable[str]) -> None:
        self._dialects = tuple(dialects)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return cast("tuple[str, str]", value)
        dialect, sign, place = str(value).partition("=")
        if dialect not in self._dialects or not sign:
            known = ", ".join(self._dialects)
            self.fail(f"{value!r}: write DIALECT=PLACE; dialects are {known}", param, ctx)
        return dialect, place
