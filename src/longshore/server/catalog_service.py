"""CatalogService: what workers offer, also those that have left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from longshore.core.errors import InvalidFields, ServiceNotFound, Violation
from longshore.engine.engine import Engine
from longshore.server.directory import service_of
from longshore.server.methods import Call
from longshore.v1.catalog_service_pb2 import (
    GetServiceRequest,
    GetServiceResponse,
    ListServicesRequest,
    ListServicesResponse,
    Service,
)
from longshore.v1.operation_pb2 import ServiceKind


class CatalogService:
    """Shows the services that a tenant's workers have published."""

    SERVICE: ClassVar[str] = "longshore.v1.CatalogService"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def ListServices(
        self, request: ListServicesRequest, call: Call
    ) -> ListServicesResponse:
        if request.kind not in ServiceKind.values():
            raise InvalidFields([Violation("kind", "RULESET, OPERATION, or unset for all")])
        services = self._services(call.caller.tenant)
        return ListServicesResponse(
            services=[one for one in services if request.kind in (0, one.kind)]
        )

    async def GetService(self, request: GetServiceRequest, call: Call) -> GetServiceResponse:
        for service in self._services(call.caller.tenant):
            if service.slug == request.slug:
                return GetServiceResponse(service=service)
        raise ServiceNotFound(request.slug)

    def _services(self, tenant: str) -> Iterator[Service]:
        documents = self._engine.catalog.current.services
        for (owner, _), document in sorted(documents.items()):
            if owner == tenant:
                yield service_of(document)
