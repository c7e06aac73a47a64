"""The server: every service on one port, started, drained and stopped as one."""

from __future__ import annotations

import asyncio
from itertools import starmap
from types import TracebackType
from typing import Final, Self

import grpc
import grpc.aio
import structlog

from longshore.core.access import Access
from longshore.engine.engine import Engine
from longshore.server.catalog_service import CatalogService
from longshore.server.core_options import core_options
from longshore.server.directory import Directory
from longshore.server.file_service import FileService
from longshore.server.gate import Gate
from longshore.server.health import Health
from longshore.server.inside import Inside
from longshore.server.job_service import JobService
from longshore.server.launch_service import LaunchService
from longshore.server.limits import DEFAULT, AccessLimits
from longshore.server.longrunning import Operations
from longshore.server.messages import Messages
from longshore.server.methods import Service, handlers_of
from longshore.server.operation_service import OperationService
from longshore.server.queue_service import QueueService
from longshore.server.reflection import Reflection, ReflectionV1, ReflectionV1Alpha
from longshore.server.scheduler import Scheduler
from longshore.server.server_service import ServerService
from longshore.server.submissions import Submissions
from longshore.server.task_service import TaskService
from longshore.server.tls import Tls
from longshore.server.visitors import keep_headers_out_of_logs
from longshore.server.watches import Watches
from longshore.server.worker_service import WorkerService

log = structlog.get_logger()

_LOOPBACK: Final = "127.0.0.1"


class CannotListen(OSError):
    """The address cannot be had."""


class Server:
    """Serves an engine that runs already; an async context manager.

    `address` is where it listens, as HOST:PORT, with the port that was chosen for port 0;
    `inside_address` is for workers in its own process, and `inside` for others there. Without
    an `access` whoever connects may do everything. A port that is `shared` is served by other
    processes as well.
    """

    def __init__(
        self,
        engine: Engine,
        listen: str,
        *,
        access: Access | None = None,
        tls: Tls | None = None,
        limits: AccessLimits = DEFAULT,
        reflection: Reflection = Reflection.OPEN,
        workers_inside: bool = False,
        shared: bool = False,
    ) -> None:
        self._engine = engine
        self._listen = listen
        self._tls = tls
        self._reflection = reflection
        self._workers_inside = workers_inside
        self._shared = shared
        self._gate = Gate(
            access,
            limits,
            certificates=tls is not None and tls.client_ca is not None,
            reflection_is_open=reflection is Reflection.OPEN,
        )
        self._server = grpc.aio.server(options=core_options(limits, shared=shared))
        self.inside = Inside()
        self._health = Health()
        self._names: list[str] = []
        self._errands: list[asyncio.Task[None]] = []
        self.address = listen
        self.inside_address = ""

    async def __aenter__(self) -> Self:
        keep_headers_out_of_logs()
        directory = Directory(self._engine.catalog)
        messages = Messages(directory)
        submissions = Submissions(directory)
        watches = Watches(self._engine, messages)
        services: tuple[Service, ...] = (
            TaskService(self._engine, submissions, messages, watches),
            JobService(self._engine, directory, submissions, messages, watches),
            LaunchService(self._engine, submissions, messages, watches),
            OperationService(self._engine, messages, watches),
            CatalogService(self._engine, directory, submissions),
            FileService(self._engine),
            QueueService(self._engine),
            WorkerService(self._engine),
            ServerService(self._engine, self._gate, self._health),
            Operations(self._engine, messages),
        )
        self._names = [service.SERVICE for service in services]
        handlers = {
            service.SERVICE: handlers_of(service, self._gate, self._engine.learn)
            for service in (*services, *self._tellers())
        }
        self._server.add_generic_rpc_handlers(
            tuple(starmap(grpc.method_handlers_generic_handler, handlers.items()))
        )
        self.address = self._bind()
        self.inside_address = self._bind_inside()
        await self._server.start()
        self.inside.serve(handlers)
        await self._health.tell(self._names, serving=True)
        for name, errand in (
            ("health", self._health.follow(self._engine.presence, self._names)),
            ("scheduler", Scheduler(self._engine, submissions).run()),
            ("gate", self._gate.watch_over()),
            ("arrivals", self._gate.arrivals.watch_over()),
        ):
            self._errands.append(asyncio.create_task(errand, name=name))
        return self

    def _tellers(self) -> tuple[Service, ...]:
        """Return the services that tell of the others."""
        if self._reflection is Reflection.OFF:
            return (self._health,)
        told = (*self._names, self._health.SERVICE)
        return self._health, ReflectionV1Alpha(told), ReflectionV1(told)

    def _bind(self) -> str:
        """Open the port. Raises `CannotListen` and, of TLS, `CannotServeTls`."""
        host = self._listen.rpartition(":")[0]
        credentials = None if self._tls is None else self._tls.credentials()
        try:
            if credentials is None:
                port = self._server.add_insecure_port(self._listen)
            else:
                port = self._server.add_secure_port(self._listen, credentials)
        except RuntimeError as error:
            raise CannotListen(
                f"cannot listen on {self._listen}: is the port taken, or the address not "
                "of this machine?"
            ) from error
        return f"{host}:{port}"

    def _bind_inside(self) -> str:
        """Return where workers of this process connect: in the clear, if others speak TLS, and
        to no other process.
        """
        if not self._workers_inside or (self._tls is None and not self._shared):
            return self.address
        return f"{_LOOPBACK}:{self._server.add_insecure_port(f'{_LOOPBACK}:0')}"

    async def retire(self) -> None:
        """Say from now on that the end is near, and serve all the same until `drain`."""
        await self._health.retire()

    async def drain(self, grace_seconds: float) -> None:
        """Stop in good order: health first, then streams are told to go elsewhere, then calls.

        Calls that are under way get the grace; after it they are cut.
        """
        await self.retire()
        await self._end_errands()
        self._engine.drain()
        await self._stop(grace_seconds)

    async def _stop(self, grace_seconds: float | None) -> None:
        await asyncio.gather(self._server.stop(grace_seconds), self.inside.stop(grace_seconds))

    async def _end_errands(self) -> None:
        """Leave what is due from now on to other servers, or to the next start."""
        for errand in self._errands:
            errand.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end_errands()
        await self._stop(None)
