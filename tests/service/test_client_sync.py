"""The sync client against a real server and worker in this process, on a loop of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest

from longshore.client import CallError, NotFound, WorkFailed, result_of, task
from longshore.client.sync import SyncClient, TaskHandle, Watch
from longshore.testing import running
from longshore.v1.task_service_pb2 import TaskChange
from longshore.worker import Context, PermanentError, Worker

LATER = timedelta(hours=1)

worker = Worker("tests", slots=20)
go_on = threading.Semaphore(0)


@worker.action
async def add(left: int, right: int = 2) -> dict[str, int]:
    return {"sum": left + right}


@worker.action
async def refuse(why: str) -> None:
    raise PermanentError(why)


@worker.action
def wait(context: Context) -> None:
    """Go on when the test lets it."""
    context.log("waiting")
    go_on.acquire()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server with a worker, on a thread and a loop of their own."""
    started: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def serve() -> None:
        async with running() as longshore:
            await longshore.work(worker)
            started.append(longshore.address)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    yield started[0]
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()


@pytest.fixture
def client(address: str) -> Iterator[SyncClient]:
    with SyncClient(address) as client:
        yield client


def test_a_task_is_submitted_and_its_result_awaited(client: SyncClient) -> None:
    client.connect()
    handle = client.tasks.submit("add", {"left": 1}, service="tests")
    assert isinstance(handle, TaskHandle)
    assert handle.created
    assert handle.result(timeout=60) == {"sum": 3}
    assert (handle.state, handle.ended, handle.error) == ("SUCCEEDED", True, None)
    assert repr(handle) == f"<TaskHandle {handle.id} SUCCEEDED>"
    assert handle.resubmit().result() == {"sum": 3}


def test_failed_work_and_refused_calls_raise_as_they_do_elsewhere(client: SyncClient) -> None:
    handle = client.tasks.submit("refuse", {"why": "no room"}, service="tests")
    with pytest.raises(WorkFailed, match="no room"):
        handle.result()
    with pytest.raises(NotFound):
        client.tasks.get("0198c2d4-0000-7000-8000-000000000000")


def test_a_run_is_a_plain_iterator_of_changes(client: SyncClient) -> None:
    changes = list(client.tasks.run("add", {"left": 1}, service="tests"))
    assert result_of(changes[-1].task) == {"sum": 3}
    assert changes[0].task.spec.service == "tests"


def test_a_watch_is_taken_up_and_left_as_it_pleases(client: SyncClient) -> None:
    handle = client.tasks.submit("wait", service="tests")
    watch: Watch[TaskChange]
    with handle.watch(include_logs=True) as watch:
        first = next(watch)
        assert first.task.metadata.id == handle.id
        revision = watch.revision
    assert list(watch) == []
    with client.tasks.watch(handle.id, after_revision=revision or 0) as watch:
        go_on.release()
        assert [change.event.state for change in watch][-1] == 5
    assert handle.result() == {}


def test_a_list_comes_by_items_and_by_pages(client: SyncClient) -> None:
    requests = [task("add", {"left": n}, service="tests", labels={"n": "x"}) for n in range(5)]
    requests[2] = task("add", {"left": "two"}, service="tests")
    made = client.tasks.submit_many(requests)
    assert [type(one) for one in made if not isinstance(one, CallError)] == [TaskHandle] * 4
    listed = client.tasks.list("labels.n = x", order_by="number", page_size=3)
    for _ in range(2):
        assert [one.id for one in listed] == [
            one.id for one in made if isinstance(one, TaskHandle)
        ]
    pages = list(listed.pages())
    assert [len(page.items) for page in pages] == [3, 1]
    assert all(isinstance(one, TaskHandle) for page in pages for one in page.items)


def test_messages_of_the_contract_are_shown_as_they_are(client: SyncClient) -> None:
    assert client.server.status().service == "longshore"
    assert [one.slots for one in client.server.workers()] == [20]
    (service,) = client.catalog.services()
    assert {action.slug for action in service.actions} == {"add", "refuse", "wait"}


def test_a_wait_ends_in_time_and_leaves_the_work_alone(client: SyncClient) -> None:
    handle = client.tasks.submit("add", {"left": 1}, service="tests", start_time=LATER)
    with pytest.raises(TimeoutError):
        handle.result(timeout=0.05)
    handle.cancel("not needed")
    assert handle.state == "CANCELED"


def test_many_threads_share_one_client_and_one_loop(client: SyncClient) -> None:
    def work(left: int) -> object:
        return client.tasks.submit("add", {"left": left}, service="tests").result()["sum"]

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(work, range(64))) == [left + 2 for left in range(64)]
    loops = [one for one in threading.enumerate() if one.name == "longshore-client"]
    assert len(loops) == 1
    assert loops[0].daemon


@contextmanager
def heeding_ctrl_c() -> Generator[None]:
    """Raise what programs are used to, also where whoever runs the tests has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def interrupted(watch: Watch[TaskChange]) -> None:
    """Wait for a change that does not come before somebody presses Ctrl+C."""
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    next(watch)


def test_ctrl_c_ends_the_wait_and_not_the_client(client: SyncClient) -> None:
    handle = client.tasks.submit("add", {"left": 1}, service="tests", start_time=LATER)
    watch = handle.watch()
    next(watch)
    with heeding_ctrl_c(), pytest.raises(KeyboardInterrupt):
        interrupted(watch)
    handle.cancel()
    assert [change.event.state for change in watch][-1] == 6


async def test_it_can_be_used_from_a_coroutine_of_another_loop(address: str) -> None:
    with SyncClient(address) as client:
        assert client.server.status().version
        handle = await asyncio.to_thread(
            client.tasks.submit, "add", {"left": 1}, service="tests"
        )
        assert await asyncio.to_thread(handle.result) == {"sum": 3}


SCRIPT = """
from longshore.client.sync import SyncClient

client = SyncClient("{address}")
watch = client.tasks.watch()
print(client.tasks.submit("add", {{"left": 1}}, service="tests").result())
next(watch)
"""


def test_a_program_that_closes_nothing_ends_in_peace(address: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(address=address)],
        check=False,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("{'sum': 3}\n", "", 0)


FORK = """
import os
import warnings

from longshore.client.sync import SyncClient

client = SyncClient("{address}")
client.connect()
warnings.simplefilter("ignore")
if os.fork():
    os.wait()
else:
    try:
        client.server.status()
    except RuntimeError as error:
        print(error, flush=True)
    os._exit(0)
"""


def test_a_fork_is_told_that_it_cannot_use_the_client(address: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FORK.format(address=address)],
        check=False,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert ended.stdout == "the sync client does not outlive a fork: spawn the process\n"
