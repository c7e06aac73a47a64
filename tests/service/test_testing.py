"""What `longshore.testing` promises to those who test actions of their own."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from longshore.client import CallError, NotFound, WorkFailed, call
from longshore.testing import Longshore, running, server, settling
from longshore.v1.catalog_service_pb2 import Schedule
from longshore.v1.task_service_pb2 import TaskSpec
from longshore.worker import Context, Worker

pytest_plugins = ["longshore.testing.plugin", "pytester"]

DAY = timedelta(days=1)
MOMENT = datetime(2031, 3, 30, 1, 30, tzinfo=UTC)

worker = Worker("harbour", slots=50)


@worker.action
def greet(name: str) -> dict[str, str]:
    return {"greeting": f"Hello, {name}!"}


@worker.action
async def flaky(failures: int, context: Context) -> dict[str, int]:
    if context.attempt <= failures:
        raise RuntimeError("not yet")
    return {"attempts": context.attempt}


@worker.action
async def hang() -> None:
    await asyncio.Event().wait()


@worker.action
def hang_on_a_thread(context: Context) -> None:
    never = threading.Event()
    while not context.cancelled:
        never.wait(0.01)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have work waited for that takes its time because the machine has more to do."""
    monkeypatch.setattr(settling, "_PATIENCE_SECONDS", 60.0)


@pytest.fixture
def as_it_is(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have work that hangs left running as soon as ever."""
    monkeypatch.setattr(settling, "_PATIENCE_SECONDS", 1.0)


@pytest.fixture
async def longshore(longshore: Longshore) -> Longshore:
    await longshore.work(worker)
    return longshore


async def test_a_delayed_start_comes_when_the_clock_gets_there(longshore: Longshore) -> None:
    handle = await longshore.client.tasks.submit("greet", {"name": "Ada"}, start_time=DAY)
    await longshore.clock.advance(hours=23, minutes=59)
    await handle.status()
    assert handle.state == "QUEUED"
    await longshore.clock.advance(minutes=1)
    await handle.status()
    assert handle.state == "SUCCEEDED"
    assert await handle.result() == {"greeting": "Hello, Ada!"}


async def test_one_advance_leads_through_all_attempts_and_their_backoffs(
    longshore: Longshore,
) -> None:
    handle = await longshore.client.tasks.submit(
        "flaky", {"failures": 3}, max_attempts=4, initial_backoff=timedelta(hours=1)
    )
    await longshore.clock.advance(days=2)
    await handle.status()
    assert await handle.result() == {"attempts": 4}


@pytest.mark.usefixtures("as_it_is")
@pytest.mark.parametrize("action", ["hang", "hang_on_a_thread"])
async def test_an_attempt_that_hangs_ends_with_its_run_timeout(
    longshore: Longshore, action: str
) -> None:
    handle = await longshore.client.tasks.submit(
        action, run_timeout=timedelta(minutes=5), max_attempts=1
    )
    await longshore.clock.advance(minutes=4)
    await handle.status()
    assert handle.state == "RUNNING"
    await longshore.clock.advance(minutes=1)
    with pytest.raises(WorkFailed, match="run_timeout of 300 s"):
        await handle.result()


async def test_work_that_does_not_hang_is_not_overtaken_by_its_run_timeout(
    longshore: Longshore,
) -> None:
    handle = await longshore.client.tasks.submit(
        "greet", {"name": "Ada"}, start_time=DAY, run_timeout=timedelta(seconds=1)
    )
    await longshore.clock.advance(days=2)
    assert (await handle.status()).attempt == 1
    assert handle.state == "SUCCEEDED"


async def test_what_has_expired_is_gone(longshore: Longshore) -> None:
    handle = await longshore.client.tasks.submit(
        "greet", {"name": "Ada"}, expire_after=timedelta(hours=1)
    )
    await handle.result()
    await longshore.clock.advance(hours=1)
    with pytest.raises(NotFound):
        await handle.status()


async def test_what_is_due_on_the_way_begins_at_its_time(longshore: Longshore) -> None:
    start = longshore.clock.now()
    due = [start + timedelta(hours=hours) for hours in (3, 1, 2)]
    handles = [
        await longshore.client.tasks.submit("greet", {"name": "Ada"}, start_time=time)
        for time in due
    ]
    await longshore.clock.advance(days=1)
    for time, handle in zip(due, handles, strict=True):
        began = (await handle.status()).start_time.ToDatetime(UTC)
        assert time <= began < time + timedelta(minutes=5)
    assert longshore.clock.now() >= start + DAY


async def test_a_schedule_submits_at_each_of_its_times(longshore: Longshore) -> None:
    await longshore.clock.set(MOMENT)
    spec = TaskSpec(actions=[call("greet", {"name": "Ada"})])
    await longshore.client.catalog.apply_schedule(
        Schedule(name="hourly", cron="0 * * * *", task=spec)
    )
    await longshore.clock.advance(hours=6)
    handles = [handle async for handle in longshore.client.tasks.list(order_by="number")]
    created = [handle.message.metadata.create_time.ToDatetime(UTC) for handle in handles]
    assert [time.hour for time in created] == [2, 3, 4, 5, 6, 7]
    assert {time.minute for time in created} == {0}
    assert {handle.state for handle in handles} == {"SUCCEEDED"}


async def test_more_may_be_due_at_once_than_fits_into_a_batch(longshore: Longshore) -> None:
    requests = [
        longshore.client.tasks.submit("greet", {"name": str(n)}, start_time=DAY)
        for n in range(1_100)
    ]
    handles = await asyncio.gather(*requests)
    await longshore.clock.advance(days=1)
    await asyncio.gather(handles[0].status(), handles[-1].status())
    assert {handles[0].state, handles[-1].state} == {"SUCCEEDED"}


async def test_the_clock_can_be_set_and_goes_on_from_there(longshore: Longshore) -> None:
    await longshore.clock.set(MOMENT)
    assert MOMENT <= longshore.clock.now() < MOMENT + timedelta(minutes=5)
    handle = await longshore.client.tasks.submit("greet", {"name": "Ada"})
    created = handle.message.metadata.create_time.ToDatetime(UTC)
    assert MOMENT <= created <= longshore.clock.now()


async def test_a_moment_without_a_time_zone_is_refused(longshore: Longshore) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        await longshore.clock.set(MOMENT.replace(tzinfo=None))


async def test_time_does_not_advance_backwards(longshore: Longshore) -> None:
    with pytest.raises(ValueError, match="cannot advance"):
        await longshore.clock.advance(hours=-1)


@pytest.mark.usefixtures("as_it_is")
async def test_worker_and_work_outlive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "kept.db"
    async with running(path) as before:
        await before.work(worker)
        handle = await before.client.tasks.submit("greet", {"name": "Ada"}, start_time=DAY)
        hanging = await before.client.tasks.submit("hang")
    async with running(path) as after:
        await after.work(worker)
        await after.clock.advance(days=1)
        done = await after.client.tasks.get(handle.id)
        assert await done.result() == {"greeting": "Hello, Ada!"}
        assert (await after.client.tasks.get(hanging.id)).state == "RUNNING"


async def test_a_server_without_a_file_of_its_own_leaves_none_behind() -> None:
    async with running() as first, running() as second:
        assert first.address != second.address
        with pytest.raises(CallError):
            await first.client.tasks.submit("greet", {"name": "Ada"})


async def test_a_worker_without_actions_is_refused(longshore: Longshore) -> None:
    with pytest.raises(ValueError, match="offers no action"):
        await longshore.work(Worker("idle"))


async def test_a_worker_that_runs_already_is_refused(longshore: Longshore) -> None:
    with pytest.raises(RuntimeError, match="runs already"):
        await longshore.work(worker)


async def test_a_worker_that_the_server_does_not_want_is_named(
    longshore: Longshore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_WELCOME_SECONDS", 0.5)
    unwelcome = Worker("odd", identity="\n")
    unwelcome.action(greet)
    with pytest.raises(TimeoutError, match="'odd' was not welcomed"):
        await longshore.work(unwelcome)


STRANGERS_TESTS = """
from datetime import timedelta

import pytest

from longshore.worker import Worker

pytest_plugins = ["longshore.testing.plugin"]
pytestmark = pytest.mark.asyncio

worker = Worker("mail")
sent = []


@worker.action
def send_reminder(to: str) -> dict[str, str]:
    sent.append(to)
    return {"sent": to}


@pytest.mark.parametrize("to", ["Ada", "Grace", "Edsger"])
async def test_a_reminder_is_sent_after_a_day(longshore, to):
    await longshore.work(worker)
    handle = await longshore.client.tasks.submit(
        "send_reminder", {"to": to}, start_time=timedelta(days=1)
    )
    assert to not in sent
    await longshore.clock.advance(days=1)
    assert to in sent
    assert await handle.result() == {"sent": to}
"""


@pytest.mark.parametrize("scope", ["function", "session"])
def test_a_stranger_tests_actions_whatever_the_scope_of_the_loop(
    pytester: pytest.Pytester, scope: str
) -> None:
    pytester.makeini(
        f"""
        [pytest]
        asyncio_default_fixture_loop_scope = {scope}
        asyncio_default_test_loop_scope = {scope}
        filterwarnings = error
        """
    )
    patience = "from longshore.testing import settling\n\nsettling._PATIENCE_SECONDS = 60.0\n"
    pytester.makeconftest(patience)
    pytester.makepyfile(STRANGERS_TESTS)
    pytester.runpytest_subprocess().assert_outcomes(passed=3)
