"""TaskService: tasks submitted, looked up, steered and watched."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from typing import ClassVar

from longshore.core.operations import Kind
from longshore.engine.engine import Engine
from longshore.server.faces import Face
from longshore.server.gate import Call
from longshore.server.messages import Messages
from longshore.server.result_streams import ResultStreams
from longshore.server.results import Results
from longshore.server.submissions import Submissions
from longshore.server.task_batches import TaskBatches
from longshore.server.watches import Watches
from longshore.v1 import task_service_pb2 as pb


class TaskService:
    """Serves tasks."""

    SERVICE: ClassVar[str] = "longshore.v1.TaskService"

    def __init__(
        self, engine: Engine, submissions: Submissions, messages: Messages, watches: Watches
    ) -> None:
        self._tasks = Face(Kind.TASK, engine, messages, watches, submissions, submissions.task)
        self._batches = TaskBatches(engine, submissions, messages)
        self._results = Results(engine)
        self._streams = ResultStreams(engine, messages)

    def SubmitTask(self, request: pb.SubmitTaskRequest, call: Call) -> Awaitable[bytes]:
        return self._tasks.submit(request, call)

    def RunTask(self, request: pb.RunTaskRequest, call: Call) -> AsyncGenerator[bytes, None]:
        return self._tasks.run(request, call)

    def GetTask(self, request: pb.GetTaskRequest, call: Call) -> Awaitable[bytes]:
        return self._tasks.get(request, call)

    def ListTasks(self, request: pb.ListTasksRequest, call: Call) -> Awaitable[bytes]:
        return self._tasks.list(request, call)

    def WatchTasks(
        self, request: pb.WatchTasksRequest, call: Call
    ) -> AsyncGenerator[bytes, None]:
        return self._tasks.watch(request, call)

    def CancelTask(self, request: pb.CancelTaskRequest, call: Call) -> Awaitable[bytes]:
        return self._tasks.cancel(request, call)

    def SuspendTask(self, request: pb.SuspendTaskRequest, call: Call) -> Awaitable[bytes]:
        return self._tasks.suspend(request, call)

    def ResumeTask(self, request: pb.ResumeTaskRequest, call: Call) -> Awaitable[bytes]:
        return self._tasks.resume(request, call)

    def ResubmitTask(self, request: pb.ResubmitTaskRequest, call: Call) -> Awaitable[bytes]:
        return self._tasks.resubmit(request, call)

    def BatchSubmitTasks(
        self, request: pb.BatchSubmitTasksRequest, call: Call
    ) -> Awaitable[bytes]:
        return self._batches.submit(request, call)

    def BatchGetTasks(self, request: pb.BatchGetTasksRequest, call: Call) -> Awaitable[bytes]:
        return self._batches.get(request, call)

    def FetchTaskResult(
        self, request: pb.FetchTaskResultRequest, call: Call
    ) -> AsyncGenerator[bytes, None]:
        return self._results.fetch(request.id, call)

    def StreamResults(
        self, request: pb.StreamResultsRequest, call: Call
    ) -> AsyncGenerator[bytes, None]:
        return self._streams.listen(request, call)

    def AcknowledgeResults(
        self, request: pb.AcknowledgeResultsRequest, call: Call
    ) -> Awaitable[bytes]:
        return self._streams.acknowledge(request, call)
