from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Iterable
from pathlib import Path

import grpc.aio
import pytest

from longshore.v1.task_service_pb2 import SubmitTaskResponse
from tests.acceptance.checkers import check_everything
from tests.acceptance.office import Office, reason_of, request
from tests.acceptance.processes import Program, Server
from tests.acceptance.waiting import eventually, within
from tests.tools.proxy import Proxy

_ROOM_FOR_LITTLE = 2 * 1024 * 1024


async def submit_until_it_dies(
    office: Office, answered: dict[str, str], unanswered: set[str]
) -> None:
    """Submit one task after the other and note which were answered, until none is."""
    while True:
        request_id = str(uuid.uuid4())
        unanswered.add(request_id)
        try:
            answer = await office.ask(request("quick", request_id))
        except grpc.aio.AioRpcError:
            return
        unanswered.discard(request_id)
        answered[request_id] = answer.task.metadata.id


async def ask_again(
    office: Office, request_ids: Iterable[str]
) -> dict[str, SubmitTaskResponse]:
    """Send submits once more, a few at a time."""
    found: dict[str, SubmitTaskResponse] = {}
    left = list(request_ids)

    async def ask() -> None:
        while left:
            request_id = left.pop()
            found[request_id] = await office.ask(request("quick", request_id))

    await within(asyncio.gather(*(ask() for _ in range(50))), "all answers")
    return found


async def test_an_answered_submit_survives_kill_9_at_any_moment(store: Path) -> None:
    answered: dict[str, str] = {}
    unanswered: set[str] = set()
    rng = random.Random(20_240_611)
    for _ in range(6):
        before = len(answered)
        async with Server(store) as server, Office(server.address) as office:
            load = [
                asyncio.create_task(submit_until_it_dies(office, answered, unanswered))
                for _ in range(40)
            ]
            await eventually(lambda: len(answered) > before + 20, "some answers")  # noqa: B023
            # Any moment will do: here the time is the fault, not something waited for.
            await asyncio.sleep(rng.uniform(0, 0.25))
            await server.kill()
            await within(asyncio.gather(*load), "the end of the load")
    async with Server(store) as server, Office(server.address) as office:
        found = await ask_again(office, answered)
        assert {key: answer.task.metadata.id for key, answer in found.items()} == answered
        assert not any(answer.created for answer in found.values())
        await ask_again(office, unanswered)
        tasks = await office.all_tasks()
        check_everything(await office.history())
    assert len(answered) > 100
    assert {task.metadata.request_id for task in tasks} == answered.keys() | unanswered
    assert len(tasks) == len(answered) + len(unanswered)
    assert [task.metadata.number for task in tasks] == list(range(1, len(tasks) + 1))


async def test_a_submit_that_was_committed_but_never_answered_is_found_by_its_request_id(
    store: Path,
) -> None:
    async with (
        Server(store) as server,
        Proxy(server.address) as proxy,
        Office(proxy.address) as far,
        Office(server.address) as near,
    ):
        proxy.hold_answers()
        submitting = asyncio.create_task(far.ask(request("quick", "the-key")))
        (submitted,) = await near.history(until=bool)
        await server.kill()
        proxy.cut()
        with pytest.raises(grpc.aio.AioRpcError) as lost:
            await within(submitting, "the failure of the submit")
        assert lost.value.code() == grpc.StatusCode.UNAVAILABLE
    async with Server(store) as server, Office(server.address) as office:
        found = await office.ask(request("quick", "the-key"))
        assert found.created is False
        assert found.task.metadata.id == submitted.operation_id


async def test_simultaneous_submits_with_one_key_give_one_operation(store: Path) -> None:
    async with Server(store) as server:
        offices = [Office(server.address) for _ in range(4)]
        for office in offices:
            await office.__aenter__()
        try:
            for round_ in range(10):
                submits = [
                    office.ask(request("quick", f"key-{round_}"))
                    for office in offices
                    for _ in range(5)
                ]
                answers = await within(asyncio.gather(*submits), "the answers")
                assert len({answer.task.metadata.id for answer in answers}) == 1
                assert sum(answer.created for answer in answers) == 1
            assert len(await offices[0].all_tasks()) == 10
        finally:
            for office in offices:
                await office.channel.close()


async def test_a_key_with_another_body_is_refused(store: Path) -> None:
    async with Server(store) as server, Office(server.address) as office:
        await office.ask(request("quick", "the-key"))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await office.ask(request("hold", "the-key", gate="x"))
        assert refused.value.code() == grpc.StatusCode.ALREADY_EXISTS
        assert reason_of(refused.value) == "REQUEST_ID_REUSED"


async def submit_until_it_is_full(
    office: Office, answers: list[SubmitTaskResponse]
) -> grpc.aio.AioRpcError:
    """Submit until the server cannot write any more, and return how it says so."""
    cargo = "x" * 4_096
    while True:
        try:
            answers.append(await office.ask(request("quick", str(uuid.uuid4()), cargo=cargo)))
        except grpc.aio.AioRpcError as error:
            return error


async def test_a_full_disk_ends_the_server_and_loses_nothing_that_was_answered(
    store: Path,
) -> None:
    answers: list[SubmitTaskResponse] = []
    async with (
        Server(store, file_bytes=_ROOM_FOR_LITTLE) as server,
        Office(server.address) as office,
    ):
        callers = [submit_until_it_is_full(office, answers) for _ in range(8)]
        errors = await within(asyncio.gather(*callers), "the disk to be full")
        assert await server.ended() != 0
    codes = {error.code() for error in errors}
    # A call that comes when the server closes its port is cancelled by gRPC itself.
    assert grpc.StatusCode.UNAVAILABLE in codes
    assert codes <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert len(answers) > 20
    async with Server(store) as server, Office(server.address) as office:
        tasks = {task.metadata.id for task in await office.all_tasks()}
        assert {answer.task.metadata.id for answer in answers} <= tasks
        check_everything(await office.history())
        await office.submit("quick")


async def test_a_second_server_on_the_same_file_is_refused_in_words(store: Path) -> None:
    async with Server(store) as server:
        async with Program(
            "serve", "--listen", "127.0.0.1:0", "--store", f"sqlite:{store}"
        ) as second:
            assert await second.ended() != 0
            assert any("another server" in line for line in second.err)
            assert any(str(store) in line for line in second.err)
        async with Office(server.address) as office:
            await office.submit("quick")
        await server.kill()
    # The lock dies with its process, so nothing has to be tidied up.
    async with Server(store) as server, Office(server.address) as office:
        assert len(await office.all_tasks()) == 1


async def test_a_taken_port_is_refused_in_words(store: Path, tmp_path: Path) -> None:
    async with (
        Server(store) as server,
        Program(
            "serve",
            "--listen",
            server.address,
            "--store",
            f"sqlite:{tmp_path / 'other.db'}",
        ) as second,
    ):
        assert await second.ended() != 0
        assert any(server.address in line for line in second.err)
