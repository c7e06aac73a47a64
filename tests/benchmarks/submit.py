"""Unary submits, 64 in flight: of tasks against a bare echo, and of jobs against tasks."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import grpc
import uuid_utils

from longshore.v1 import catalog_service_pb2 as catalog
from longshore.v1 import job_service_pb2 as jobs
from longshore.v1.catalog_service_pb2_grpc import CatalogServiceStub
from longshore.v1.job_service_pb2_grpc import JobServiceStub
from longshore.v1.task_service_pb2_grpc import TaskServiceStub
from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.load import Call, in_flight
from tests.benchmarks.messages import publish, submit_request
from tests.benchmarks.processes import Running, echo_server
from tests.benchmarks.samples import Sample

_WIDTH: Final = 64
_TARGET: Final = Target(sign="≥", bound=0.6, of_ratio=True)


@dataclass(frozen=True, slots=True)
class Side:
    """One of two calls, and the processor time that it cost its server in each round."""

    name: str
    server: Running
    call: Call
    microseconds: list[float] = field(default_factory=list[float])

    async def rate(self, calls: int) -> float:
        """Return calls per second."""
        before = self.server.cpu_seconds()
        spent = await in_flight(self.call, calls, _WIDTH)
        self.microseconds.append((self.server.cpu_seconds() - before) / calls * 1e6)
        return spent.rate


async def measure(bench: Bench) -> list[Figure]:
    async with (
        bench.server("submit") as server,
        connected(server.address) as channel,
    ):
        await publish(channel)
        stub, request = TaskServiceStub(channel), submit_request()
        answer = await stub.SubmitTask(request)
        async with (
            echo_server(answer.SerializeToString()) as echo,
            connected(echo.address) as bare,
        ):
            bare_stub = TaskServiceStub(bare)
            figures = await compare(
                bench,
                Side("echo", echo, lambda: bare_stub.SubmitTask(request)),
                Side("submit", server, lambda: stub.SubmitTask(request)),
                _TARGET,
            )
            figures += await compare(
                bench,
                Side("echo", echo, partial(_keyed, bare_stub)),
                Side("submit with request_id", server, partial(_keyed, stub)),
                _TARGET,
            )
        job_stub, job = JobServiceStub(channel), await _job(channel)
        return figures + await compare(
            bench,
            Side("a task", server, lambda: stub.SubmitTask(request)),
            Side("submit of a job of one action", server, lambda: job_stub.SubmitJob(job)),
        )


def _keyed(stub: TaskServiceStub) -> Awaitable[object]:
    request = submit_request()
    request.request_id = str(uuid_utils.uuid7())  # as our client does
    return stub.SubmitTask(request)


async def _job(channel: grpc.aio.Channel) -> jobs.SubmitJobRequest:
    """Apply a contract whose action does what a task does here; return the submit of a job."""
    template = catalog.WorkflowTemplate(name="benchmark", actions=submit_request().spec.actions)
    action = catalog.ContractAction(name="benchmark", template=template)
    contract = catalog.Contract(name="benchmark", actions=[action])
    request = catalog.ApplyContractRequest(contract=contract)
    await CatalogServiceStub(channel).ApplyContract(request)
    spec = jobs.JobSpec(contract=contract.name, action=action.name)
    return jobs.SubmitJobRequest(spec=spec)


async def compare(
    bench: Bench, base: Side, side: Side, target: Target | None = None
) -> list[Figure]:
    """Return calls per second and the processor time of each, of both in turn."""
    calls = bench.size(6_000, 300)
    bases, rates = await bench.interleaved(
        partial(base.rate, calls), partial(side.rate, calls), rounds=5
    )
    return [
        Figure(
            name=f"{side.name}, {_WIDTH} in flight",
            unit="calls/s",
            value=Sample.of(rates),
            baseline=Sample.of(bases),
            baseline_name=base.name,
            ratio=Sample.ratio(rates, bases),
            target=target,
        ),
        Figure(
            name=f"{side.name}: processor time in the server",
            unit="µs/call",
            value=Sample.of(side.microseconds[1:]),
            baseline=Sample.of(base.microseconds[1:]),
            baseline_name=base.name,
            ratio=Sample.ratio(side.microseconds[1:], base.microseconds[1:]),
        ),
    ]
