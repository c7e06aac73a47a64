"""ServerService: how the installation is, and who is calling it."""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import uuid_utils

from longshore.core.changes import Mode, SetMode
from longshore.core.errors import InvalidFields, Violation
from longshore.core.principals import ANONYMOUS, ANY, DEFAULT_TENANT, EVERYTHING, Grants, Role
from longshore.core.store import Counts
from longshore.engine.engine import Engine
from longshore.server.gate import Call, Gate
from longshore.server.health import Health
from longshore.v1.server_service_pb2 import (
    AllowedValues,
    ApiKey,
    GetCallerRequest,
    GetCallerResponse,
    GetStatusRequest,
    GetStatusResponse,
    OperationCount,
    SetModeRequest,
    SetModeResponse,
)
from longshore.v1.server_service_pb2 import ServerStatus as Status


class ServerService:
    """Tells and changes the state of the installation."""

    SERVICE: ClassVar[str] = "longshore.v1.ServerService"

    def __init__(self, engine: Engine, gate: Gate, health: Health) -> None:
        self._engine = engine
        self._gate = gate
        self._health = health
        self._id = str(uuid_utils.uuid7())
        self._version = importlib.metadata.version("longshore")
        self._start_time = engine.clock.now()

    async def GetStatus(self, request: GetStatusRequest, call: Call) -> GetStatusResponse:
        catalog = self._engine.catalog.current
        counts = await self._engine.store.counts(call.caller.tenant)
        response = GetStatusResponse(
            id=self._id,
            service="longshore",
            status=self._status(catalog.mode),
            version=self._version,
            mode=int(catalog.mode),  # type: ignore[arg-type]
            resume_on_restart=catalog.resume_on_restart,
            counts=[
                OperationCount(kind=kind, state=state, count=count)  # type: ignore[arg-type]
                for (kind, state), count in sorted(_by_kind_and_state(counts).items())
            ],
            warnings=await warnings(self._engine, call),
        )
        response.start_time.FromMilliseconds(self._start_time)
        return response

    def _status(self, mode: Mode) -> Status.ValueType:
        if self._health.retired:
            return Status.SERVER_STATUS_SHUTDOWN_IN_PROGRESS
        if mode != Mode.ACTIVE:
            return Status.SERVER_STATUS_INACTIVE
        return Status.SERVER_STATUS_ACTIVE

    async def SetMode(self, request: SetModeRequest, call: Call) -> SetModeResponse:
        try:
            mode = Mode(int(request.mode))
        except ValueError:
            allowed = "ACTIVE, SUSPENDED or MAINTENANCE"
            reason = "INVALID" if request.mode else "MISSING"
            raise InvalidFields([Violation("mode", allowed, reason)]) from None
        resume = not request.HasField("resume_on_restart") or request.resume_on_restart
        await self._engine.writer.write(SetMode(call.caller, mode, resume))
        return SetModeResponse(mode=request.mode, resume_on_restart=resume)

    async def GetCaller(self, request: GetCallerRequest, call: Call) -> GetCallerResponse:
        principal = call.principal
        return GetCallerResponse(
            principal=principal.name,
            tenants=_tenants(call),
            roles=[role for role in Role if role in principal.roles],
            delivery=int(principal.delivery),  # type: ignore[arg-type]
            stream=principal.stream_id,
            actions=_actions(principal.grants),
            values=[
                AllowedValues(
                    service=name.service,
                    action=name.action,
                    parameter=name.parameter,
                    values=sorted(values),
                )
                for name, values in principal.grants.values
            ],
            api_key=self._api_key(call),
        )

    def _api_key(self, call: Call) -> ApiKey.ValueType:
        match self._gate.api_key_matches(call):
            case None:
                return ApiKey.API_KEY_NOT_NEEDED
            case True:
                return ApiKey.API_KEY_RIGHT
            case False:
                shown = "api-key" in call.visitor.metadata
                return ApiKey.API_KEY_WRONG if shown else ApiKey.API_KEY_MISSING


async def warnings(engine: Engine, call: Call) -> Sequence[str]:
    """Return what the store warns of, if the caller can do something about it."""
    return await engine.store.warnings() if Role.OPERATOR in call.principal.roles else ()


def _tenants(call: Call) -> tuple[str, ...]:
    """Return the tenants of a caller; where nobody is configured, that of the call."""
    if call.principal == ANONYMOUS:
        return (call.caller.tenant,)
    tenants = call.principal.tenants
    return (DEFAULT_TENANT, ANY) if tenants[0] == ANY else tenants


def _actions(grants: Grants) -> list[str]:
    """Return what may be asked for as people write it: `*`, `archive/*`, `greet`."""
    if grants.actions == EVERYTHING.actions:
        return [ANY]
    return [f"{service}/{action}" if service else action for service, action in grants.actions]


def _by_kind_and_state(counts: Counts) -> Counter[tuple[int, int]]:
    """Return how many operations there are in all queues."""
    summed: Counter[tuple[int, int]] = Counter()
    for (_, kind, state), count in counts.operations.items():
        summed[kind, state] += count
    return summed
