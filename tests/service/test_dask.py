"""Actions on a cluster: a Dask scheduler and two nodes, each a process of its own."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, cast

import distributed
import pytest

from longshore.client import TaskHandle, WorkCanceled, WorkFailed
from longshore.testing import Longshore, running
from longshore.v1.operation_pb2 import State
from longshore.worker import Context, Worker
from tests.acceptance.waiting import eventually_answered

clients: list[Any] = []


def cluster() -> Executor:
    """Reach the cluster, as a worker does when it begins to run."""
    connect: Any = distributed.Client
    clients.append(connect(os.environ["TESTS_DASK"]))
    executor: Executor = clients[-1].get_executor(pure=False)
    return executor


def make_worker() -> Worker:
    worker = Worker("cluster", slots=16, executor=cluster)
    for action in (square, tell, until_cancelled, until_let_go):
        worker.action(action)
    return worker


def square(number: int) -> dict[str, int]:
    time.sleep(0.02)  # long enough that one node cannot have them all
    return {"square": number * number, "pid": os.getpid()}


def tell(context: Context) -> dict[str, Any]:
    context.progress(1, 2, "files")
    context.log("from afar")
    context.property("where", "elsewhere")
    context.progress(2, 2, "files")
    return {"pid": os.getpid(), "attempt": context.attempt}


def until_cancelled(context: Context) -> None:
    context.property(f"begun {context.attempt}", str(os.getpid()))
    while not context.cancelled:
        time.sleep(0.001)
    context.property("obeyed", "yes")
    raise RuntimeError("gave up")


def until_let_go(path: str, context: Context) -> dict[str, int]:
    """Go on until a file is there."""
    context.property(f"begun {context.attempt}", str(os.getpid()))
    while not Path(path).exists():
        time.sleep(0.001)
    return {"pid": os.getpid(), "attempt": context.attempt}


def look_in(folder: str) -> None:
    """Have a node find modules in a folder."""
    sys.path.append(folder)


@pytest.fixture(scope="module")
def nodes() -> Iterator[str]:
    """Two nodes of two threads each; one that dies is replaced."""
    start: Any = distributed.LocalCluster
    with start(n_workers=2, threads_per_worker=2, dashboard_address=None) as found:
        yield found.scheduler_address


@pytest.fixture
async def longshore(
    nodes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Longshore]:
    """A server, and a worker whose actions run on the nodes."""
    monkeypatch.setenv("TESTS_DASK", nodes)
    async with running(tmp_path / "longshore.db") as server:
        await server.work(make_worker())
        yield server
    while clients:
        await asyncio.to_thread(clients.pop().close)


async def submitted(longshore: Longshore, action: str, **arguments: Any) -> TaskHandle:
    return await longshore.client.tasks.submit(action, arguments)


async def told(handle: TaskHandle, name: str) -> str:
    """Wait until an operation has a property."""

    async def look() -> str:
        return (await handle.status()).properties.get(name, "")

    return await eventually_answered(look, f"property {name!r}")


async def node_of(handle: TaskHandle, attempt: int = 1) -> int:
    """Wait until an attempt has begun, and return the process that it runs in."""
    return int(await told(handle, f"begun {attempt}"))


async def test_many_actions_spread_over_all_nodes(longshore: Longshore) -> None:
    handles = [await submitted(longshore, "square", number=number) for number in range(60)]
    results = [await handle.result() for handle in handles]
    assert [one["square"] for one in results] == [number**2 for number in range(60)]
    processes = {one["pid"] for one in results}
    assert len(processes) == 2
    assert os.getpid() not in processes


async def test_an_action_on_a_node_talks_to_its_operation(longshore: Longshore) -> None:
    handle = await submitted(longshore, "tell")
    events = [change.event async for change in handle.watch(include_logs=True)]
    words = {one.WhichOneof("detail"): one for one in events}
    assert words["progress"].progress.unit == "files"
    assert words["log"].log.message == "from afar"
    assert words["property_set"].property_set.value == "elsewhere"
    assert (await handle.result())["attempt"] == 1


async def test_an_action_on_a_node_sees_that_it_is_cancelled(longshore: Longshore) -> None:
    handle = await submitted(longshore, "until_cancelled")
    await node_of(handle)
    await handle.cancel()
    assert await told(handle, "obeyed") == "yes"
    with pytest.raises(WorkCanceled):
        await handle.result()


async def test_what_waits_for_a_node_is_cancelled_at_once_and_never_begins(
    longshore: Longshore, tmp_path: Path
) -> None:
    go, never = str(tmp_path / "go"), str(tmp_path / "never")
    busy = [await submitted(longshore, "until_let_go", path=go) for _ in range(4)]
    for handle in busy:
        await node_of(handle)
    waiting = await submitted(longshore, "until_let_go", path=never)

    async def given() -> bool:
        return (await waiting.status()).state == State.STATE_RUNNING

    await eventually_answered(given, "that the worker has it")
    await waiting.cancel()
    with pytest.raises(WorkCanceled):
        await waiting.result()
    assert not (await waiting.status()).properties
    Path(go).touch()
    for handle in busy:
        await handle.result()


async def test_the_example_of_the_readme_runs_on_a_cluster(
    nodes: str, longshore: Longshore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    [example] = re.findall(
        r"^```python\n# cluster\.py\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE
    )
    assert "tcp://127.0.0.1:8786" in example
    name = "cluster_of_the_readme"
    (tmp_path / f"{name}.py").write_text(example.replace("tcp://127.0.0.1:8786", nodes))
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    await asyncio.to_thread(clients[0].run, look_in, str(tmp_path))
    module = importlib.import_module(name)
    make = module.nodes

    def made() -> Executor:
        executor: Any = make()
        clients.append(executor._client)
        return cast("Executor", executor)

    module.worker.executor = made
    module.worker.name = "readme"
    await longshore.work(module.worker)
    handle = await submitted(longshore, "simulate", steps=3)
    assert await handle.result() == {"steps": 3}


async def test_an_action_that_no_node_can_load_fails(
    longshore: Longshore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def act() -> str:\n    return 'not reached'\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    worker = Worker("here", executor=cluster)
    worker.action(importlib.import_module("only_here").act)
    await longshore.work(worker)
    handle = await longshore.client.tasks.submit("act", max_attempts=1)
    with pytest.raises(WorkFailed, match="cannot load action 'act': No module named"):
        await handle.result()
    assert await (await submitted(longshore, "square", number=3)).result()


async def test_an_action_whose_node_is_killed_fails_and_is_tried_again(
    longshore: Longshore, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    handle = await submitted(longshore, "until_let_go", path=str(go))
    first = await node_of(handle)
    os.kill(first, signal.SIGKILL)
    second = await node_of(handle, attempt=2)
    go.touch()
    assert await handle.result() == {"pid": second, "attempt": 2}
    assert second != first


async def test_no_node_repeats_what_has_no_attempts_left(
    longshore: Longshore, tmp_path: Path
) -> None:
    handle = await longshore.client.tasks.submit(
        "until_let_go", {"path": str(tmp_path / "never")}, max_attempts=1
    )
    os.kill(await node_of(handle), signal.SIGKILL)
    with pytest.raises(WorkFailed, match="was lost, or cut off"):
        await handle.result()
