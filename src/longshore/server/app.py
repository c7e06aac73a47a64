"""The server: every service on one port, started, drained and stopped as one."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from longshore.core.limits import MESSAGE_BYTES, MIB
from longshore.engine.engine import Engine
from longshore.server.catalog_service import CatalogService
from longshore.server.directory import Directory
from longshore.server.file_service import FileService
from longshore.server.job_service import JobService
from longshore.server.launch_service import LaunchService
from longshore.server.longrunning import Operations
from longshore.server.messages import Messages
from longshore.server.methods import Service, handlers_of
from longshore.server.operation_service import OperationService
from longshore.server.queue_service import QueueService
from longshore.server.reflection import add_reflection
from longshore.server.scheduler import Scheduler
from longshore.server.server_service import ServerService
from longshore.server.submissions import Submissions
from longshore.server.task_service import TaskService
from longshore.server.tls import Tls
from longshore.server.watches import Watches
from longshore.server.worker_service import WorkerService

log = structlog.get_logger()

_OPTIONS: Final = (
    # One process has the port; a second one is told so instead of sharing it by chance.
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # The spelling with `recv` is ignored silently.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # What one stream may send ahead of its reading. Left to itself the window follows the
    # speed of the connection, and uploads grow the server by a hundred mebibytes.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 2 * MIB),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
)


class CannotListen(OSError):
    """The address cannot be had."""


class Server:
    """Serves an engine that runs already; an async context manager.

    `address` is where it listens, as HOST:PORT, with the port that was chosen for port 0.
    """

    def __init__(self, engine: Engine, listen: str, *, tls: Tls | None = None) -> None:
        self._engine = engine
        self._listen = listen
        self._tls = tls
        self._server = grpc.aio.server(options=_OPTIONS)
        self._health = health.aio.HealthServicer()
        self._names: list[str] = []
        self._scheduling: asyncio.Task[None] | None = None
        self.address = listen

    async def __aenter__(self) -> Self:
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
            ServerService(self._engine),
            Operations(self._engine, messages),
        )
        self._names = [service.SERVICE for service in services]
        self._server.add_generic_rpc_handlers(
            tuple(handlers_of(service) for service in services)
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        add_reflection(self._server, (*self._names, health.SERVICE_NAME))
        self.address = self._bind()
        await self._server.start()
        scheduler = Scheduler(self._engine, submissions)
        self._scheduling = asyncio.create_task(scheduler.run(), name="scheduler")
        for name in ("", *self._names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return self

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

    async def retire(self) -> None:
        """Say NOT_SERVING from now on, and serve all the same until `drain`."""
        await self._health.enter_graceful_shutdown()

    async def drain(self, grace_seconds: float) -> None:
        """Stop in good order: health first, then streams are told to go elsewhere, then calls.

        Calls that are under way get the grace; after it they are cut.
        """
        await self.retire()
        await self._stop_scheduling()
        self._engine.drain()
        await self._server.stop(grace_seconds)

    async def _stop_scheduling(self) -> None:
        """Leave what is due from now on to other servers, or to the next start."""
        if self._scheduling is not None:
            self._scheduling.cancel()
            await asyncio.gather(self._scheduling, return_exceptions=True)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop_scheduling()
        await self._server.stop(None)
