"""A whole gateway: the way to the servers, HTTP in, and HTTP out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from longshore.client import Relay, Tls
from longshore.client.callers import Caller
from longshore.client.transports import Transport
from longshore.gateway.callbacks.addresses import Resolve, resolved
from longshore.gateway.callbacks.worker import callback_worker
from longshore.gateway.callers import Way
from longshore.gateway.dialects import Gateway
from longshore.gateway.links import Links
from longshore.gateway.serving import address_of, all_bound, serving
from longshore.gateway.settings import GatewaySettings

_ALL_TENANTS: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """How the gateway comes to its servers, and who it is there."""

    servers: str | Sequence[str]
    token: str | Path | None = None  #: Of its own principal; None where nobody needs one.
    tls: Tls | None = None
    insecure: bool = False
    #: The way to a server in the same process, for all but callbacks; None: over the wire.
    inside: Callable[[], Transport] | None = None

    @property
    def is_certified(self) -> bool:
        """Whether nothing but the certificate of its connections says who it is."""
        return self.token is None and self.tls is not None and self.tls.certificate is not None

    def caller(self) -> Caller:
        """Return the gateway itself as a caller. Raises `InvalidValue`.

        Others' credentials go the same way, so that none may be overheard there.
        """
        caller = Caller(self.servers, token=self.token, tls=self.tls, insecure=self.insecure)
        caller.check({"authorization": ""})
        return caller


@asynccontextmanager
async def running(
    settings: GatewaySettings, entrance: Entrance, grace_seconds: float
) -> AsyncGenerator[str]:
    """Run a gateway until the block ends; yield where it listens.

    Then it takes no more requests, answers those that it has, and last ends the callbacks that
    are under way, each within the grace. Raises `CannotListen` and `InvalidValue`.
    """
    own = entrance.caller()
    async with AsyncExitStack() as stack:
        sockets = all_bound(settings)
        for bound in sockets.values():
            stack.enter_context(bound)
        # What nobody has asked for, such as a callback, is linked to where it listens.
        settings = replace(settings, listen=address_of(sockets))
        relay = await stack.enter_async_context(
            Relay(
                entrance.servers,
                timeout=settings.limits.wait.total_seconds(),
                tls=entrance.tls,
                insecure=entrance.insecure,
                inside=entrance.inside,
            )
        )
        way = Way(relay, lambda: dict(own.metadata()), certified=entrance.is_certified)
        gateway = Gateway(settings, way, Links(settings))
        await stack.enter_async_context(calling_back(gateway, entrance, grace_seconds))
        yield await stack.enter_async_context(serving(gateway, grace_seconds, sockets))


@asynccontextmanager
async def calling_back(
    gateway: Gateway, entrance: Entrance, grace_seconds: float, resolve: Resolve = resolved
) -> AsyncGenerator[None]:
    """Send the callbacks of all tenants until the block ends, if that is not turned off."""
    if not gateway.settings.callbacks.enabled:
        yield
        return
    stopping = asyncio.Event()
    run = callback_worker(gateway, resolve).run(
        entrance.servers,
        tenant=_ALL_TENANTS,
        token=entrance.token,
        tls=entrance.tls,
        insecure=entrance.insecure,
        grace_seconds=grace_seconds,
        stopping=stopping,
    )
    task = asyncio.create_task(run, name="callbacks")
    try:
        yield
        stopping.set()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
