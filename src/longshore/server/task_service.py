"""TaskService: tasks submitted, looked up, steered and watched."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar, Final, cast

import uuid_utils

from longshore.core.changes import Cancel, Change, Resubmit, Resume, Submitted, Suspend
from longshore.core.errors import OperationNotFound
from longshore.core.ids import target_of
from longshore.core.limits import CANCEL_MESSAGE_BYTES
from longshore.core.operations import Kind, Operation, Part, Record
from longshore.engine.engine import Engine
from longshore.server import wire
from longshore.server.checks import at_most
from longshore.server.directory import Directory
from longshore.server.messages import Messages, parts_of, submitted
from longshore.server.methods import Call
from longshore.server.pages import read_page
from longshore.server.submissions import Submissions
from longshore.server.task_batches import TaskBatches
from longshore.server.watches import Watches, Wish
from longshore.v1 import task_service_pb2 as pb
from longshore.v1.operation_pb2 import View

#: All answers with one task have it in the same place.
_TASK: Final = pb.GetTaskResponse.TASK_FIELD_NUMBER


class TaskService:
    """Serves tasks."""

    SERVICE: ClassVar[str] = "longshore.v1.TaskService"

    def __init__(
        self, engine: Engine, directory: Directory, messages: Messages, watches: Watches
    ) -> None:
        self._engine = engine
        self._messages = messages
        self._watches = watches
        self._submissions = Submissions(directory)
        self._batches = TaskBatches(engine, self._submissions, messages)

    async def SubmitTask(self, request: pb.SubmitTaskRequest, call: Call) -> bytes:
        change = self._submissions.change(request, call)
        outcome = cast("Submitted", await self._engine.writer.write(change))
        if outcome.created:
            task = self._messages.accepted(change, outcome, request.spec, request.options)
        else:
            task = await self._task(outcome.operation.number, call)
        return submitted(task, created=outcome.created)

    async def RunTask(
        self, request: pb.RunTaskRequest, call: Call
    ) -> AsyncGenerator[bytes, None]:
        change = self._submissions.change(request, call)
        outcome = cast("Submitted", await self._engine.writer.write(change))
        operation = outcome.operation
        if outcome.created:
            documents: dict[int, bytes] = {Part.REQUEST: change.request}
            record = Record(operation, outcome.facts, change.queue, documents)
            revision = operation.revision
        else:
            revision = self._engine.feed.revision
            record = await self._get(operation.number, call, full=_in_full(request.view))
            revision = max(revision, record.operation.revision)
        wish = Wish(
            call.caller.tenant,
            Kind.TASK,
            include_logs=request.include_logs,
            full=_in_full(request.view),
        )
        stream = self._watches.submitted(wish, record, revision, created=outcome.created)
        async with aclosing(stream) as messages:
            async for message in messages:
                yield message

    async def GetTask(self, request: pb.GetTaskRequest, call: Call) -> bytes:
        return wire.part(_TASK, await self._task(request.id, call, full=_in_full(request.view)))

    async def ListTasks(self, request: pb.ListTasksRequest, call: Call) -> bytes:
        full = request.view == View.VIEW_FULL
        page = await read_page(
            self._engine.store,
            call.caller,
            Kind.TASK,
            request,
            lambda record: self._messages.task(record, full=full),
            full=full,
        )
        response = pb.ListTasksResponse(
            next_page_token=page.next_page_token, revision=page.revision, total_size=page.total
        )
        tasks = wire.parts(pb.ListTasksResponse.TASKS_FIELD_NUMBER, page.rows)
        return tasks + response.SerializeToString()

    def WatchTasks(
        self, request: pb.WatchTasksRequest, call: Call
    ) -> AsyncGenerator[bytes, None]:
        has_revision = request.HasField("after_revision")
        wish = Wish(
            call.caller.tenant,
            Kind.TASK,
            request.ids,
            request.filter,
            request.after_revision if has_revision else None,
            request.include_logs,
            _in_full(request.view),
        )
        return self._watches.watch(wish)

    async def CancelTask(self, request: pb.CancelTaskRequest, call: Call) -> bytes:
        at_most("message", CANCEL_MESSAGE_BYTES, len(request.message.encode()))
        target, message = target_of(request.id), request.message
        change = Cancel(call.caller, target, Kind.TASK, message, request.force)
        return await self._steered(change, call)

    async def SuspendTask(self, request: pb.SuspendTaskRequest, call: Call) -> bytes:
        change = Suspend(call.caller, target_of(request.id), Kind.TASK)
        return await self._steered(change, call)

    async def ResumeTask(self, request: pb.ResumeTaskRequest, call: Call) -> bytes:
        change = Resume(call.caller, target_of(request.id), Kind.TASK)
        return await self._steered(change, call)

    async def ResubmitTask(self, request: pb.ResubmitTaskRequest, call: Call) -> bytes:
        change = Resubmit(
            call.caller,
            target_of(request.id),
            uuid_utils.uuid7().bytes,
            Kind.TASK,
            request.from_failed,
        )
        outcome = cast("Submitted", await self._engine.writer.write(change))
        return wire.part(_TASK, await self._task(outcome.operation.number, call))

    async def BatchSubmitTasks(self, request: pb.BatchSubmitTasksRequest, call: Call) -> bytes:
        return await self._batches.submit(request, call)

    async def BatchGetTasks(self, request: pb.BatchGetTasksRequest, call: Call) -> bytes:
        return await self._batches.get(request, call)

    async def _steered(self, change: Change, call: Call) -> bytes:
        """Write a change of one task and return the task as it is then."""
        operation = cast("Operation", await self._engine.writer.write(change))
        return wire.part(_TASK, await self._task(operation.number, call))

    async def _task(self, asked: str | int, call: Call, *, full: bool = True) -> bytes:
        return self._messages.task(await self._get(asked, call, full=full), full=full)

    async def _get(self, asked: str | int, call: Call, *, full: bool) -> Record:
        """Return a task by id or number. Raises `OperationNotFound`."""
        target = asked if isinstance(asked, int) else target_of(asked)
        parts = parts_of(full=full)
        (record,) = await self._engine.store.get(call.caller.tenant, (target,), parts)
        if record is None or record.operation.kind != Kind.TASK:
            raise OperationNotFound(str(asked))
        return record


def _in_full(view: View.ValueType) -> bool:
    """Tell whether everything is shown, which is the default outside lists."""
    return view != View.VIEW_BASIC
