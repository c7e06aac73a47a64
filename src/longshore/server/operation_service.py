"""OperationService: operations of any kind by id, their history, and why they wait."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import ClassVar, Final, cast

from longshore.core import limits
from longshore.core.errors import InvalidFields, OperationNotFound, Violation
from longshore.core.explain import MOST_AHEAD, LiveWorker, Situation, explain
from longshore.core.fields import FieldType
from longshore.core.ids import target_of
from longshore.core.installation import Queue
from longshore.core.operations import Kind, Record
from longshore.core.page_tokens import PageToken, question
from longshore.core.principals import ANY
from longshore.core.store import Catalog, Replay
from longshore.engine.engine import Engine
from longshore.server import wire
from longshore.server.checks import page_size
from longshore.server.events import DETAILS, event_message, origin_message
from longshore.server.gate import Call
from longshore.server.messages import Messages, parts_of
from longshore.server.server_service import warnings
from longshore.server.watches import Watches, Wish
from longshore.v1.operation_pb2 import Event as EventMessage
from longshore.v1.operation_pb2 import State, View
from longshore.v1.operation_service_pb2 import (
    ExplainOperationRequest,
    ExplainOperationResponse,
    GetHistoryRequest,
    GetHistoryResponse,
    GetOperationRequest,
    GetOperationResponse,
    WaitReason,
    WaitReasonKind,
    WatchOperationsRequest,
)

_OPERATION: Final = {
    Kind.TASK: GetOperationResponse.TASK_FIELD_NUMBER,
    Kind.JOB: GetOperationResponse.JOB_FIELD_NUMBER,
    Kind.LAUNCH: GetOperationResponse.LAUNCH_FIELD_NUMBER,
}
_DETAIL_NAMES: Final = frozenset(
    field.name for field in EventMessage.DESCRIPTOR.oneofs_by_name["detail"].fields
)


class OperationService:
    """Serves what all kinds of operations have in common."""

    SERVICE: ClassVar[str] = "longshore.v1.OperationService"

    def __init__(self, engine: Engine, messages: Messages, watches: Watches) -> None:
        self._engine = engine
        self._messages = messages
        self._watches = watches

    async def GetOperation(self, request: GetOperationRequest, call: Call) -> bytes:
        full = request.view != View.VIEW_BASIC
        record = await self._get(request.id, call, parts_of(full=full))
        field = _OPERATION[Kind(record.operation.kind)]
        return wire.part(field, self._messages.operation(record, full=full))

    async def _get(self, asked: str, call: Call, parts: tuple[int, ...] = ()) -> Record:
        tenant = call.caller.tenant
        (record,) = await self._engine.store.get(tenant, [target_of(asked)], parts)
        if record is None:
            raise OperationNotFound(asked)
        return record

    async def GetHistory(self, request: GetHistoryRequest, call: Call) -> GetHistoryResponse:
        operation = (await self._get(request.id, call)).operation
        kinds = _kinds(request)
        names = ",".join(sorted(request.details))
        asked = question("history", call.caller.tenant, str(operation.number), names)
        after = 0
        if request.page_token:
            token = PageToken.decode(request.page_token, asked, (FieldType.INT,))
            after = cast("int", token.after[0])
        replay = Replay(
            tenant=call.caller.tenant,
            after=after,
            numbers=frozenset([operation.number]),
            kinds=kinds,
            limit=page_size(request.page_size) + 1,
            origins=True,
        )
        found = await self._engine.store.events(replay)
        response = GetHistoryResponse()
        size = 0
        for event, origin in zip(found.events, found.origins, strict=True):
            message = event_message(event)
            if origin is not None:
                message.origin.CopyFrom(origin_message(origin, call.caller.tenant))
            size += message.ByteSize()
            if len(response.events) == replay.limit - 1 or (
                response.events and size > limits.PAGE_BYTES
            ):
                last = response.events[-1].revision
                token = PageToken(asked, (last,), operation.revision)
                response.next_page_token = token.encode()
                break
            response.events.append(message)
        return response

    async def WatchOperations(
        self, request: WatchOperationsRequest, call: Call
    ) -> AsyncGenerator[bytes, None]:
        wish = Wish(
            tenant=call.caller.tenant,
            kind=None,
            ids=request.ids,
            filter=request.filter,
            after_revision=(
                request.after_revision if request.HasField("after_revision") else None
            ),
            include_logs=request.include_logs,
            full=request.view != View.VIEW_BASIC,
        )
        async for message in self._watches.watch(wish):
            yield message

    async def ExplainOperation(
        self, request: ExplainOperationRequest, call: Call
    ) -> ExplainOperationResponse:
        operation = (await self._get(request.id, call)).operation
        catalog = await self._engine.store.catalog()
        lane = catalog.lanes[operation.lane]
        situation = Situation(
            operation=operation,
            lane=lane,
            mode=catalog.mode,
            workers=self._workers(catalog, call.caller.tenant),
            queue=catalog.queues.get((lane.tenant, lane.queue)) or Queue(),
            standing=await self._engine.store.standing(operation, MOST_AHEAD + 1),
            now=self._engine.clock.now(),
        )
        return ExplainOperationResponse(
            reasons=[
                WaitReason(
                    kind=cast("WaitReasonKind.ValueType", int(reason.kind)),
                    message=reason.message,
                    facts=reason.facts,
                )
                for reason in explain(situation)
            ],
            state=cast("State.ValueType", operation.state),
            revision=operation.revision,
            warnings=await warnings(self._engine, call),
        )

    def _workers(self, catalog: Catalog, tenant: str) -> list[LiveWorker]:
        live = self._engine.sessions.live
        return [
            LiveWorker(
                name=session.worker,
                queues=session.queues,
                offers=session.offers,
                slots=session.slots,
                free=live[number].free if number in live and live[number].accepts else 0,
                connected=number in live,
            )
            for number, session in sorted(catalog.sessions.items())
            if session.tenant in (tenant, ANY)
        ]


def _kinds(request: GetHistoryRequest) -> frozenset[int] | None:
    """Return the kinds of events that are asked for; None for all."""
    for index, name in enumerate(request.details):
        if name not in _DETAIL_NAMES:
            known = "one of " + ", ".join(sorted(_DETAIL_NAMES))
            raise InvalidFields([Violation(f"details[{index}]", known, "UNKNOWN")])
    if not request.details:
        return None
    return frozenset(DETAILS[name] for name in request.details if name in DETAILS)
