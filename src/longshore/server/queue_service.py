"""QueueService: queues paused, resumed and limited, and how much waits in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import ClassVar, Final, cast

from longshore.core.catalog_changes import UpdateQueue
from longshore.core.errors import InvalidFields, Violation
from longshore.core.installation import (
    BUILT_IN_QUEUES,
    RULESETS_LIMIT,
    RULESETS_QUEUE,
    Queue,
    is_reserved,
)
from longshore.core.operations import State
from longshore.core.page_tokens import question
from longshore.core.store import Counts
from longshore.engine.engine import Engine
from longshore.server.checks import Flaws, queue_name
from longshore.server.gate import Call
from longshore.server.named_pages import named_page
from longshore.v1 import queue_service_pb2 as pb

_UNUSED: Final = Queue()


class QueueService:
    """Shows and changes the queues of a tenant."""

    SERVICE: ClassVar[str] = "longshore.v1.QueueService"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def ListQueues(
        self, request: pb.ListQueuesRequest, call: Call
    ) -> pb.ListQueuesResponse:
        tenant = call.caller.tenant
        tally = _Tally(await self._engine.store.counts(tenant))
        queues, token = named_page(
            request,
            question("queues", tenant),
            self._queues(tenant),
            lambda name, queue: tally.message(name[0], queue),
        )
        return pb.ListQueuesResponse(queues=queues, next_page_token=token)

    def _queues(self, tenant: str) -> Mapping[tuple[str], Queue]:
        """Return the queues that exist, named by somebody or not."""
        known = {(name,): _UNUSED for name in BUILT_IN_QUEUES}
        for (owner, name), queue in self._engine.catalog.current.queues.items():
            if owner == tenant and not is_reserved(name):
                known[name,] = queue
        return known

    async def UpdateQueue(
        self, request: pb.UpdateQueueRequest, call: Call
    ) -> pb.UpdateQueueResponse:
        change = _update(request, call)
        queue = cast("Queue", await self._engine.writer.write(change))
        tally = _Tally(await self._engine.store.counts(call.caller.tenant))
        return pb.UpdateQueueResponse(queue=tally.message(request.name, queue))


def _update(request: pb.UpdateQueueRequest, call: Call) -> UpdateQueue:
    """Return the change that is asked for. Raises `InvalidFields`, `LimitExceeded`."""
    flaws: Flaws = []
    queue_name(request.name, "name", flaws)
    paused = request.paused if request.HasField("paused") else None
    limit = request.concurrency_limit if request.HasField("concurrency_limit") else None
    if limit is not None and request.name == RULESETS_QUEUE:
        fixed = f"that of {RULESETS_QUEUE} is {RULESETS_LIMIT} and stays so"
        flaws.append(Violation("concurrency_limit", fixed, "NOT_PERMITTED"))
    elif limit is not None and limit < 0:
        flaws.append(Violation("concurrency_limit", "from 1, or 0 for no limit"))
    if flaws:
        raise InvalidFields(flaws)
    return UpdateQueue(call.caller, request.name, paused, limit)


class _Tally:
    """How many operations wait and run in each queue."""

    def __init__(self, counts: Counts) -> None:
        self._counts: Counter[tuple[str, int]] = Counter()
        for (queue, _, state), count in counts.operations.items():
            self._counts[queue, state] += count
        self._oldest = counts.oldest

    def message(self, name: str, queue: Queue) -> pb.Queue:
        shown = pb.Queue(
            name=name,
            waiting=self._counts[name, State.QUEUED],
            running=self._counts[name, State.RUNNING],
            paused=queue.paused,
            paused_by=queue.paused_by or "",
            concurrency_limit=RULESETS_LIMIT if name == RULESETS_QUEUE else queue.limit,
        )
        if name in self._oldest:
            shown.oldest_time.FromMilliseconds(self._oldest[name])
        if queue.pause_time is not None:
            shown.pause_time.FromMilliseconds(queue.pause_time)
        return shown
