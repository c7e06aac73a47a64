"""Roles: who may make which call. One table for everything that is served.

A method needs one of the roles that stand beside it; the first is the one that a refused
caller is told. `STRANGERS` may make a call without showing who they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from longshore.core.errors import RoleMissing
from longshore.core.principals import Principal, Role

Needed: TypeAlias = tuple[Role, ...]

STRANGERS: Final[Needed] = ()
_ANYBODY: Final[Needed] = tuple(Role)  #: Who is known at all.
_VIEWER: Final[Needed] = (Role.VIEWER,)
_SUBMITTER: Final[Needed] = (Role.SUBMITTER,)
_WORKER: Final[Needed] = (Role.WORKER,)
_OPERATOR: Final[Needed] = (Role.OPERATOR,)
_ADMIN: Final[Needed] = (Role.ADMIN,)

_SERVICES: Final[Mapping[str, Mapping[str, Needed]]] = {
    "longshore.v1.TaskService": {
        "SubmitTask": _SUBMITTER,
        "RunTask": _SUBMITTER,
        "BatchSubmitTasks": _SUBMITTER,
        "GetTask": _VIEWER,
        "BatchGetTasks": _VIEWER,
        "ListTasks": _VIEWER,
        "WatchTasks": _VIEWER,
        "CancelTask": _SUBMITTER,
        "SuspendTask": _SUBMITTER,
        "ResumeTask": _SUBMITTER,
        "ResubmitTask": _SUBMITTER,
        "FetchTaskResult": _VIEWER,
        "AcknowledgeResults": _SUBMITTER,
        "StreamResults": _SUBMITTER,
    },
    "longshore.v1.JobService": {
        "SubmitJob": _SUBMITTER,
        "RunJob": _SUBMITTER,
        "GetJob": _VIEWER,
        "ListJobs": _VIEWER,
        "WatchJobs": _VIEWER,
        "CancelJob": _SUBMITTER,
        "SuspendJob": _SUBMITTER,
        "ResumeJob": _SUBMITTER,
        "ResubmitJob": _SUBMITTER,
        "MoveJob": _SUBMITTER,
    },
    "longshore.v1.LaunchService": {
        "SubmitLaunch": _SUBMITTER,
        "RunLaunch": _SUBMITTER,
        "GetLaunch": _VIEWER,
        "ListLaunches": _VIEWER,
        "WatchLaunches": _VIEWER,
        "CancelLaunch": _SUBMITTER,
        "SuspendLaunch": _SUBMITTER,
        "ResumeLaunch": _SUBMITTER,
        "ResubmitLaunch": _SUBMITTER,
        "GetLaunchQueue": _VIEWER,
        "MoveLaunches": _OPERATOR,
        "DownloadLaunchFiles": _VIEWER,
    },
    "longshore.v1.OperationService": {
        "GetOperation": _VIEWER,
        "GetHistory": _VIEWER,
        "WatchOperations": _VIEWER,
        "ExplainOperation": _VIEWER,
    },
    "longshore.v1.CatalogService": {
        "ListServices": _VIEWER,
        "GetService": _VIEWER,
        "ApplyContract": _ADMIN,
        "GetContract": _VIEWER,
        "ListContracts": _VIEWER,
        "DeleteContract": _ADMIN,
        "ApplySchedule": _OPERATOR,
        "GetSchedule": _VIEWER,
        "ListSchedules": _VIEWER,
        "DeleteSchedule": _OPERATOR,
        "RegisterAccount": _SUBMITTER,
        "DeregisterAccount": _SUBMITTER,
        "ListAccounts": _VIEWER,
    },
    "longshore.v1.FileService": {
        "UploadFile": (Role.SUBMITTER, Role.WORKER),  # `uploads` looks at whose file it is.
        "DownloadFile": (Role.VIEWER, Role.WORKER),
        "GetFile": (Role.VIEWER, Role.WORKER),
        "DeleteFile": _SUBMITTER,
    },
    "longshore.v1.QueueService": {
        "ListQueues": _VIEWER,
        "UpdateQueue": _OPERATOR,
    },
    "longshore.v1.WorkerService": {
        "Work": _WORKER,
        "ListWorkers": _VIEWER,
    },
    "longshore.v1.ServerService": {
        "GetStatus": _VIEWER,
        "SetMode": _OPERATOR,
        "GetCaller": _ANYBODY,
    },
    "google.longrunning.Operations": {
        "GetOperation": _VIEWER,
        "ListOperations": _VIEWER,
        "WaitOperation": _VIEWER,
        "CancelOperation": _SUBMITTER,
        "DeleteOperation": _SUBMITTER,
    },
    "grpc.health.v1.Health": {
        "Check": STRANGERS,
        "Watch": STRANGERS,
    },
    "grpc.reflection.v1.ServerReflection": {
        "ServerReflectionInfo": _ANYBODY,
    },
    "grpc.reflection.v1alpha.ServerReflection": {
        "ServerReflectionInfo": _ANYBODY,
    },
}

#: By path, as calls name it.
NEEDED: Final[Mapping[str, Needed]] = MappingProxyType(
    {
        f"/{service}/{method}": needed
        for service, methods in _SERVICES.items()
        for method, needed in methods.items()
    }
)

#: What a server may be told to open to strangers.
REFLECTION: Final = frozenset(path for path in NEEDED if path.startswith("/grpc.reflection."))

#: Calls that wait for something, and so count as streams.
LASTING: Final = frozenset({"/google.longrunning.Operations/WaitOperation"})


def require_one(principal: Principal, needed: Needed) -> None:
    """Raise `RoleMissing` unless the principal has one of the roles."""
    if principal.roles.isdisjoint(needed):
        raise RoleMissing(needed[0])
