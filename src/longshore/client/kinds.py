"""The three kinds of operations: the same methods, each with messages of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar, cast

from google.protobuf.message import Message

from longshore.v1 import job_service_pb2 as jobs
from longshore.v1 import launch_service_pb2 as launches
from longshore.v1 import task_service_pb2 as tasks

Operation = tasks.Task | jobs.Job | launches.Launch
Submit = tasks.SubmitTaskRequest | jobs.SubmitJobRequest | launches.SubmitLaunchRequest

O = TypeVar("O", bound=Operation)  # noqa: E741 - an operation
C = TypeVar("C", bound=tasks.TaskChange | jobs.JobChange | launches.LaunchChange)


@dataclass(frozen=True, slots=True)
class Kind(Generic[O, C]):
    """The messages of a kind: what its operations and changes are, and what asks for them."""

    name: str  #: The field of a message that has one operation.
    plural: str  #: The field of a message that has several.
    operation: type[O]
    change: type[C]
    run: Callable[..., Message]
    get: Callable[..., Message]
    list: Callable[..., Message]
    watch: Callable[..., Message]
    cancel: Callable[..., Message]
    suspend: Callable[..., Message]
    resume: Callable[..., Message]
    resubmit: Callable[..., Message]

    def one(self, message: Message) -> O:
        """Return the operation that a message of this kind has."""
        return cast("O", getattr(message, self.name))

    def several(self, message: Message) -> Sequence[O]:
        return cast("Sequence[O]", getattr(message, self.plural))


def shown(change: Message) -> Operation | None:
    """Return the operation if a change, of one kind or of any, shows it."""
    for field, value in change.ListFields():
        if field.name != "event":
            return cast("Operation", value)
    return None


TASK: Final = Kind(
    name="task",
    plural="tasks",
    operation=tasks.Task,
    change=tasks.TaskChange,
    run=tasks.RunTaskRequest,
    get=tasks.GetTaskRequest,
    list=tasks.ListTasksRequest,
    watch=tasks.WatchTasksRequest,
    cancel=tasks.CancelTaskRequest,
    suspend=tasks.SuspendTaskRequest,
    resume=tasks.ResumeTaskRequest,
    resubmit=tasks.ResubmitTaskRequest,
)

JOB: Final = Kind(
    name="job",
    plural="jobs",
    operation=jobs.Job,
    change=jobs.JobChange,
    run=jobs.RunJobRequest,
    get=jobs.GetJobRequest,
    list=jobs.ListJobsRequest,
    watch=jobs.WatchJobsRequest,
    cancel=jobs.CancelJobRequest,
    suspend=jobs.SuspendJobRequest,
    resume=jobs.ResumeJobRequest,
    resubmit=jobs.ResubmitJobRequest,
)

LAUNCH: Final = Kind(
    name="launch",
    plural="launches",
    operation=launches.Launch,
    change=launches.LaunchChange,
    run=launches.RunLaunchRequest,
    get=launches.GetLaunchRequest,
    list=launches.ListLaunchesRequest,
    watch=launches.WatchLaunchesRequest,
    cancel=launches.CancelLaunchRequest,
    suspend=launches.SuspendLaunchRequest,
    resume=launches.ResumeLaunchRequest,
    resubmit=launches.ResubmitLaunchRequest,
)
