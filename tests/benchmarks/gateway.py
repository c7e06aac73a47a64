"""Canonical JSON: posts of a task through the gateway, against a bare Starlette echo."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from google.protobuf.json_format import MessageToJson

from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.http_load import posts
from tests.benchmarks.messages import publish, submit_request
from tests.benchmarks.processes import http_server
from tests.benchmarks.submit import Side, compare

_WIDTH: Final = 64
_PATH: Final = "/v1/tasks"
_TARGET: Final = Target(sign="≥", bound=0.5, of_ratio=True)


async def measure(bench: Bench) -> list[Figure]:
    """Each of three programs has a process of its own: the load, HTTP, and the server."""
    body = MessageToJson(submit_request(), indent=None).encode()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(bench.server("gateway"))
        await publish(await stack.enter_async_context(connected(server.address)))
        echo = await stack.enter_async_context(http_server("echo"))
        gateway = await stack.enter_async_context(http_server(server.address))
        echoed = await stack.enter_async_context(posts(echo.address, _PATH, body, _WIDTH))
        posted = await stack.enter_async_context(posts(gateway.address, _PATH, body, _WIDTH))
        return await compare(
            bench,
            Side("bare Starlette echo", echo, echoed.once),
            Side("post of a task", gateway, posted.once),
            _TARGET,
        )
