"""The contract in Python's manner: asynchronous calls, handles, and watches that reconnect.

    async with Client("127.0.0.1:50051") as client:
        handle = await client.tasks.submit("digest", {"path": "/etc/hosts"})
        print(await handle.result())

Nothing here knows how a server works: it needs the contract only.
"""

from __future__ import annotations

from longshore.client.client import Client
from longshore.client.errors import (
    Aborted,
    AlreadyExists,
    CallError,
    DeadlineExceeded,
    FailedPrecondition,
    Failure,
    InvalidArgument,
    InvalidValue,
    LongshoreError,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Violation,
    WorkCanceled,
    WorkError,
    WorkFailed,
)
from longshore.client.handles import Handle, JobHandle, LaunchHandle, TaskHandle, result_of
from longshore.client.kinds import shown
from longshore.client.paging import Page, Pages
from longshore.client.requests import call, job, launch, task
from longshore.client.values import from_struct, to_struct
from longshore.client.watching import Watch

__all__ = [
    "Aborted",
    "AlreadyExists",
    "CallError",
    "Client",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Failure",
    "Handle",
    "InvalidArgument",
    "InvalidValue",
    "JobHandle",
    "LaunchHandle",
    "LongshoreError",
    "NotFound",
    "OutOfRange",
    "Page",
    "Pages",
    "PermissionDenied",
    "ResourceExhausted",
    "TaskHandle",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Violation",
    "Watch",
    "WorkCanceled",
    "WorkError",
    "WorkFailed",
    "call",
    "from_struct",
    "job",
    "launch",
    "result_of",
    "shown",
    "task",
    "to_struct",
]
