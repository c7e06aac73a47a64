"""The catalog: what can be asked for, and what stands behind it."""

from __future__ import annotations

from collections.abc import Sequence

from longshore.client.connection import Connection
from longshore.v1.catalog_service_pb2 import (
    ListServicesRequest,
    ListServicesResponse,
    Service,
)
from longshore.v1.operation_pb2 import ServiceKind


class Catalog:
    """Services that workers offer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def services(self, kind: ServiceKind.ValueType | None = None) -> Sequence[Service]:
        """List what workers offer or have offered; only what is launched so, if a `kind`."""
        request = ListServicesRequest(kind=kind or ServiceKind.SERVICE_KIND_UNSPECIFIED)
        return (await self._connection.ask(request, ListServicesResponse)).services
