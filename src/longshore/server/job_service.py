"""JobService: jobs submitted, looked up, steered, moved and watched."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from typing import ClassVar

from longshore.core.changes import Move
from longshore.core.errors import InvalidFields, QueueNotFound
from longshore.core.ids import target_of
from longshore.core.operations import Kind
from longshore.engine.engine import Engine
from longshore.server.checks import Flaws, queue_name, queue_of_plans
from longshore.server.directory import Directory
from longshore.server.faces import Face
from longshore.server.gate import Call
from longshore.server.messages import Messages
from longshore.server.plan_checks import at
from longshore.server.submissions import Submissions
from longshore.server.watches import Watches
from longshore.v1 import job_service_pb2 as pb


class JobService:
    """Serves jobs."""

    SERVICE: ClassVar[str] = "longshore.v1.JobService"

    def __init__(
        self,
        engine: Engine,
        directory: Directory,
        submissions: Submissions,
        messages: Messages,
        watches: Watches,
    ) -> None:
        self._directory = directory
        self._jobs = Face(Kind.JOB, engine, messages, watches, submissions, submissions.job)

    def SubmitJob(self, request: pb.SubmitJobRequest, call: Call) -> Awaitable[bytes]:
        return self._jobs.submit(request, call)

    def RunJob(self, request: pb.RunJobRequest, call: Call) -> AsyncGenerator[bytes, None]:
        return self._jobs.run(request, call)

    def GetJob(self, request: pb.GetJobRequest, call: Call) -> Awaitable[bytes]:
        return self._jobs.get(request, call)

    def ListJobs(self, request: pb.ListJobsRequest, call: Call) -> Awaitable[bytes]:
        return self._jobs.list(request, call)

    def WatchJobs(
        self, request: pb.WatchJobsRequest, call: Call
    ) -> AsyncGenerator[bytes, None]:
        return self._jobs.watch(request, call)

    def CancelJob(self, request: pb.CancelJobRequest, call: Call) -> Awaitable[bytes]:
        return self._jobs.cancel(request, call)

    def SuspendJob(self, request: pb.SuspendJobRequest, call: Call) -> Awaitable[bytes]:
        return self._jobs.suspend(request, call)

    def ResumeJob(self, request: pb.ResumeJobRequest, call: Call) -> Awaitable[bytes]:
        return self._jobs.resume(request, call)

    def ResubmitJob(self, request: pb.ResubmitJobRequest, call: Call) -> Awaitable[bytes]:
        return self._jobs.resubmit(request, call)

    async def MoveJob(self, request: pb.MoveJobRequest, call: Call) -> bytes:
        flaws: Flaws = []
        queue_name(request.queue, "queue", flaws)
        queue_of_plans(request.queue, "queue", flaws)
        if flaws:
            raise InvalidFields(flaws)
        if request.queue not in self._directory.offers(call.caller.tenant).queues:
            raise at("queue", QueueNotFound(request.queue))
        change = Move(call.caller, target_of(request.id), request.queue, Kind.JOB)
        return await self._jobs.steer(change, call)
