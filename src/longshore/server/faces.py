"""Faces: the methods that tasks, jobs and launches have in common, written once.

The messages of the three services are alike but for their names, down to the numbers of their
fields; where bytes are joined, those of tasks stand for all.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import uuid_utils

from longshore.core.callers import Caller
from longshore.core.changes import Cancel, Change, Resubmit, Resume, Submit, Submitted, Suspend
from longshore.core.errors import InvalidFields, NotFound, OperationNotFound
from longshore.core.ids import target_of
from longshore.core.limits import CANCEL_MESSAGE_BYTES
from longshore.core.operations import Kind, Operation, Part, Record
from longshore.core.principals import EVERYTHING, Grants
from longshore.engine.engine import Engine
from longshore.server import wire
from longshore.server.checks import at_most
from longshore.server.gate import Call
from longshore.server.messages import (
    Messages,
    Submission,
    accepted_record,
    parts_of,
    submitted,
)
from longshore.server.pages import Listed, read_page
from longshore.server.plan_checks import check_granted
from longshore.server.submissions import Submissions, recall_of
from longshore.server.watches import Watches, Wish
from longshore.v1 import job_service_pb2 as jobs
from longshore.v1 import launch_service_pb2 as launches
from longshore.v1 import task_service_pb2 as tasks
from longshore.v1.operation_pb2 import View

Run: TypeAlias = tasks.RunTaskRequest | jobs.RunJobRequest | launches.RunLaunchRequest
Get: TypeAlias = tasks.GetTaskRequest | jobs.GetJobRequest | launches.GetLaunchRequest
List: TypeAlias = tasks.ListTasksRequest | jobs.ListJobsRequest | launches.ListLaunchesRequest
Watch: TypeAlias = (
    tasks.WatchTasksRequest | jobs.WatchJobsRequest | launches.WatchLaunchesRequest
)
Canceling: TypeAlias = (
    tasks.CancelTaskRequest | jobs.CancelJobRequest | launches.CancelLaunchRequest
)
Suspending: TypeAlias = (
    tasks.SuspendTaskRequest | jobs.SuspendJobRequest | launches.SuspendLaunchRequest
)
Resuming: TypeAlias = (
    tasks.ResumeTaskRequest | jobs.ResumeJobRequest | launches.ResumeLaunchRequest
)
Resubmitting: TypeAlias = (
    tasks.ResubmitTaskRequest | jobs.ResubmitJobRequest | launches.ResubmitLaunchRequest
)

#: All answers with one operation have it in the same place.
_OPERATION: Final = tasks.GetTaskResponse.TASK_FIELD_NUMBER
_WHAT_RUNS: Final = (Part.REQUEST, Part.PLAN)
_ROWS: Final = tasks.ListTasksResponse.TASKS_FIELD_NUMBER


@dataclass(frozen=True, slots=True)
class Face:
    """Serves one kind of operation."""

    kind: Kind
    engine: Engine
    messages: Messages
    watches: Watches
    submissions: Submissions
    #: Makes the change of a submit: request, caller, trace context, what the caller may ask.
    change: Callable[[Any, Caller, str | None, Grants], Submit]

    async def submit(self, request: Submission, call: Call) -> bytes:
        change, outcome = await self._written(request, call)
        if change is not None and outcome.created:
            shown = self.messages.accepted(change, outcome, request)
        else:
            shown = await self.shown(outcome.operation.number, call)
        return submitted(shown, created=outcome.created)

    async def _written(
        self, request: Submission | Run, call: Call
    ) -> tuple[Submit | None, Submitted]:
        """Write a submit, and return it with what came of it.

        None was written for a repeat of what would be refused now.
        """
        try:
            change = self.change(request, call.caller, call.traceparent, call.principal.grants)
        except (InvalidFields, NotFound) as refusal:
            return None, await self._earlier(request, call, refusal)
        try:
            return change, cast("Submitted", await self.engine.writer.write(change))
        except NotFound as error:
            raise self.submissions.named(error, request, call.caller) from None

    async def _earlier(
        self, request: Submission | Run, call: Call, refusal: InvalidFields | NotFound
    ) -> Submitted:
        """Return what a repeat asks for. Raises the refusal if it is no repeat."""
        recall = recall_of(request, self.kind, call.caller)
        found = None if recall is None else await self.engine.writer.write(recall)
        if found is None:
            raise refusal
        return cast("Submitted", found)

    async def run(self, request: Run, call: Call) -> AsyncGenerator[bytes, None]:
        full = _in_full(request.view)
        record, revision, created = await self._begun(request, call, full=full)
        logs = request.include_logs
        wish = Wish(call.caller.tenant, self.kind, include_logs=logs, full=full)
        stream = self.watches.submitted(wish, record, revision, created=created)
        async with aclosing(stream) as messages:
            async for message in messages:
                yield message

    async def _begun(self, request: Run, call: Call, *, full: bool) -> tuple[Record, int, bool]:
        """Submit; return the record, up to where it shows everything, and whether it is new."""
        change, outcome = await self._written(request, call)
        operation = outcome.operation
        if change is not None and outcome.created:
            return accepted_record(change, outcome), operation.revision, True
        revision = self.engine.feed.revision
        record = await self.record(operation.number, call, full=full)
        return record, max(revision, record.operation.revision), False

    async def get(self, request: Get, call: Call) -> bytes:
        full = _in_full(request.view)
        return wire.part(_OPERATION, await self.shown(request.id, call, full=full))

    async def list(self, request: List, call: Call) -> bytes:
        full = request.view == View.VIEW_FULL
        page = await read_page(
            self.engine.store,
            call.caller,
            self.kind,
            request,
            lambda record: self.messages.operation(record, full=full),
            full=full,
        )
        return listed(page)

    def watch(self, request: Watch, call: Call) -> AsyncGenerator[bytes, None]:
        has_revision = request.HasField("after_revision")
        wish = Wish(
            call.caller.tenant,
            self.kind,
            request.ids,
            request.filter,
            request.after_revision if has_revision else None,
            request.include_logs,
            _in_full(request.view),
        )
        return self.watches.watch(wish)

    async def cancel(self, request: Canceling, call: Call) -> bytes:
        at_most("message", CANCEL_MESSAGE_BYTES, len(request.message.encode()))
        target, message = target_of(request.id), request.message
        change = Cancel(call.caller, target, self.kind, message, request.force)
        return await self.steer(change, call)

    async def suspend(self, request: Suspending, call: Call) -> bytes:
        return await self.steer(Suspend(call.caller, target_of(request.id), self.kind), call)

    async def resume(self, request: Resuming, call: Call) -> bytes:
        return await self.steer(Resume(call.caller, target_of(request.id), self.kind), call)

    async def resubmit(self, request: Resubmitting, call: Call) -> bytes:
        if call.principal.grants != EVERYTHING:
            await self._require_granted(request.id, call)
        change = Resubmit(
            call.caller,
            target_of(request.id),
            uuid_utils.uuid7().bytes,
            self.kind,
            request.from_failed,
        )
        outcome = cast("Submitted", await self.engine.writer.write(change))
        return wire.part(_OPERATION, await self.shown(outcome.operation.number, call))

    async def _require_granted(self, asked: str, call: Call) -> None:
        """Raise what the caller would be told who submitted this."""
        record = await self._record(asked, call, _WHAT_RUNS)
        document = record.documents.get(Part.PLAN) or record.documents[Part.REQUEST]
        spec = tasks.Task.FromString(document).spec
        check_granted(spec.actions, spec.service, call.principal.grants)

    async def steer(self, change: Change, call: Call) -> bytes:
        """Write a change of one operation and return the answer with it as it is then."""
        operation = cast("Operation", await self.engine.writer.write(change))
        return wire.part(_OPERATION, await self.shown(operation.number, call))

    async def shown(self, asked: str | int, call: Call, *, full: bool = True) -> bytes:
        """Return an encoded operation. Raises `OperationNotFound`."""
        return self.messages.operation(await self.record(asked, call, full=full), full=full)

    async def record(self, asked: str | int, call: Call, *, full: bool) -> Record:
        """Return an operation by id or number. Raises `OperationNotFound`."""
        return await self._record(asked, call, parts_of(full=full))

    async def _record(self, asked: str | int, call: Call, parts: tuple[int, ...]) -> Record:
        target = asked if isinstance(asked, int) else target_of(asked)
        (record,) = await self.engine.store.get(call.caller.tenant, (target,), parts)
        if record is None or record.operation.kind != self.kind:
            raise OperationNotFound(str(asked))
        return record


def listed(page: Listed) -> bytes:
    """Return an encoded answer to a list."""
    rest = tasks.ListTasksResponse(
        next_page_token=page.next_page_token, revision=page.revision, total_size=page.total
    )
    return wire.parts(_ROWS, page.rows) + rest.SerializeToString()


def _in_full(view: View.ValueType) -> bool:
    """Tell whether everything is shown, which is the default outside lists."""
    return view != View.VIEW_BASIC
