"""The worker: what a program offers, and how it is run."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

from longshore.client.callers import NO_METADATA, Caller
from longshore.client.tls import Tls
from longshore.v1.worker_service_pb2 import Hello
from longshore.worker.actions import Action, Kind, Service, Where, summary
from longshore.worker.doors import LOOPBACK
from longshore.worker.running import Running

F = TypeVar("F", bound=Callable[..., Any])

_NAME_CHARACTERS = 63


class Worker:
    """Functions that are offered to servers, as actions of one or more services.

        worker = Worker("archive")

        @worker.action("digest")
        def digest(path: str, algorithm: str = "sha256") -> dict[str, str]: ...

        asyncio.run(worker.run("127.0.0.1:50051"))

    Its own actions belong to a service named like it. `ruleset` and `operation` make services
    that are launched; their queues are served besides `queues`. `slots` is how many operations
    it works on at once, and how many threads it has for plain functions. `executor` is where
    plain functions run that say nothing else; see `Service.action`. `reachable_at` is the name
    or the address of this machine for other machines that an executor runs functions on; files
    of actions there pass through this process's temporary folder, which they have to share.
    `identity` is what people see as the name of this process; by default it holds the host and
    the process id.
    """

    def __init__(
        self,
        name: str,
        *,
        queues: str | Sequence[str] = ("default",),
        slots: int = 8,
        executor: Where = "thread",
        reachable_at: str = LOOPBACK,
        version: str = "",
        description: str = "",
        identity: str = "",
    ) -> None:
        if slots < 1:
            raise ValueError(f"a worker has at least 1 slot, not {slots}")
        self.name = name
        self.queues = (queues,) if isinstance(queues, str) else tuple(queues)
        self.slots = slots
        self.executor: Where = executor
        self.reachable_at = reachable_at
        self.identity = identity
        self.services: dict[str, Service] = {}
        self._own = self.service(
            _slug(name), name=name, version=version, description=description
        )
        self._running: Running | None = None

    def service(
        self,
        slug: str,
        *,
        name: str = "",
        version: str = "",
        description: str = "",
    ) -> Service:
        """Offer a further service. Raises `ValueError` if there is one of this name."""
        return self._offer(Service(slug, name, None, version, description))

    def ruleset(
        self,
        slug: str,
        *,
        name: str = "",
        version: str = "",
        description: str | None = None,
        executor: Where | None = None,
    ) -> Callable[[F], F]:
        """Offer a function as a rule set: a service of this one action, to be launched.

        Rule sets run one at a time in the whole installation. The rest is as with actions; see
        `Service.action`.
        """
        return self._launched("ruleset", slug, name, version, description, executor)

    def operation(
        self,
        slug: str,
        *,
        name: str = "",
        version: str = "",
        description: str | None = None,
        executor: Where | None = None,
    ) -> Callable[[F], F]:
        """Offer a function as a service of this one action, to be launched; see `ruleset`.

        Operation services run side by side.
        """
        return self._launched("operation", slug, name, version, description, executor)

    def _launched(
        self,
        kind: Kind,
        slug: str,
        name: str,
        version: str,
        description: str | None,
        executor: Where | None,
    ) -> Callable[[F], F]:
        def offer(function: F) -> F:
            told = summary(function) if description is None else description
            service = self._offer(Service(slug, name, kind, version, told))
            return service.action(description=told, executor=executor)(function)

        return offer

    def _offer(self, service: Service) -> Service:
        if service.slug in self.services:
            raise ValueError(f"worker {self.name!r} has a service {service.slug!r} already")
        self.services[service.slug] = service
        return service

    @overload
    def action(self, slug: F, /) -> F: ...

    @overload
    def action(
        self,
        slug: str | None = None,
        *,
        name: str = "",
        description: str | None = None,
        executor: Where | None = None,
    ) -> Callable[[F], F]: ...

    def action(
        self,
        slug: Any = None,
        *,
        name: str = "",
        description: str | None = None,
        executor: Where | None = None,
    ) -> Any:
        """Offer a function as an action of the worker's own service; see `Service.action`."""
        if callable(slug):
            return self._own.action(slug)
        return self._own.action(slug, name=name, description=description, executor=executor)

    @property
    def actions(self) -> list[Action]:
        """All actions of all services."""
        return [one for service in self.services.values() for one in service.actions.values()]

    async def run(
        self,
        servers: str | Sequence[str],
        *,
        grace_seconds: float = 30,
        stopping: asyncio.Event | None = None,
        welcomed: asyncio.Event | None = None,
        tenant: str = "",
        metadata: Mapping[str, str] = NO_METADATA,
        token: str | Path | None = None,
        tls: Tls | None = None,
        insecure: bool = False,
    ) -> None:
        """Work for any one of the servers that answers, until told to stop; then drain.

        `servers` is `host:port`, several with commas between, or a sequence. `stopping` tells
        it to stop; without it the signals SIGTERM and SIGINT do. Work then has the grace to
        end; a second signal ends the grace. Nothing else ends it: it reconnects after every
        failure, and if its session is lost it stops its work and begins a new one. `welcomed`
        is set once a server knows what it offers and may give it work. The rest is as with a
        `Client`. Raises `ValueError` if there is nothing to offer, no server, a file that cannot
        be used, or a token that others would hear.
        """
        if self._running is not None:
            raise RuntimeError(f"worker {self.name!r} runs already")
        caller = Caller(
            servers, tenant=tenant, metadata=metadata, token=token, tls=tls, insecure=insecure
        )
        running = Running(
            self.hello(), self.actions, self.executor, self.reachable_at, welcomed
        )
        self._running = running
        try:
            await running.run(caller, grace_seconds, stopping)
        finally:
            self._running = None

    async def drain(self, grace_seconds: float = 30) -> None:
        """Leave: hand back what is not started, let the rest end, report; return then."""
        if self._running is not None:
            await self._running.drain(grace_seconds)

    def hello(self) -> Hello:
        """Return how it introduces itself. Raises `ValueError` if it offers nothing."""
        offered = [service for service in self.services.values() if service.actions]
        if not offered:
            raise ValueError(f"worker {self.name!r} offers no action")
        host = socket.gethostname().partition(".")[0]
        identity = self.identity or f"{self.name}@{host}:{os.getpid()}"
        return Hello(
            worker=identity[:_NAME_CHARACTERS],
            queues=dict.fromkeys((*self.queues, *(one.queue for one in offered if one.queue))),
            services=[service.to_message() for service in offered],
            slots=self.slots,
        )


def _slug(name: str) -> str:
    """Return a name for programs: `Archive work` becomes `archive-work`."""
    slug = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-")
    if not slug:
        raise ValueError(f"the worker's name {name!r} holds neither letter nor digit")
    return slug
