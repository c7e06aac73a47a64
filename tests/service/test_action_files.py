"""Files that actions are given and save, with a whole server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from longshore.client import Client, WorkFailed, call
from longshore.testing import Longshore, running, settling
from longshore.worker import Context, File, Worker

worker = Worker("press", slots=20)


@worker.action
async def print_here(text: File, context: Context) -> dict[str, Any]:
    info = await text.info()
    saved = await context.save_file(f"loud/{info.path}", (await text.read()).upper())
    return {"size": saved.size}


@worker.action
def print_in_a_thread(text: File, context: Context) -> dict[str, Any]:
    path = f"loud/{text.info().path}"
    loud = (chunk.upper() for chunk in text.chunks())
    return {"size": context.save_file(path, loud).info.size}


@worker.action(executor="process")
def print_in_a_process(text: File, context: Context) -> dict[str, Any]:
    return print_in_a_thread(text, context)


@worker.action
def print_twice(context: Context, fails: bool) -> None:
    context.save_file(f"attempt {context.attempt}", b"")
    context.save_file("draft", b"%d" % context.attempt)
    if fails and context.attempt == 1:
        raise RuntimeError("out of paper")


@worker.action
async def print_page(page: int, name: str, context: Context) -> None:
    await context.save_file(name, b"%d" % page)


@worker.action
async def print_too_much(context: Context) -> int:
    for number in range(1_001):
        context.save_file(f"page {number}", b"")
    return 1


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def longshore() -> AsyncGenerator[Longshore]:
    async with running() as longshore:
        await longshore.work(worker)
        yield longshore


@pytest.fixture
def client(longshore: Longshore) -> Client:
    return longshore.client


async def contents(client: Client, file_id: str) -> bytes:
    return b"".join([piece async for piece in client.files.read(file_id)])


@pytest.mark.parametrize("action", ["print_here", "print_in_a_thread", "print_in_a_process"])
async def test_what_was_uploaded_is_given_and_what_is_saved_comes_back(
    action: str, client: Client
) -> None:
    text = await client.files.upload(b"hello" * 500_000, path="hello.txt")
    handle = await client.tasks.submit(action, {"text": text.file_id})
    assert await handle.result() == {"size": 2_500_000}
    [made] = await handle.files()
    assert (made.path, made.content_type) == ("loud/hello.txt", "text/plain")
    assert await contents(client, made.file_id) == b"HELLO" * 500_000
    again = await client.tasks.submit(action, {"text": f"files/{made.file_id}"})
    assert await again.result() == {"size": 2_500_000}


async def test_files_of_a_failed_attempt_are_not_left(
    longshore: Longshore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The attempt has failed before the clock moves on, however long that takes.
    monkeypatch.setattr(settling, "_PATIENCE_SECONDS", 60.0)
    handle = await longshore.client.tasks.submit(
        "print_twice", {"fails": True}, max_attempts=2, initial_backoff=timedelta(hours=1)
    )
    await longshore.clock.advance(hours=2)
    await handle.result()
    files = {one.path: one for one in await handle.files()}
    assert sorted(files) == ["attempt 2", "draft"]
    assert await contents(longshore.client, files["draft"].file_id) == b"2"


async def test_every_step_of_a_plan_adds_its_files(client: Client) -> None:
    steps = [call("print_page", {"page": page, "name": f"page {page}"}) for page in (1, 2)]
    handle = await client.tasks.submit(plan=steps)
    await handle.result()
    assert [one.path for one in await handle.files()] == ["page 1", "page 2"]


async def test_a_step_cannot_replace_what_another_made(client: Client) -> None:
    steps = [call("print_page", {"page": page, "name": "page"}) for page in (1, 2)]
    handle = await client.tasks.submit(plan=steps, max_attempts=3)
    with pytest.raises(WorkFailed, match=r"saving 'page': .*there is a file 'page' already"):
        await handle.result()
    await handle.status()
    assert handle.message.status.attempt == 1


async def test_an_operation_cannot_make_any_number_of_files(client: Client) -> None:
    handle = await client.tasks.submit("print_too_much", max_attempts=3)
    with pytest.raises(WorkFailed, match="at most 1000"):
        await handle.result()
    await handle.status()
    assert handle.message.status.attempt == 1
