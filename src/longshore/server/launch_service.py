"""LaunchService: launches submitted, looked up, steered, put in order and watched."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Sequence
from typing import ClassVar, Final, cast

from longshore.core.changes import Direction, MoveLaunches
from longshore.core.errors import InvalidFields, Violation
from longshore.core.filters import UNFINISHED, And, Compare, Filter
from longshore.core.ids import target_of
from longshore.core.limits import MOVED_AT_ONCE, PAGE_BYTES
from longshore.core.operations import Kind, Operation, Record
from longshore.core.orders import Order, SortKey
from longshore.core.page_tokens import list_question
from longshore.core.store import Query
from longshore.engine.engine import Engine
from longshore.server import wire
from longshore.server.checks import Flaws, at_most, page_size
from longshore.server.faces import Face
from longshore.server.gate import Call
from longshore.server.launch_submissions import QUEUES
from longshore.server.messages import Messages, parts_of
from longshore.server.pages import read_query
from longshore.server.results import Results
from longshore.server.submissions import Submissions
from longshore.server.watches import Watches
from longshore.v1 import launch_service_pb2 as pb

#: What runs, then what waits, as it will start; the priorities of both are told apart.
_AS_THEY_START: Final = Order(
    (
        SortKey("running", descending=True),
        SortKey("priority", descending=True),
        SortKey("position"),
        SortKey("number"),
    )
)
_QUEUED: Final = pb.GetLaunchQueueResponse.LAUNCHES_FIELD_NUMBER
_MOVED: Final = pb.MoveLaunchesResponse.LAUNCHES_FIELD_NUMBER
_DIRECTIONS: Final = frozenset(int(one) for one in Direction)
_AT_ONCE: Final = 100  #: Launches that are read at once: they may be large.


class LaunchService:
    """Serves launches."""

    SERVICE: ClassVar[str] = "longshore.v1.LaunchService"

    def __init__(
        self, engine: Engine, submissions: Submissions, messages: Messages, watches: Watches
    ) -> None:
        self._engine = engine
        self._messages = messages
        self._launches = Face(
            Kind.LAUNCH, engine, messages, watches, submissions, submissions.launch
        )
        self._results = Results(engine)

    def SubmitLaunch(self, request: pb.SubmitLaunchRequest, call: Call) -> Awaitable[bytes]:
        return self._launches.submit(request, call)

    def RunLaunch(
        self, request: pb.RunLaunchRequest, call: Call
    ) -> AsyncGenerator[bytes, None]:
        return self._launches.run(request, call)

    def GetLaunch(self, request: pb.GetLaunchRequest, call: Call) -> Awaitable[bytes]:
        return self._launches.get(request, call)

    def ListLaunches(self, request: pb.ListLaunchesRequest, call: Call) -> Awaitable[bytes]:
        return self._launches.list(request, call)

    def WatchLaunches(
        self, request: pb.WatchLaunchesRequest, call: Call
    ) -> AsyncGenerator[bytes, None]:
        return self._launches.watch(request, call)

    def CancelLaunch(self, request: pb.CancelLaunchRequest, call: Call) -> Awaitable[bytes]:
        return self._launches.cancel(request, call)

    def SuspendLaunch(self, request: pb.SuspendLaunchRequest, call: Call) -> Awaitable[bytes]:
        return self._launches.suspend(request, call)

    def ResumeLaunch(self, request: pb.ResumeLaunchRequest, call: Call) -> Awaitable[bytes]:
        return self._launches.resume(request, call)

    def ResubmitLaunch(self, request: pb.ResubmitLaunchRequest, call: Call) -> Awaitable[bytes]:
        return self._launches.resubmit(request, call)

    async def GetLaunchQueue(self, request: pb.GetLaunchQueueRequest, call: Call) -> bytes:
        wanted = _queue_filter(request)
        query = Query(
            tenant=call.caller.tenant,
            kind=Kind.LAUNCH,
            filter=wanted,
            order=_AS_THEY_START,
            after=None,
            limit=page_size(request.page_size),
            parts=parts_of(full=False),
        )
        asked = list_question(query.tenant, Kind.LAUNCH, wanted, query.order)
        page = await read_query(
            self._engine.store, query, asked, request.page_token, self._basic
        )
        rest = pb.GetLaunchQueueResponse(
            next_page_token=page.next_page_token, revision=page.revision
        )
        return wire.parts(_QUEUED, page.rows) + rest.SerializeToString()

    async def MoveLaunches(self, request: pb.MoveLaunchesRequest, call: Call) -> bytes:
        change = _move(request, call)
        moved = cast("list[Operation]", await self._engine.writer.write(change))
        return await self._in_order([one.number for one in moved], call)

    def DownloadLaunchFiles(
        self, request: pb.DownloadLaunchFilesRequest, call: Call
    ) -> AsyncGenerator[bytes, None]:
        return self._results.launch_files(request.id, call)

    async def _in_order(self, numbers: Sequence[int], call: Call) -> bytes:
        """Return an answer with launches, of very many those that fit into a message."""
        rows: list[bytes] = []
        size = 0
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            tenant, parts = call.caller.tenant, parts_of(full=False)
            for record in await self._engine.store.get(tenant, some, parts):
                if record is None:
                    continue  # expired meanwhile
                rows.append(self._basic(record))
                size += len(rows[-1])
                if size > PAGE_BYTES:
                    return wire.parts(_MOVED, rows)
        return wire.parts(_MOVED, rows)

    def _basic(self, record: Record) -> bytes:
        return self._messages.operation(record, full=False)


def _queue_filter(request: pb.GetLaunchQueueRequest) -> Filter:
    """Return which launches are in the queue. Raises `InvalidFields`."""
    if not request.kind:
        return And((UNFINISHED,))
    if request.kind not in QUEUES:
        raise InvalidFields([Violation("kind", "RULESET, OPERATION, or unset for both")])
    return And((UNFINISHED, Compare("queue", "=", QUEUES[request.kind])))


def _move(request: pb.MoveLaunchesRequest, call: Call) -> MoveLaunches:
    """Return the change that is asked for.

    Raises `InvalidFields`, `LimitExceeded` and `OperationNotFound`.
    """
    at_most("ids", MOVED_AT_ONCE, len(request.ids))
    flaws: Flaws = []
    if not request.ids:
        flaws.append(Violation("ids", "at least one is needed", "MISSING"))
    if request.direction not in _DIRECTIONS:
        reason = "INVALID" if request.direction else "MISSING"
        flaws.append(Violation("direction", "TOP, UP, DOWN or BOTTOM", reason))
    if flaws:
        raise InvalidFields(flaws)
    targets = tuple(map(target_of, request.ids))
    return MoveLaunches(call.caller, targets, Direction(int(request.direction)))
