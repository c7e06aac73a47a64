"""Unary submits, 64 in flight, against a bare echo under the same load."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import uuid_utils

from longshore.v1.task_service_pb2_grpc import TaskServiceStub
from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.load import in_flight
from tests.benchmarks.messages import publish, submit_request
from tests.benchmarks.processes import Running, echo_server
from tests.benchmarks.samples import Sample

_WIDTH: Final = 64

Submit = Callable[[TaskServiceStub], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two servers, and the processor time that a call cost it in each round."""

    server: Running
    stub: TaskServiceStub
    microseconds: list[float] = field(default_factory=list[float])

    async def rate(self, submit: Submit, calls: int) -> float:
        """Return calls per second."""
        before = self.server.cpu_seconds()
        spent = await in_flight(partial(submit, self.stub), calls, _WIDTH)
        self.microseconds.append((self.server.cpu_seconds() - before) / calls * 1e6)
        return spent.rate


async def measure(bench: Bench) -> list[Figure]:
    async with (
        bench.server("submit") as server,
        connected(server.address) as channel,
    ):
        await publish(channel)
        stub = TaskServiceStub(channel)
        answer = await stub.SubmitTask(submit_request())
        async with (
            echo_server(answer.SerializeToString()) as echo,
            connected(echo.address) as bare,
        ):
            bare_stub = TaskServiceStub(bare)
            figures: list[Figure] = []
            for name, submit in (("submit", _plain()), ("submit with request_id", _keyed)):
                ours, theirs = Side(server, stub), Side(echo, bare_stub)
                figures += await _compare(bench, name, submit, ours, theirs)
    return figures


def _plain() -> Submit:
    request = submit_request()
    return lambda stub: stub.SubmitTask(request)


def _keyed(stub: TaskServiceStub) -> Awaitable[object]:
    request = submit_request()
    request.request_id = str(uuid_utils.uuid7())  # as our client does
    return stub.SubmitTask(request)


async def _compare(
    bench: Bench, name: str, submit: Submit, ours: Side, theirs: Side
) -> list[Figure]:
    calls = bench.size(6_000, 300)
    echoes, submits = await bench.interleaved(
        partial(theirs.rate, submit, calls), partial(ours.rate, submit, calls), rounds=5
    )
    return [
        Figure(
            name=f"{name}, {_WIDTH} in flight",
            unit="calls/s",
            value=Sample.of(submits),
            baseline=Sample.of(echoes),
            baseline_name="echo",
            ratio=Sample.ratio(submits, echoes),
            target=Target(sign="≥", bound=0.6, of_ratio=True),
        ),
        Figure(
            name=f"{name}: processor time in the server",
            unit="µs/call",
            value=Sample.of(ours.microseconds[1:]),
            baseline=Sample.of(theirs.microseconds[1:]),
            baseline_name="echo",
            ratio=Sample.ratio(ours.microseconds[1:], theirs.microseconds[1:]),
        ),
    ]
