"""google.longrunning.Operations: tasks, jobs and launches for clients that know no Longshore."""

from __future__ import annotations

import asyncio
from typing import ClassVar, Final, cast

from google.longrunning import operations_proto_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from longshore.core.callers import Target
from longshore.core.changes import Cancel, Change, Delete
from longshore.core.errors import InvalidFields, OperationNotFound, Violation
from longshore.core.events import EventKind
from longshore.core.filters import names_reserved_queue
from longshore.core.ids import target_of
from longshore.core.operations import FIRST_TERMINAL, Operation, Record
from longshore.core.orders import NEWEST_FIRST
from longshore.core.page_tokens import list_question
from longshore.core.store import Query, Replay
from longshore.engine.engine import Engine
from longshore.server import wire
from longshore.server.checks import Flaws, page_size, span_of
from longshore.server.filters import parse_filter
from longshore.server.gate import Call
from longshore.server.generic_operations import COLLECTION, GenericOperations
from longshore.server.messages import FULL_PARTS, Messages
from longshore.server.pages import read_query
from longshore.server.plan_checks import at

_OPERATIONS: Final = pb.ListOperationsResponse.OPERATIONS_FIELD_NUMBER
_NEXT_PAGE_TOKEN: Final = pb.ListOperationsResponse.NEXT_PAGE_TOKEN_FIELD_NUMBER
_EMPTY: Final = b""  #: An encoded `google.protobuf.Empty`.
_ENDS: Final = frozenset({EventKind.STATE_CHANGED, EventKind.EXPIRED})

#: Of a call's deadline, what is left to answer in.
_MARGIN: Final = 0.1
_MARGIN_SECONDS_MOST: Final = 1.0


class Operations:
    """Serves operations of any kind under the names `operations/{id}`."""

    SERVICE: ClassVar[str] = "google.longrunning.Operations"

    def __init__(self, engine: Engine, messages: Messages) -> None:
        self._engine = engine
        self._generic = GenericOperations(messages)

    async def GetOperation(self, request: pb.GetOperationRequest, call: Call) -> bytes:
        return await self._shown(request.name, call)

    async def ListOperations(self, request: pb.ListOperationsRequest, call: Call) -> bytes:
        if request.name != COLLECTION:
            raise InvalidFields([Violation("name", f"{COLLECTION!r}, which has no parent")])
        tenant, wanted = call.caller.tenant, parse_filter(request.filter, None)
        query = Query(
            tenant=tenant,
            kind=None,
            filter=wanted,
            order=NEWEST_FIRST,
            after=None,
            limit=page_size(request.page_size),
            parts=FULL_PARTS,
            reserved=names_reserved_queue(wanted),
        )
        asked = list_question(tenant, None, wanted, NEWEST_FIRST)
        show, store = self._generic.of, self._engine.store
        page = await read_query(store, query, asked, request.page_token, show)
        token = page.next_page_token.encode()
        return wire.parts(_OPERATIONS, page.rows) + wire.part(_NEXT_PAGE_TOKEN, token)

    async def WaitOperation(self, request: pb.WaitOperationRequest, call: Call) -> bytes:
        """Return the operation once it has ended, or as it is when the time is up."""
        timeout = request.timeout if request.HasField("timeout") else None
        timeout_seconds = self._patience(timeout, call)
        revision = self._engine.feed.revision
        operation = (await self._record(request.name, call)).operation
        if not operation.ended:
            await self._end_of(operation, revision, timeout_seconds)
        return await self._shown(request.name, call)

    async def _end_of(
        self, operation: Operation, revision: int, timeout_seconds: float
    ) -> None:
        """Wait until an operation has ended, the time is up, or the server goes away."""
        one = frozenset({operation.number})
        watcher = self._engine.feed.watch(
            Replay(operation.tenant, revision, numbers=one, kinds=_ENDS)
        )
        clock = asyncio.get_running_loop().time
        last = clock() + timeout_seconds
        try:
            while not self._engine.draining.is_set() and clock() < last:
                told = await watcher.next(last - clock())
                if any(event.state >= FIRST_TERMINAL for event in told.events):
                    return
        finally:
            watcher.close()

    def _patience(self, timeout: Duration | None, call: Call) -> float:
        """Return how many seconds a call may wait."""
        seconds = [self._engine.settings.stream_age_seconds]
        if timeout is not None:
            flaws: Flaws = []
            seconds.append(span_of(timeout, "timeout", flaws) / 1_000)
            if flaws:
                raise InvalidFields(flaws)
        left = cast("float | None", call.context.time_remaining())  # None: no deadline.
        if left is not None:
            seconds.append(left - min(left * _MARGIN, _MARGIN_SECONDS_MOST))
        return min(seconds)

    async def CancelOperation(self, request: pb.CancelOperationRequest, call: Call) -> bytes:
        return await self._write(Cancel(call.caller, _target(request.name), None))

    async def DeleteOperation(self, request: pb.DeleteOperationRequest, call: Call) -> bytes:
        return await self._write(Delete(call.caller, _target(request.name), None))

    async def _write(self, change: Change) -> bytes:
        try:
            await self._engine.writer.write(change)
        except OperationNotFound as error:
            raise at("name", error) from None
        return _EMPTY

    async def _shown(self, name: str, call: Call) -> bytes:
        return self._generic.of(await self._record(name, call))

    async def _record(self, name: str, call: Call) -> Record:
        tenant, target = call.caller.tenant, _target(name)
        (record,) = await self._engine.store.get(tenant, [target], FULL_PARTS)
        if record is None:
            raise at("name", OperationNotFound(name))
        return record


def _target(name: str) -> Target:
    """Return what a name stands for. Raises `InvalidFields` and `OperationNotFound`."""
    collection, _, asked = name.partition("/")
    if collection != COLLECTION or not asked:
        reason = "INVALID" if name else "MISSING"
        raise InvalidFields([Violation("name", f"{COLLECTION}/ and an id", reason)])
    try:
        return target_of(asked)
    except OperationNotFound as error:
        raise at("name", error) from None
