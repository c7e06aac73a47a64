"""A whole gateway on a socket, in front of a whole server with principals, and what is behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from longshore.access.editing import Entry, Secrets, add
from longshore.access.keeper import Keeper
from longshore.cli.inside import GATEWAY, Door, Inside
from longshore.client import Client, Relay
from longshore.core.principals import ANY, Principal, Role, with_implied
from longshore.engine.clock import MovableClock
from longshore.engine.engine import Engine
from longshore.gateway.callers import Way
from longshore.gateway.dialects import Gateway
from longshore.gateway.links import Links
from longshore.gateway.serving import serving
from longshore.gateway.settings import GatewaySettings, Mount
from longshore.server.app import Server
from longshore.server.codec import ProtoCodec
from longshore.stores.blobs import ObstoreBlobs
from longshore.stores.sqlite.store import SqliteStore
from longshore.worker import Worker

#: How the gateway comes to its server: from another process, or in the server's own.
WAYS = ("wire", "inside")

GRACE_SECONDS = 60.0  #: What a gateway that stops gives to whoever is still there.


@dataclass(slots=True)
class World:
    """A gateway, and ways to it and around it."""

    url: str  #: `http://127.0.0.1:PORT`
    http: (
        httpx.AsyncClient
    )  #: Follows no redirects, and sends nothing by itself but Accept: */*.
    principals: Path
    server_address: str
    engine: Engine
    clock: MovableClock
    inside: Inside

    def principal(self, name: str, *roles: str, **more: Any) -> str:
        """Add a principal to the file; return its token, which counts within half a second.

        Use the names that `gateway(…)` was given to have tokens that count at once.
        """
        return _token(add(self.principals, Entry(name=name, roles=roles, **more)))

    def client(self, token: str, tenant: str = "") -> Client:
        """Return a gRPC client of a principal, to look behind the gateway."""
        return Client(self.server_address, token=token, tenant=tenant)

    async def work(self, worker: Worker) -> None:
        """Let a worker work until the end."""
        welcomed = asyncio.Event()
        self.inside.start(worker, welcomed)
        await asyncio.wait_for(welcomed.wait(), 60)


@asynccontextmanager
async def gateway(
    folder: Path,
    settings: GatewaySettings | None = None,
    *mounts: str,
    way: str = "wire",
    **entries: Entry,
) -> AsyncGenerator[tuple[World, dict[str, str]]]:
    """Run a gateway with the dialects of `mounts`; yield it, and tokens by name of `entries`.

    `entries` are principals by name: `ada=Entry(name="ada", roles=("submitter",))`. `way` is
    one of `WAYS`.
    """
    chosen = settings or GatewaySettings()
    if mounts:
        kept = {name: mount for name, mount in chosen.mounts.items() if name in mounts}
        chosen = replace(chosen, mounts=kept)
    chosen = replace(chosen, listen="127.0.0.1:0")
    principals = folder / "principals.toml"
    principals.touch()
    tokens = {name: _token(add(principals, entry)) for name, entry in entries.items()}
    clock = MovableClock()
    store = folder / "longshore.db"
    engine = Engine(
        SqliteStore(store, ProtoCodec(), clock.now), ObstoreBlobs(f"{store}.files"), clock=clock
    )
    async with (
        engine,
        Keeper(principals) as keeper,
        Server(engine, "127.0.0.1:0", access=keeper) as server,
        Relay(server.address, inside=server.inside.open if way == "inside" else None) as relay,
    ):
        token = keeper.with_token(GATEWAY)
        worker_token = keeper.with_token(
            Principal("inside", with_implied([Role.WORKER]), ("default", ANY), queues=(ANY,))
        )
        way_of = Way(relay, lambda: {"authorization": f"Bearer {token}"})
        parts = Gateway(chosen, way_of, Links(chosen))
        async with (
            Inside(Door(server.address, worker_token), grace_seconds=0) as inside,
            serving(parts, grace_seconds=GRACE_SECONDS) as address,
            httpx.AsyncClient(base_url=f"http://{address}", timeout=60) as http,
        ):
            world = World(
                f"http://{address}", http, principals, server.address, engine, clock, inside
            )
            yield world, tokens


@contextmanager
def kept_port() -> Generator[int]:
    """Keep a port that is given to nobody, and on which a gateway can listen meanwhile."""
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        port: int = keeper.getsockname()[1]
        yield port


def _token(secrets: Secrets) -> str:
    return secrets.token.secret_text if secrets.token else ""


__all__ = [
    "GRACE_SECONDS",
    "WAYS",
    "Entry",
    "GatewaySettings",
    "Mount",
    "World",
    "gateway",
    "kept_port",
]
