"""The work that is asked for: one small no-op action with three checked arguments."""

from __future__ import annotations

from typing import Final

import grpc
from google.protobuf.struct_pb2 import Struct

from longshore.v1 import catalog_service_pb2 as catalog
from longshore.v1 import operation_pb2 as operations
from longshore.v1 import task_service_pb2 as tasks
from longshore.v1 import worker_service_pb2 as work
from longshore.v1.worker_service_pb2_grpc import WorkerServiceStub

ACTION: Final = "noop"
BATCH: Final = 1_000

ARGUMENTS: Final[dict[str, str | float]] = {
    "path": "/archive/2024/box-17/scan-0042.tif",
    "size": 48_213,
    "deep": True,
}


def submit_request(action: str = ACTION, **more: float) -> tasks.SubmitTaskRequest:
    """Return a submit of one action, with further numbers among its arguments."""
    arguments = Struct()
    arguments.update(ARGUMENTS)
    arguments.update(more)
    call = operations.ActionCall(action=action, arguments=arguments)
    return tasks.SubmitTaskRequest(spec=tasks.TaskSpec(name="benchmark", actions=[call]))


def batch_request(count: int = BATCH) -> tasks.BatchSubmitTasksRequest:
    return tasks.BatchSubmitTasksRequest(requests=[submit_request()] * count)


def hello(slots: int) -> work.WorkRequest:
    """Return how a worker that offers the action introduces itself."""
    parameters = [
        catalog.Parameter(slug="path", type=catalog.PARAMETER_TYPE_STRING),
        catalog.Parameter(slug="size", type=catalog.PARAMETER_TYPE_INTEGER),
        catalog.Parameter(slug="deep", type=catalog.PARAMETER_TYPE_BOOLEAN),
    ]
    action = catalog.ServiceAction(slug=ACTION, parameters=parameters)
    service = catalog.Service(actions=[action])
    return work.WorkRequest(
        hello=work.Hello(worker="benchmark", services=[service], slots=slots)
    )


async def publish(channel: grpc.aio.Channel) -> None:
    """Make the action known, so that submits are checked against it, and leave again."""
    call = WorkerServiceStub(channel).Work()
    await call.write(hello(slots=1))
    await call.read()
    await call.write(work.WorkRequest(draining=True))
    await call.done_writing()
    while await call.read() is not grpc.aio.EOF:
        pass
