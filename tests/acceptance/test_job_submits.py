from __future__ import annotations

import asyncio
import itertools
import random
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from longshore.client import CallError, Client, call
from longshore.v1.job_service_pb2 import Job
from tests.acceptance.checkers import check_everything
from tests.acceptance.processes import Server
from tests.acceptance.quay import contract, log_of
from tests.acceptance.waiting import eventually, within
from tests.tools.proxy import Proxy

CLIENTS = 4
CALLERS_PER_CLIENT = 3


class Key(NamedTuple):
    """What finds a job besides its id."""

    contract: str
    action: str
    external_id: str


class Answers:
    """What callers were answered, and whose answers were lost."""

    def __init__(self) -> None:
        self.asked: set[Key] = set()
        self.lost: set[Key] = set()
        self.ids: dict[Key, set[str]] = defaultdict(set)
        self.created: dict[Key, int] = defaultdict(int)

    async def ask(self, client: Client, key: Key) -> None:
        """Submit a job under a key, with variables that nobody else sends; no repeats."""
        self.asked.add(key)
        variables = {"luck": random.random()}
        try:
            handle = await client.jobs.submit(
                key.contract,
                key.action,
                variables,
                external_id=key.external_id,
                request_id="",
                allow_unregistered=True,
            )
        except CallError:
            self.lost.add(key)
            raise
        self.ids[key].add(handle.id)
        self.created[key] += handle.created


async def apply_contracts(server: Server) -> None:
    plan = [call("quick")]
    async with Client(server.address) as client:
        for name in ("imports", "exports"):
            await client.catalog.apply_contract(contract(name, load=plan, unload=plan))


async def submit_until_it_dies(client: Client, answers: Answers, round_: int) -> None:
    """Submit under one key after the other, which all callers do in the same order."""
    for number in itertools.count():
        for pair in itertools.product(("imports", "exports"), ("load", "unload")):
            try:
                await answers.ask(client, Key(*pair, f"{round_}-{number}"))
            except CallError:
                return


async def submit_again(client: Client, answers: Answers) -> None:
    """Submit under every key that was ever sent, twice at the same time."""
    keys = [*answers.asked, *answers.asked]

    async def submit() -> None:
        while keys:
            await answers.ask(client, keys.pop(random.randrange(len(keys))))

    await within(asyncio.gather(*(submit() for _ in range(20))), "all answers")


async def clients_of(stack: AsyncExitStack, server: Server) -> list[Client]:
    return [
        await stack.enter_async_context(Client(server.address, timeout=10.0))
        for _ in range(CLIENTS)
    ]


def key_of(job: Job) -> Key:
    return Key(job.spec.contract, job.spec.action, job.spec.external_id)


async def test_there_is_one_job_per_external_id_however_many_submit_it_while_the_server_dies(
    store: Path,
) -> None:
    answers = Answers()
    rng = random.Random(41)
    for round_ in range(4):
        before = len(answers.ids)
        async with Server(store) as server, AsyncExitStack() as stack:
            await apply_contracts(server)
            load = [
                asyncio.create_task(submit_until_it_dies(client, answers, round_))
                for client in await clients_of(stack, server)
                for _ in range(CALLERS_PER_CLIENT)
            ]
            await eventually(lambda: len(answers.ids) > before + 30, "answers")  # noqa: B023
            # Any moment will do: here the time is the fault, not something waited for.
            await asyncio.sleep(rng.uniform(0, 0.2))
            await server.kill()
            await within(asyncio.gather(*load), "the end of the load")
    in_doubt = set(answers.lost)
    async with Server(store) as server, Client(server.address) as client:
        await submit_again(client, answers)
        found = [one async for one in client.jobs.list(page_size=1_000)]
        check_everything(await log_of(client))
    jobs = {key_of(one.message): one.id for one in found}
    assert len(found) == len(jobs)
    assert jobs.keys() == answers.asked
    assert len(in_doubt) >= 4
    assert answers.ids == {key: {job_id} for key, job_id in jobs.items()}
    for key in answers.asked:
        assert answers.created[key] == 1 or (key in in_doubt and not answers.created[key]), key


async def test_a_job_whose_answer_was_lost_is_found_by_its_external_id(store: Path) -> None:
    answers, key = Answers(), Key("imports", "load", "the-box")
    async with (
        Server(store) as server,
        Proxy(server.address) as proxy,
        Client(proxy.address) as far,
        Client(server.address) as near,
    ):
        await apply_contracts(server)
        await far.connect()
        proxy.hold_answers()
        submitting = asyncio.create_task(answers.ask(far, key))
        async with near.jobs.watch(after_revision=0) as changes:
            submitted = (await within(anext(changes), "the job")).event
        await server.kill()
        proxy.cut()
        with pytest.raises(CallError):
            await within(submitting, "the failure of the submit")
    async with Server(store) as server, Client(server.address) as client:
        await submit_again(client, answers)
    assert answers.ids == {key: {submitted.operation_id}}
    assert answers.created[key] == 0
