"""Everything that an operator can choose of a server, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import click

from longshore.cli.protection import Protection
from longshore.cli.stores import StorePlace
from longshore.engine.settings import EngineSettings
from longshore.gateway.settings import GatewaySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A server as it is to be. Raises `click.UsageError` where that cannot be."""

    listen: str
    store: StorePlace
    files: str = ""  #: A folder or the URL of a bucket; empty: beside the store.
    protection: Protection = field(default_factory=Protection)
    settings: EngineSettings = field(default_factory=EngineSettings)
    grace_seconds: float = 30.0
    workers: Sequence[str] = ()  #: To run inside, as `module:worker`.
    demo: bool = False  #: Whether the demonstration runs inside as well.
    gateway: GatewaySettings | None = None  #: What speaks HTTP inside.
    processes: int = 1  #: That serve, all on the same ports.

    def __post_init__(self) -> None:
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise click.UsageError(
                f"--listen {self.listen}: write HOST:PORT, as in 0.0.0.0:50051"
            )
        self._check_store()
        self.protection.check(self.listen)
        if self.gateway is not None:
            https = self.gateway.tls is not None
            self.protection.check_http(self.gateway.listen, https=https)

    def _check_store(self) -> None:
        if self.store.path is not None and self.processes > 1:
            raise click.UsageError(
                f"--processes {self.processes}: only one process can have the file of "
                f"{self.store}; more than one can share a database: --store postgresql://…"
            )
        if self.store.path is None and not self.files:
            raise click.UsageError(
                f"--store {self.store} needs --files: the folder, s3://…, gs://… or az://… where "
                "files are kept for all servers of this database, on whichever machine they are"
            )

    @property
    def missing(self) -> list[str]:
        """What strangers are not kept out by, in words."""
        found = self.protection.missing(self.listen)
        if self.gateway is not None:
            https = self.gateway.tls is not None
            found += self.protection.missing_http(self.gateway.listen, https=https)
        return list(dict.fromkeys(found))

    @property
    def place_of_files(self) -> str:
        return self.files or f"{self.store.path}.files"
