"""The contract in Python's manner: asynchronous calls, handles, and watches that reconnect.

    async with Client("127.0.0.1:50051") as client:
        handle = await client.submit("digest", {"path": "/etc/hosts"})
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
    TaskCanceled,
    TaskFailed,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Violation,
    WorkError,
)
from longshore.client.handles import TaskHandle, result_of
from longshore.client.paging import Page, Pages
from longshore.client.requests import call, task
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
    "InvalidArgument",
    "InvalidValue",
    "LongshoreError",
    "NotFound",
    "OutOfRange",
    "Page",
    "Pages",
    "PermissionDenied",
    "ResourceExhausted",
    "TaskCanceled",
    "TaskFailed",
    "TaskHandle",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Violation",
    "Watch",
    "WorkError",
    "call",
    "from_struct",
    "result_of",
    "task",
    "to_struct",
]
