"""Canonical JSON: posts of a task over HTTP, against a bare Starlette echo."""

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
    """The server speaks HTTP itself, or a gateway in a process of its own does for it.

    What gRPC alone takes is shown beside. The echo is on the same uvicorn, with nothing around.
    """
    request = submit_request()
    body = MessageToJson(request, indent=None).encode()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        server = await enter(bench.server("gateway", "--http", "127.0.0.1:0"))
        channel = await enter(connected(server.address))
        await publish(channel)
        echo = await enter(http_echo())
        gateway = await enter(longshore_gateway(server.address))
        echoed, posted, passed = [
            await enter(posts(url, _PATH, body, _WIDTH))
            for url in (echo.address, server.url, gateway.address)
        ]
        stub = TaskServiceStub(channel)
        figures = await compare(
            bench,
            Side("bare Starlette echo", echo, echoed.once),
            Side("post of a task", server, posted.once),
            _TARGET,
        )
        figures += await compare(
            bench,
            Side("bare Starlette echo", echo, echoed.once),
            Side("post of a task to a gateway of its own", gateway, passed.once),
        )
        return figures + await compare(
            bench,
            Side("the same over gRPC", server, lambda: stub.SubmitTask(request)),
            Side("post of a task, beside gRPC", server, posted.once),
        )
