"""Health: whether the server and each of its services serve, for whoever asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from longshore.engine.presence import Presence
from longshore.server.gate import Call


class Health:
    """Tells strangers as well, but no more of their calls at once than of others."""

    SERVICE: ClassVar[str] = health.SERVICE_NAME

    def __init__(self) -> None:
        self.statuses = health.aio.HealthServicer()
        self.retired = False  #: Whether the server is about to stop.

    async def retire(self) -> None:
        """Say from now on, whatever comes, that nothing is served."""
        self.retired = True
        await self.statuses.enter_graceful_shutdown()

    async def follow(self, presence: Presence, names: Iterable[str]) -> None:
        """Say until cancelled that the store is gone, and that it is back."""
        while True:
            await presence.gone.wait()
            await self.tell(names, serving=False)
            await presence.here.wait()
            await self.tell(names, serving=True)

    async def tell(self, names: Iterable[str], *, serving: bool) -> None:
        """Say how services do, and the server as a whole."""
        answer = HealthCheckResponse
        status = answer.SERVING if serving else answer.NOT_SERVING
        for name in ("", *names):
            await self.statuses.set(name, status)

    async def Check(self, request: HealthCheckRequest, call: Call) -> HealthCheckResponse:
        response: HealthCheckResponse = await self.statuses.Check(request, call.context)
        return response

    async def Watch(self, request: HealthCheckRequest, call: Call) -> None:
        await self.statuses.Watch(request, call.context)
