"""Tasks, jobs and launches through the client, and what they hang on, at a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from longshore.client import (
    AlreadyExists,
    Client,
    FailedPrecondition,
    Handle,
    InvalidArgument,
    JobHandle,
    LaunchHandle,
    NotFound,
    TaskHandle,
    Watch,
    WorkCanceled,
    WorkFailed,
    call,
    result_of,
    shown,
    to_struct,
)
from longshore.testing import Longshore, running
from longshore.v1.catalog_service_pb2 import (
    Contract,
    ContractAction,
    Schedule,
    WorkflowTemplate,
)
from longshore.v1.job_service_pb2 import JobSpec
from longshore.v1.launch_service_pb2 import (
    DIRECTION_BOTTOM,
    DIRECTION_TOP,
)
from longshore.v1.operation_pb2 import SERVICE_KIND_OPERATION, SERVICE_KIND_RULESET
from longshore.worker import Context, PermanentError, Worker
from tests.tools.proxy import Proxy

LATER = timedelta(hours=1)

worker = Worker("kinds", slots=20)
leads: dict[str, asyncio.Semaphore] = {}


@worker.action
async def step(name: str, times: int, context: Context) -> dict[str, int]:
    """Say how far it is whenever the test lets it; fail when it is told -1 times."""
    if times < 0:
        raise PermanentError(f"{name} cannot be done {times} times")
    for done in range(times):
        await leads[name].acquire()
        context.log(f"step {done}")
    return {"steps": times}


worker.operation("walk")(step)
worker.ruleset("rules")(step)

CONTRACT = Contract(
    name="orders",
    actions=[
        ContractAction(
            name="ship",
            variables=to_struct({"times": 0}),
            template=WorkflowTemplate(
                name="steps", actions=[call("step", paths={"name": "name", "times": "times"})]
            ),
        )
    ],
)


def lead(name: str, steps: int = 0) -> asyncio.Semaphore:
    """Return what lets the operation of this name go on."""
    leads[name] = asyncio.Semaphore(steps)
    return leads[name]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def longshore() -> AsyncIterator[Longshore]:
    async with running() as longshore:
        await longshore.work(worker)
        await longshore.client.catalog.apply_contract(CONTRACT)
        yield longshore


@pytest.fixture
def client(longshore: Longshore) -> Client:
    return longshore.client


@dataclass(frozen=True)
class Kind:
    """How a kind is asked for `times` steps under a name."""

    name: str
    handle: type[Handle[Any, Any]]
    room: Callable[[Client], Any]
    words: tuple[str, ...]

    async def submit(self, client: Client, name: str, times: int, **options: Any) -> Any:
        wanted = {"name": name, "times": times}
        return await self.room(client).submit(*self.words, wanted, **options)

    def run(self, client: Client, name: str, times: int) -> Watch[Any]:
        watch: Watch[Any] = self.room(client).run(*self.words, {"name": name, "times": times})
        return watch


KINDS = (
    Kind("task", TaskHandle, lambda client: client.tasks, ("step",)),
    Kind("job", JobHandle, lambda client: client.jobs, ("orders", "ship")),
    Kind("launch", LaunchHandle, lambda client: client.launches, ("walk",)),
)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


async def test_work_of_any_kind_is_submitted_and_its_result_awaited(
    kind: Kind, client: Client
) -> None:
    lead("simple", 1)
    handle = await kind.submit(client, "simple", 1, labels={"a": "b"}, priority=4)
    assert (type(handle), handle.created) == (kind.handle, True)
    assert (await handle.result())["steps"] == 1
    assert (handle.state, handle.ended, handle.error) == ("SUCCEEDED", True, None)
    assert dict(handle.message.metadata.labels) == {"a": "b"}
    assert handle.message.options.priority == 4
    assert (await kind.room(client).get(str(handle.number))).id == handle.id
    found = await client.operations.get(handle.id)
    assert type(found) is kind.handle
    assert found.message == handle.message


async def test_a_repeated_request_id_finds_what_was_submitted_before(
    kind: Kind, client: Client
) -> None:
    key = f"{kind.name}-once"
    first = await kind.submit(client, "once", 0, request_id=key)
    again = await kind.submit(client, "once", 0, request_id=key)
    assert (again.id, again.created) == (first.id, False)
    with pytest.raises(AlreadyExists) as refused:
        await kind.submit(client, "twice", 0, request_id=key)
    assert refused.value.reason == "REQUEST_ID_REUSED"


async def test_failed_work_of_any_kind_raises_why(kind: Kind, client: Client) -> None:
    handle = await kind.submit(client, "impossible", -1)
    with pytest.raises(WorkFailed, match=rf"{kind.name} \d+ failed: .*-1 times") as failed:
        await handle.result()
    assert failed.value.reason == "ACTION_FAILED"
    assert failed.value.operation.metadata.id == handle.id
    again = await handle.resubmit()
    assert (type(again), again.id != handle.id, again.created) == (kind.handle, True, True)


async def test_what_waits_is_held_let_go_and_canceled(kind: Kind, client: Client) -> None:
    room = kind.room(client)
    handle = await kind.submit(client, "held", 0, start_time=LATER)
    await handle.suspend()
    assert handle.state == "SUSPENDED"
    assert (await room.resume(handle.id)).state == "QUEUED"
    assert (await room.suspend(handle.id)).state == "SUSPENDED"
    await handle.resume()
    reasons = (await client.operations.explain(handle.id)).reasons
    assert "starts" in reasons[0].message
    assert (await room.cancel(handle.id, "not needed")).state == "CANCELED"
    with pytest.raises(WorkCanceled, match=f"{kind.name} .* was canceled: not needed"):
        await handle.result()
    with pytest.raises(FailedPrecondition):
        await handle.cancel()
    assert (await room.resubmit(handle.id)).id != handle.id


async def test_a_run_tells_everything_to_the_result(kind: Kind, client: Client) -> None:
    lead("run", 2)
    changes = [change async for change in kind.run(client, "run", 2)]
    first, last = shown(changes[0]), shown(changes[-1])
    assert first is not None
    assert last is not None
    assert result_of(last)["steps"] == 2
    history = client.operations.history(first.metadata.id)
    known = [event.revision async for event in history if not event.HasField("log")]
    told = [change.event.revision for change in changes[1:]]
    assert known[-len(told) :] == told


async def test_watches_of_any_kind_go_on_after_every_cut(
    kind: Kind, longshore: Longshore
) -> None:
    go_on = lead("cut")
    async with Proxy(longshore.address) as proxy, Client(proxy.address) as client:
        handle = await kind.submit(client, "cut", 4)
        watch = kind.room(client).watch(handle.id, after_revision=0, include_logs=True)
        seen: list[int] = []
        go_on.release()
        async for change in watch:
            seen.append(change.event.revision)
            if change.event.HasField("log"):
                go_on.release()
            proxy.cut()
        history = client.operations.history(handle.id)
        assert seen == [event.revision async for event in history]
        assert (await handle.result())["steps"] == 4


async def test_lists_of_any_kind_are_paged_and_watched_without_a_seam(
    kind: Kind, client: Client
) -> None:
    labels = {"list": kind.name}
    made = [
        await kind.submit(client, "listed", 0, labels=labels, start_time=LATER)
        for _ in range(3)
    ]
    room = kind.room(client)
    listed = room.list(
        f"labels.list = {kind.name}", order_by="number", page_size=2, with_total=True
    )
    pages = [page async for page in listed.pages()]
    assert [one.id for page in pages for one in page.items] == [one.id for one in made]
    assert {page.total_size for page in pages} == {3}
    await made[0].cancel()
    watch = room.watch(filter=f"labels.list = {kind.name}", after_revision=pages[0].revision)
    change = shown(await anext(watch))
    assert change is not None
    assert change.metadata.id == made[0].id


async def test_one_watch_tells_of_all_kinds(client: Client) -> None:
    labels = {"any": "kind"}
    made = {
        (await kind.submit(client, "any", 0, labels=labels)).id: kind.name for kind in KINDS
    }
    ended: dict[str, str] = {}
    async for change in client.operations.watch(*made, after_revision=0):
        if operation := shown(change):
            ended[operation.metadata.id] = operation.DESCRIPTOR.name.lower()
    assert ended == made


async def test_an_external_id_finds_the_job_of_the_first_submit(client: Client) -> None:
    first = await client.jobs.submit("orders", "ship", {"name": "a"}, external_id="x-1")
    again = await client.jobs.submit("orders", "ship", {"name": "b"}, external_id="x-1")
    assert (first.created, again.created) == (True, False)
    assert again.id == first.id
    assert again.message.spec.external_id == "x-1"


async def test_a_job_tells_its_workflow_and_hands_attributes_on(client: Client) -> None:
    handle = await client.jobs.submit(
        "orders", "ship", {"name": "flow"}, user_attributes={"who": "ada"}
    )
    job = handle.message
    assert (job.workflow.template_name, job.workflow.template_revision) == ("steps", 1)
    assert dict(job.dataflow.user_attributes) == {"who": "ada"}
    assert (await handle.result())["steps"] == 0
    again = await handle.resubmit()
    assert again.message.dataflow.dfiid == job.dataflow.dfiid


async def test_a_job_is_moved_to_another_queue(client: Client) -> None:
    await client.queues.update("nightly")
    handle = await client.jobs.submit("orders", "ship", {"name": "a"}, start_time=LATER)
    assert (await client.jobs.move(handle.id, "nightly")).message.options.queue == "nightly"
    with pytest.raises(NotFound) as unknown:
        await client.jobs.move(handle.id, "nowhere")
    assert unknown.value.reason == "QUEUE_NOT_FOUND"


async def test_launches_wait_in_one_queue_that_is_ordered(client: Client) -> None:
    go_on = lead("first")
    running_ = await client.launches.submit("rules", {"name": "first", "times": 1})
    while (await running_.status()).state != 3:
        await asyncio.sleep(0.01)
    for name in "abc":
        lead(name)
    waiting = [
        await client.launches.submit("rules", {"name": name, "times": 0}) for name in "abc"
    ]
    a, b, c = (one.id for one in waiting)

    async def queued() -> list[str]:
        return [one.id async for one in client.launches.queue(SERVICE_KIND_RULESET)]

    assert await queued() == [running_.id, a, b, c]
    moved = await client.launches.move(DIRECTION_TOP, c)
    assert [one.id for one in moved] == [c]
    assert await queued() == [running_.id, c, a, b]
    await client.launches.move(DIRECTION_BOTTOM, c, a)
    assert await queued() == [running_.id, b, c, a]
    with pytest.raises(FailedPrecondition):
        await client.launches.move(DIRECTION_TOP, running_.id)
    go_on.release()
    for one in waiting:
        assert await one.result() == {"steps": 0}


async def test_services_are_found_by_kind_and_slug(client: Client) -> None:
    rulesets = await client.catalog.services(SERVICE_KIND_RULESET)
    assert [service.slug for service in rulesets] == ["rules"]
    assert (await client.catalog.service("walk")).kind == SERVICE_KIND_OPERATION
    with pytest.raises(NotFound) as unknown:
        await client.catalog.service("nothing")
    assert unknown.value.reason == "SERVICE_NOT_FOUND"


async def test_a_contract_is_applied_shown_listed_and_deleted(client: Client) -> None:
    made = await client.catalog.apply_contract(
        Contract(name="second", actions=list(CONTRACT.actions))
    )
    assert await client.catalog.contract("second") == made
    names = [one.name async for one in client.catalog.contracts(page_size=1)]
    assert names == ["orders", "second"]
    await client.catalog.delete_contract("second")
    for refused in (
        client.catalog.contract("second"),
        client.catalog.delete_contract("second"),
        client.jobs.submit("second", "ship"),
    ):
        with pytest.raises(NotFound) as unknown:
            await refused
        assert unknown.value.reason == "CONTRACT_NOT_FOUND"
    with pytest.raises(InvalidArgument) as wrong:
        await client.catalog.apply_contract(Contract(name="empty"))
    assert [fault.field for fault in wrong.value.violations] == ["contract.actions"]


async def test_a_schedule_is_applied_shown_listed_and_deleted(client: Client) -> None:
    spec = JobSpec(contract="orders", action="ship", variables=to_struct({"name": "a"}))
    made = await client.catalog.apply_schedule(
        Schedule(name="weekly", cron="0 4 * * 1", time_zone="Europe/Paris", job=spec)
    )
    assert made.HasField("next_time")
    assert await client.catalog.schedule("weekly") == made
    assert [one.name async for one in client.catalog.schedules()] == ["weekly"]
    await client.catalog.delete_schedule("weekly")
    with pytest.raises(NotFound) as unknown:
        await client.catalog.schedule("weekly")
    assert unknown.value.reason == "SCHEDULE_NOT_FOUND"


async def test_accounts_are_registered_named_by_tasks_and_deregistered(client: Client) -> None:
    made = await client.catalog.register_account("kinds", "ada")
    assert (made.service, made.username) == ("kinds", "ada")
    with pytest.raises(AlreadyExists) as twice:
        await client.catalog.register_account("kinds", "ada")
    assert twice.value.reason == "ACCOUNT_EXISTS"
    assert [one.username async for one in client.catalog.accounts()] == ["ada"]
    handle = await client.tasks.submit(
        "step", {"name": "a", "times": 0}, service="kinds", account="ada"
    )
    assert handle.message.spec.account == "ada"
    await client.catalog.deregister_account("kinds", "ada")
    with pytest.raises(NotFound) as unknown:
        await client.catalog.deregister_account("kinds", "ada")
    assert unknown.value.reason == "ACCOUNT_NOT_FOUND"


async def test_a_queue_is_paused_resumed_and_limited(client: Client) -> None:
    assert (await client.queues.pause("default")).paused
    handle = await client.tasks.submit("step", {"name": "a", "times": 0})
    (reason, *_) = (await client.operations.explain(handle.id)).reasons
    assert "paused" in reason.message
    queue = await client.queues.update("default", concurrency_limit=3)
    assert (queue.paused, queue.concurrency_limit) == (True, 3)
    assert (await client.queues.resume("default")).concurrency_limit == 3
    assert await handle.result() == {"steps": 0}
    assert (await client.queues.limit("default", 0)).concurrency_limit == 0
    assert "default" in [one.name async for one in client.queues.list(page_size=1)]


async def test_a_server_tells_who_is_asking(client: Client) -> None:
    assert (await client.server.caller()).principal == "anonymous"
