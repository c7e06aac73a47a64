"""Canonical JSON: posts of a task through the gateway, against a bare Starlette echo."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from google.protobuf.json_format import MessageToJson

from longshore.v1.task_service_pb2_grpc import TaskServiceStub
from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.http_load import posts
from tests.benchmarks.messages import publish, submit_request
from tests.benchmarks.processes import http_echo, longshore_gateway
from tests.benchmarks.submit import Side, compare

_WIDTH: Final = 64
_PATH: Final = "/v1/tasks"
_TARGET: Final = Target(sign="≥", bound=0.5, of_ratio=True)


async def measure(bench: Bench) -> list[Figure]:
    """Load, HTTP and server have a process each; what gRPC alone takes is shown beside."""
    request = submit_request()
    body = MessageToJson(request, indent=None).encode()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(bench.server("gateway"))
        channel = await stack.enter_async_context(connected(server.address))
        await publish(channel)
        echo = await stack.enter_async_context(http_echo())
        gateway = await stack.enter_async_context(longshore_gateway(server.address))
        echoed = await stack.enter_async_context(posts(echo.address, _PATH, body, _WIDTH))
        posted = await stack.enter_async_context(posts(gateway.address, _PATH, body, _WIDTH))
        stub = TaskServiceStub(channel)
        figures = await compare(
            bench,
            Side("bare Starlette echo", echo, echoed.once),
            Side("post of a task", gateway, posted.once),
            _TARGET,
        )
        return figures + await compare(
            bench,
            Side("the same over gRPC", server, lambda: stub.SubmitTask(request)),
            Side("post of a task, beside gRPC", gateway, posted.once),
        )
