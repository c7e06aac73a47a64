"""Service: what can be launched, and what it takes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import quote

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from longshore.client import Relayed
from longshore.gateway.dialects import Gateway
from longshore.gateway.faults import Malformed
from longshore.gateway.mdworkbench.documents import Unset, described, one_of, shown
from longshore.gateway.mdworkbench.errors import NoMatch
from longshore.gateway.mdworkbench.representations import answer
from longshore.gateway.mdworkbench.shapes import Named, Shape, service_uri
from longshore.v1 import catalog_service_pb2 as pb
from longshore.v1.catalog_service_pb2 import ParameterType
from longshore.v1.operation_pb2 import ServiceKind

KindName: TypeAlias = Annotated[Unset[str], one_of("RULESET", "OPERATION")]
ServiceKindName = Literal["RULESET", "OPERATION"]

_KINDS: Final[dict[int, ServiceKindName]] = {
    ServiceKind.SERVICE_KIND_RULESET: "RULESET",
    ServiceKind.SERVICE_KIND_OPERATION: "OPERATION",
}

_STORAGE: Final = "com.sodius.mdw.server.storage.Storage"
_TYPES: Final[dict[int, str]] = {
    ParameterType.PARAMETER_TYPE_INTEGER: "int",
    ParameterType.PARAMETER_TYPE_NUMBER: "double",
    ParameterType.PARAMETER_TYPE_BOOLEAN: "boolean",
    ParameterType.PARAMETER_TYPE_FILE: _STORAGE,
}
_TEXT: Final = "String"  #: Dates as well; lists and objects as JSON.


class Parameter(Shape):
    """What a service takes: a field of the form is called so."""

    name: str
    type: str
    properties: list[Named]


class Service(Shape):
    """Something that can be launched."""

    id: str
    uri: str
    name: str
    version: str
    description: str
    launch_factory: str
    kind: ServiceKindName
    rule: str | None = None
    parameters: list[Parameter]
    properties: list[Named]


def add_routes(application: FastAPI, gateway: Gateway) -> None:
    """Add the routes of the Service interface."""
    own = _Services(gateway)
    add = partial(application.add_api_route, tags=["MDWorkbench Service"])
    add(
        "/service",
        own.list,
        methods=["GET"],
        summary="Lists what can be launched",
        responses={**shown(list[Service]), **described(400, 406)},
    )
    add(
        "/service/{service_id}",
        own.get,
        methods=["GET"],
        summary="Gets a service",
        responses={**shown(Service), **described(404, 406)},
    )


class _Services:
    """The verbs of the interface."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def list(self, request: Request, kind: KindName = None) -> Response:
        found = await self._gateway.way.itself(request).catalog.services(kind_of(kind))
        base = self._gateway.links.base(request)
        return answer(
            request, "services", [service(one, base) for one in found if one.kind in _KINDS]
        )

    async def get(self, request: Request, service_id: str) -> Response:
        found = await launchable(self._gateway.way.itself(request), service_id)
        return answer(request, "service", service(found, self._gateway.links.base(request)))


async def launchable(own: Relayed, slug: str) -> pb.Service:
    """Return a service that can be launched. Raises `NoMatch` and `CallError`."""
    found = await own.catalog.service(slug)
    if found.kind not in _KINDS:
        raise NoMatch(f"no service matches {slug[:100]!r}")
    return found


def kind_of(name: str | None) -> ServiceKind.ValueType | None:
    """Return a kind by its name; None for none. Raises `Malformed`."""
    match name:
        case None | "":
            return None
        case "RULESET":
            return ServiceKind.SERVICE_KIND_RULESET
        case "OPERATION":
            return ServiceKind.SERVICE_KIND_OPERATION
        case _:
            raise Malformed("kind is RULESET or OPERATION", "kind")


def service(message: pb.Service, base: str) -> Service:
    """Return a service that has a kind, and with it one action, as it is shown."""
    kind = _KINDS[message.kind]
    action = message.actions[0]
    return Service(
        id=message.slug,
        uri=service_uri(message.slug, base),
        name=message.name or message.slug,
        version=message.version,
        description=message.description,
        launch_factory=f"{base}/launch?id={quote(message.slug, safe='')}",
        kind=kind,
        rule=action.slug if kind == "RULESET" else None,
        parameters=[
            Parameter(
                name=one.slug,
                type=_TYPES.get(one.type, _TEXT),
                properties=list(_properties(one)),
            )
            for one in action.parameters
        ],
        properties=[],
    )


def _properties(parameter: pb.Parameter) -> Iterator[Named]:
    if parameter.type == ParameterType.PARAMETER_TYPE_FILE:
        yield Named(name="direction", value="in")
    if parameter.password:
        yield Named(name="password", value="true")
    if parameter.optional:
        yield Named(name="optional", value="true")
