"""The contract in Python's manner: asynchronous calls, handles, and watches that reconnect.

    async with Client("127.0.0.1:50051") as client:
        handle = await client.tasks.submit("digest", {"path": "/etc/hosts"})
        print(await handle.result())

Nothing here knows how a server works: it needs the contract only.
"""

from __future__ import annotations

from longshore.client.channels import Results
from longshore.client.client import Client
from longshore.client.downloads import Reading
from longshore.client.errors import (
    Aborted,
    AlreadyExists,
    CallError,
    Damaged,
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
    RoleMissing,
    StreamTaken,
    TenantNotPermitted,
    TlsFailed,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    UnsafePath,
    Violation,
    WorkCanceled,
    WorkError,
    WorkFailed,
)
from longshore.client.fetching import Fetching
from longshore.client.handles import Handle, JobHandle, LaunchHandle, TaskHandle, result_of
from longshore.client.kinds import shown
from longshore.client.paging import Page, Pages
from longshore.client.relay import Relay, Relayed
from longshore.client.requests import call, job, launch, task
from longshore.client.results import Result
from longshore.client.tls import Tls
from longshore.client.values import from_struct, to_struct
from longshore.client.watching import Watch

__all__ = [
    "Aborted",
    "AlreadyExists",
    "CallError",
    "Client",
    "Damaged",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Failure",
    "Fetching",
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
    "Reading",
    "Relay",
    "Relayed",
    "ResourceExhausted",
    "Result",
    "Results",
    "RoleMissing",
    "StreamTaken",
    "TaskHandle",
    "TenantNotPermitted",
    "Tls",
    "TlsFailed",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "UnsafePath",
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
