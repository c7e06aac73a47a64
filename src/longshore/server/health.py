"""Health: whether the server and each of its services serve, for whoever asks."""

from __future__ import annotations

from typing import ClassVar

from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from longshore.server.gate import Call


class Health:
    """Tells strangers as well, but no more of their calls at once than of others."""

    SERVICE: ClassVar[str] = health.SERVICE_NAME

    def __init__(self) -> None:
        self.statuses = health.aio.HealthServicer()

    async def Check(self, request: HealthCheckRequest, call: Call) -> HealthCheckResponse:
        response: HealthCheckResponse = await self.statuses.Check(request, call.context)
        return response

    async def Watch(self, request: HealthCheckRequest, call: Call) -> None:
        await self.statuses.Watch(request, call.context)
