"""What an operation of any kind is called, and what it is to do."""

from __future__ import annotations

from typing import Final

from longshore.client.kinds import Operation
from longshore.v1.job_service_pb2 import JobChange, JobSpec
from longshore.v1.launch_service_pb2 import LaunchChange, LaunchSpec
from longshore.v1.operation_service_pb2 import AnyChange
from longshore.v1.task_service_pb2 import Task, TaskChange, TaskSpec

#: The kinds, as the rooms of a client and as people call several of them.
KINDS: Final = ("tasks", "jobs", "launches")

Change = AnyChange | TaskChange | JobChange | LaunchChange


def called(operation: Operation) -> str:
    """Return what people call it: `task 17`."""
    return f"{operation.DESCRIPTOR.name.lower()} {operation.metadata.number}"


def subject(spec: TaskSpec | JobSpec | LaunchSpec) -> str:
    """Say what is to be done: `archive/scan → digest`, `orders/ingest`, `yearly-report`."""
    if isinstance(spec, JobSpec):
        return f"{spec.contract}/{spec.action}"
    if isinstance(spec, LaunchSpec):
        return spec.service
    names = " → ".join(call.action for call in spec.actions)
    return f"{spec.service}/{names}" if spec.service else names


def title(operation: Operation) -> str:
    """Return a few words by which to know it among others: its name, if it has one."""
    if isinstance(operation, Task) and operation.spec.name:
        return operation.spec.name
    return subject(operation.spec) or called(operation)
