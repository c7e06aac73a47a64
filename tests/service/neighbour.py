"""A neighbour: a tenant that does all that can be done, every word of it marked.

What it makes is named by marks that others may guess (`names`), and says others that nobody
outside may ever read.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from google.protobuf.message import Message

from longshore.v1 import catalog_service_pb2 as catalog
from longshore.v1 import job_service_pb2 as jobs
from longshore.v1 import launch_service_pb2 as launches
from longshore.v1 import operation_pb2 as pb
from longshore.v1 import task_service_pb2 as tasks
from longshore.v1.file_service_pb2 import DownloadFileRequest, GetFileRequest
from longshore.v1.queue_service_pb2 import ListQueuesRequest, UpdateQueueRequest
from longshore.v1.worker_service_pb2 import ListWorkersRequest, WorkAssignment
from tests.service.harness import (
    PATIENCE_SECONDS,
    Stevedore,
    World,
    call,
    options,
    parameter,
    save,
    stevedore,
    struct,
    submission,
    upload,
)

#: Marks, and the ids that the server gives.
MARK: Final = re.compile(
    rb"nm[0-9a-f]{8}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)
_numbers = itertools.count()

#: What every tenant's workers offer, under names that are no secret.
COMMON: Final = [
    catalog.Service(
        slug="archive",
        actions=[
            catalog.ServiceAction(slug="noop", parameters=[parameter("path", optional=True)])
        ],
    ),
    catalog.Service(
        slug="clean",
        kind=pb.SERVICE_KIND_RULESET,
        actions=[
            catalog.ServiceAction(slug="run", parameters=[parameter("path", optional=True)])
        ],
    ),
]


def mark() -> str:
    """Return a word that nobody has said before."""
    return f"nm{next(_numbers):08x}"


def marks_in(data: bytes) -> set[bytes]:
    return set(MARK.findall(data))


class Neighbour:
    """Lives in a tenant of its own; `names` and `numbers` are what it is known by."""

    def __init__(self, world: World, worker: Stevedore) -> None:
        self.world = world
        self.worker = worker
        self.names: list[str] = ["archive", "clean", worker.welcome.session_id]
        self.numbers: list[int] = [0, 1]
        self.made: set[bytes] = set()  #: Marks that belong to it.
        self._files: list[str] = []
        self.leases: list[WorkAssignment] = []  #: That its worker has ever had.
        self._waiting = 0  #: Operations that nobody has done.
        self._begun: WorkAssignment | None = None  #: That its worker has now.

    def name(self) -> str:
        """Return a mark by which something can be named."""
        self.names.append(self.secret())
        return self.names[-1]

    def secret(self) -> str:
        made = mark()
        self.made.add(made.encode())
        return made

    def _note(self, metadata: pb.Metadata, revision: int) -> None:
        """Note what an operation can be asked for by."""
        self.made.add(metadata.id.encode())
        self.names += [metadata.id, f"operations/{metadata.id}", str(metadata.number)]
        self.names.append(f"id={metadata.id}")
        self.numbers += [metadata.number, revision]
        self._waiting += 1

    async def submit_task(self, **more: Any) -> None:
        plan = call("noop", {"path": self.secret()}, results=["sum"])
        request = submission(
            plan,
            name=self.name(),
            service="archive",
            context=struct({"secret": self.secret()}),
            request_id=self.name(),
            options=self._options(**more),
        )
        task = (await self.world.tasks.SubmitTask(request)).task
        self._note(task.metadata, task.status.revision)

    def _options(self, **more: Any) -> pb.Options:
        called = pb.Callback(url=f"http://quay.example/{self.secret()}")
        labels = {"tier": self.secret(), self.secret(): "x"}
        return options(
            labels=labels,
            concurrency_key=self.name(),
            concurrency_limit=5,
            fairness_key=self.name(),
            callback=called,
            **more,
        )

    async def hand_over(self) -> None:
        """Let a result go into the channel."""
        await self.submit_task(delivery=pb.DELIVERY_MODE_CHANNEL)
        await self.work()

    async def keep(self) -> None:
        """Let a result be kept until it is fetched."""
        await self.submit_task(delivery=pb.DELIVERY_MODE_STORE)
        await self.work()

    async def submit_job(self) -> None:
        await self.agree()
        spec = jobs.JobSpec(
            contract=self.names[-2],
            action=self.names[-1],
            external_id=self.name(),
            variables=struct({"secret": self.secret()}),
            user_attributes={"who": self.secret()},
        )
        job = (await self.world.jobs.SubmitJob(jobs.SubmitJobRequest(spec=spec))).job
        self._note(job.metadata, job.status.revision)

    async def agree(self) -> None:
        """Make a contract; its name and its action's are the last two names."""
        name, action = self.name(), self.name()
        plan = call("noop", {"path": self.secret()})
        template = catalog.WorkflowTemplate(
            name=self.secret(), description=self.secret(), actions=[plan]
        )
        contract = catalog.Contract(
            name=name,
            actor=self.secret(),
            actions=[catalog.ContractAction(name=action, template=template)],
        )
        await self.world.catalog.ApplyContract(catalog.ApplyContractRequest(contract=contract))

    async def launch(self) -> None:
        spec = launches.LaunchSpec(service="clean", arguments=struct({"path": self.secret()}))
        request = launches.SubmitLaunchRequest(
            spec=spec, options=options(labels={"tier": self.secret()}), request_id=self.name()
        )
        launch = (await self.world.launches.SubmitLaunch(request)).launch
        self._note(launch.metadata, launch.status.revision)

    async def plan(self) -> None:
        spec = submission(call("noop", {"path": self.secret()}), service="archive").spec
        schedule = catalog.Schedule(name=self.name(), cron="0 0 1 1 *", task=spec)
        await self.world.catalog.ApplySchedule(catalog.ApplyScheduleRequest(schedule=schedule))

    async def register(self) -> None:
        request = catalog.RegisterAccountRequest(service="archive", username=self.name())
        await self.world.catalog.RegisterAccount(request)

    async def queue(self) -> None:
        request = UpdateQueueRequest(name=self.name(), paused=True)
        await self.world.queues.UpdateQueue(request)

    async def bring(self) -> None:
        """Upload a file."""
        content = self.secret().encode()
        file = await upload(self.world, content, path=self.secret(), tenant="north")
        self._files.append(file.file_id)
        self.made.add(file.file_id.encode())
        self.names += [file.file_id, f"files/{file.file_id}"]

    async def publish(self) -> None:
        """Let another worker offer something and leave."""
        action = catalog.ServiceAction(slug=self.name(), description=self.secret())
        service = catalog.Service(slug=self.name(), name=self.secret(), actions=[action])
        async with stevedore(
            self.world, [service], queues=[self.name()], name=self.name(), tenant="north"
        ) as worker:
            self.names.append(worker.welcome.session_id)

    async def work(self) -> None:
        """Do something that waits, if there is any, and say a lot about it."""
        assignment = await self.begun()
        if assignment is None:
            return
        self._waiting -= 1
        self._begun = None
        saying = self.worker.report
        await saying(assignment, log={"message": self.secret()})
        await saying(assignment, progress={"done": 1, "message": self.secret()})
        await saying(assignment, property={"name": self.secret(), "value": self.secret()})
        if assignment.number % 2:
            content = self.secret().encode()
            await save(self.world, assignment, self.secret(), content, tenant="north")
        if assignment.number % 3:
            await self.worker.complete(assignment, sum=self.secret())
        else:
            await self.worker.fail(assignment, self.secret())

    async def begun(self) -> WorkAssignment | None:
        """Return what the worker has to do, if there is anything."""
        if self._waiting and self._begun is None:
            self._begun = await self.worker.assigned()
            self.leases.append(self._begun)
            self.numbers += [self._begun.number, self._begun.lease_token]
        return self._begun

    async def ask_for_pages(self) -> None:
        """Note the tokens of next pages."""
        for ask, request in (
            (self.world.tasks.ListTasks, tasks.ListTasksRequest(page_size=1)),
            (self.world.jobs.ListJobs, jobs.ListJobsRequest(page_size=1)),
            (self.world.catalog.ListContracts, catalog.ListContractsRequest(page_size=1)),
            (self.world.catalog.ListSchedules, catalog.ListSchedulesRequest(page_size=1)),
            (self.world.catalog.ListAccounts, catalog.ListAccountsRequest(page_size=1)),
            (self.world.queues.ListQueues, ListQueuesRequest(page_size=1)),
        ):
            answer = await ask(request)
            if answer.next_page_token:
                self.names.append(answer.next_page_token)

    async def seen(self) -> list[bytes]:
        """Return all that the neighbour sees of what it has, as it is now."""
        world = self.world
        answers: list[Message] = [
            await world.catalog.ListServices(catalog.ListServicesRequest()),
            await world.catalog.ListContracts(catalog.ListContractsRequest()),
            await world.catalog.ListSchedules(catalog.ListSchedulesRequest()),
            await world.catalog.ListAccounts(catalog.ListAccountsRequest()),
            await world.queues.ListQueues(ListQueuesRequest()),
            *[await world.files.GetFile(GetFileRequest(file_id=one)) for one in self._files],
        ]
        workers = (await world.workers.ListWorkers(ListWorkersRequest())).workers
        answers += [pb.Metadata(id=one.name, number=one.slots) for one in workers]
        for request, ask in (
            (tasks.ListTasksRequest(page_size=1_000, view=pb.VIEW_FULL), world.tasks.ListTasks),
            (jobs.ListJobsRequest(page_size=1_000, view=pb.VIEW_FULL), world.jobs.ListJobs),
            (
                launches.ListLaunchesRequest(page_size=1_000, view=pb.VIEW_FULL),
                world.launches.ListLaunches,
            ),
        ):
            answer = await ask(request)
            answer.ClearField("revision")  # Of everybody's.
            answers.append(answer)
        contents = [await self._content(one) for one in self._files]
        return [one.SerializeToString(deterministic=True) for one in answers] + contents

    async def _content(self, file_id: str) -> bytes:
        stream = self.world.files.DownloadFile(DownloadFileRequest(file_id=file_id))
        return b"".join([message.data async for message in stream])

    async def settled(self) -> None:
        """Wait until nothing goes on by itself: results have come where they go."""
        await self.begun()
        on_the_way = {pb.DELIVERY_STATE_PENDING, pb.DELIVERY_STATE_ONGOING}
        running = tasks.ListTasksRequest(filter="state=RUNNING", page_size=1_000)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any(
                one.status.delivery.state in on_the_way
                for one in (await self.world.tasks.ListTasks(running)).tasks
            ):
                await asyncio.sleep(0.01)


Deed = Callable[[Neighbour], Awaitable[None]]

DEEDS: Final[tuple[Deed, ...]] = (
    Neighbour.submit_task,
    Neighbour.hand_over,
    Neighbour.keep,
    Neighbour.submit_job,
    Neighbour.launch,
    Neighbour.plan,
    Neighbour.register,
    Neighbour.queue,
    Neighbour.bring,
    Neighbour.publish,
    Neighbour.work,
    Neighbour.ask_for_pages,
)


@asynccontextmanager
async def living(world: World) -> AsyncGenerator[Neighbour]:
    """Let a neighbour live in the tenant `north`, with a worker of its own."""
    async with stevedore(
        world, COMMON, tenant="north", queues=["default", "rulesets"]
    ) as worker:
        yield Neighbour(world, worker)
