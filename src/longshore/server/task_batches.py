"""Batches of tasks: a thousand submitted, or ten thousand looked up, in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias, cast

from longshore.core import policies
from longshore.core.callers import Target
from longshore.core.changes import Recall, Submit, Submitted
from longshore.core.errors import InvalidFields, NotFound, OperationNotFound
from longshore.core.ids import target_of
from longshore.core.limits import BATCH_GET, BATCH_SUBMIT, MESSAGE_BYTES
from longshore.core.operations import Glance, Kind, Part, State
from longshore.engine.engine import Engine
from longshore.server import wire
from longshore.server.checks import at_most
from longshore.server.errors import status_of
from longshore.server.gate import Call
from longshore.server.glances import brief
from longshore.server.messages import Messages, accepted_record, parts_of, submitted
from longshore.server.submissions import Submissions, recall_of
from longshore.v1 import task_service_pb2 as pb

_RESULTS: Final = pb.BatchSubmitTasksResponse.RESULTS_FIELD_NUMBER
_SUBMITTED: Final = pb.BatchSubmitTasksResult.SUBMITTED_FIELD_NUMBER
_ERROR: Final = pb.BatchSubmitTasksResult.ERROR_FIELD_NUMBER
_NONE: Final[dict[int, bytes]] = {}
_TASKS: Final = pb.BatchGetTasksResponse.TASKS_FIELD_NUMBER
_UNKNOWN: Final = pb.BatchGetTasksResponse.UNKNOWN_IDS_FIELD_NUMBER

#: What an answer may have grown to before tasks are shown without their payload.
_ROOM_BYTES: Final = MESSAGE_BYTES * 3 // 4

#: Tasks that are looked up before others have their turn on the loop.
_AT_ONCE: Final = 1_000


#: What is written for a request, and what refused it; then what finds an earlier one like it.
_Asked: TypeAlias = tuple[Submit | Recall | None, Exception | None]


class TaskBatches:
    """Serves the calls that are about many tasks at once."""

    def __init__(self, engine: Engine, submissions: Submissions, messages: Messages) -> None:
        self._engine = engine
        self._submissions = submissions
        self._messages = messages

    async def submit(self, request: pb.BatchSubmitTasksRequest, call: Call) -> bytes:
        """Submit tasks that may each be refused without harm to the others."""
        requests = request.requests
        at_most("requests", BATCH_SUBMIT, len(requests))
        asked = [self._asked(one, call) for one in requests]
        changes = [change for change, _ in asked if change is not None]
        written = iter(await self._engine.writer.write_all(changes))
        results: list[bytes] = []
        size = 0
        for one, (change, refusal) in zip(requests, asked, strict=True):
            outcome = refusal if change is None else next(written) or refusal
            full = size < _ROOM_BYTES
            if type(outcome) is Submitted and type(change) is Submit and outcome.created:
                result = self._accepted(one, change, outcome, full=full)
            elif type(outcome) is Submitted:
                result = await self._found(outcome.operation.number, call, full=full)
            else:
                error = cast("BaseException", outcome)
                result = _refused(self._submissions.named(error, one, call.caller))
            results.append(result)
            size += len(result)
        return wire.parts(_RESULTS, results)

    def _asked(self, request: pb.SubmitTaskRequest, call: Call) -> _Asked:
        try:
            grants = call.principal.grants
            change = self._submissions.task(request, call.caller, call.traceparent, grants)
        except (InvalidFields, NotFound) as refusal:
            return recall_of(request, Kind.TASK, call.caller), refusal
        except Exception as error:  # noqa: BLE001  whatever it is, it concerns this one alone
            return None, error
        return change, None

    def _accepted(
        self, request: pb.SubmitTaskRequest, change: Submit, outcome: Submitted, *, full: bool
    ) -> bytes:
        """Return the result of a new task, in `VIEW_BASIC` once an answer has grown large."""
        if full:
            task = self._messages.accepted(change, outcome, request)
        else:
            task = self._messages.operation(accepted_record(change, outcome), full=False)
        return wire.part(_SUBMITTED, submitted(task, created=True))

    async def _found(self, number: int, call: Call, *, full: bool) -> bytes:
        """Return the result of a task that was submitted before."""
        tenant, parts = call.caller.tenant, parts_of(full=full)
        (earlier,) = await self._engine.store.get(tenant, (number,), parts)
        if earlier is None:  # It has expired this moment.
            return _refused(OperationNotFound(str(number)))
        task = self._messages.operation(earlier, full=full)
        return wire.part(_SUBMITTED, submitted(task, created=False))

    async def get(self, request: pb.BatchGetTasksRequest, call: Call) -> bytes:
        """Look up how tasks stand; ids that name none are told apart."""
        ids = request.ids
        at_most("ids", BATCH_GET, len(ids))
        tasks: list[bytes] = []
        unknown: list[bytes] = []
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            glances = await self._look_up(some, call)
            documents = await self._documents(glances, call)
            for asked, glance in zip(some, glances, strict=True):
                if glance is None:
                    unknown.append(asked.encode())
                else:
                    tasks.append(brief(glance, documents.get(glance.number, _NONE)))
            await asyncio.sleep(0)
        return wire.parts(_TASKS, tasks) + wire.parts(_UNKNOWN, unknown)

    async def _look_up(self, ids: Sequence[str], call: Call) -> list[Glance | None]:
        """Return how tasks stand, in the order of their ids."""
        targets = [_target(text) for text in ids]
        found = await self._engine.store.glance(call.caller.tenant, targets)
        return [one if one is not None and one.kind == Kind.TASK else None for one in found]

    async def _documents(
        self, glances: Iterable[Glance | None], call: Call
    ) -> dict[int, dict[int, bytes]]:
        """Return the errors of those that failed and the deliveries of those that have one."""
        numbers = [
            one.number
            for one in glances
            if one is not None
            and (one.state == State.FAILED or policies.decode(one.policy).delivery)
        ]
        if not numbers:
            return {}
        parts = (Part.ERROR, Part.DELIVERY)
        records = await self._engine.store.get(call.caller.tenant, numbers, parts)
        return {one.operation.number: one.documents for one in records if one is not None}


def _refused(error: BaseException) -> bytes:
    return wire.part(_ERROR, status_of(error).SerializeToString())


def _target(text: str) -> Target:
    """Return what an id names; what is no id names nothing."""
    try:
        return target_of(text)
    except OperationNotFound:
        return 0
