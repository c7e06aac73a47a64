"""Everything that an operator can choose of a server, checked once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import click

from longshore.cli.inside import Door
from longshore.cli.protection import Protection
from longshore.engine.settings import EngineSettings
from longshore.gateway.settings import GatewaySettings
from longshore.worker import Worker

Preparation: TypeAlias = Callable[[Door], Awaitable[None]]
"""Is given the way into a server that has begun to listen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A server as it is to be. Raises `click.UsageError` where that cannot be."""

    listen: str
    store: str
    files: str = ""  #: A folder or the URL of a bucket; empty: beside the store.
    protection: Protection = field(default_factory=Protection)
    settings: EngineSettings = field(default_factory=EngineSettings)
    grace_seconds: float = 30.0
    workers: Sequence[Worker] = ()  #: To run inside.
    prepare: Preparation | None = None  #: What is done before they start.
    gateway: GatewaySettings | None = None  #: What speaks HTTP inside.

    def __post_init__(self) -> None:
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise click.UsageError(
                f"--listen {self.listen}: write HOST:PORT, as in 0.0.0.0:50051"
            )
        if not self.store.removeprefix("sqlite:") or not self.store.startswith("sqlite:"):
            raise click.UsageError(f"--store {self.store}: write sqlite:PATH")
        self.protection.check(self.listen)
        if self.gateway is not None:
            https = self.gateway.tls is not None
            self.protection.check_http(self.gateway.listen, https=https)

    @property
    def missing(self) -> list[str]:
        """What strangers are not kept out by, in words."""
        found = self.protection.missing(self.listen)
        if self.gateway is not None:
            https = self.gateway.tls is not None
            found += self.protection.missing_http(self.gateway.listen, https=https)
        return list(dict.fromkeys(found))

    @property
    def path(self) -> str:
        return self.store.removeprefix("sqlite:")

    @property
    def place_of_files(self) -> str:
        return self.files or f"{self.path}.files"
