"""A worker offers what it is told to, and says so in its hello."""

from __future__ import annotations

import asyncio
import os
import pickle

import pytest

from longshore.v1.operation_pb2 import ServiceKind
from longshore.worker import FileInfo, Saved, Worker
from longshore.worker.context import Context, Facts
from longshore.worker.threads import Threads

worker = Worker("Archive work", description="What it is for.")


@worker.action("digest", name="Digest", description="Say what a file holds.")
def digest_file(path: str) -> str:
    """Not this."""
    return path


@worker.action
def scan(path: str) -> str:
    """Say what a folder holds.

    And no more.
    """
    return path


def test_a_decorated_function_stays_what_it_was() -> None:
    assert pickle.loads(pickle.dumps(digest_file)) is digest_file
    assert digest_file("a") == "a"


def test_actions_belong_to_the_service_of_the_workers_name() -> None:
    [service] = worker.hello().services
    assert (service.slug, service.name) == ("archive-work", "Archive work")
    assert service.description == "What it is for."
    assert [(one.slug, one.name, one.description) for one in service.actions] == [
        ("digest", "Digest", "Say what a file holds."),
        ("scan", "", "Say what a folder holds."),
    ]


def test_the_name_that_people_see_tells_host_and_process() -> None:
    name = worker.hello().worker
    assert name.startswith("Archive work@")
    assert name.endswith(f":{os.getpid()}")
    assert len(Worker("x" * 60).name) == 60


def test_a_function_is_a_service_that_is_launched() -> None:
    other = Worker("other")

    @other.ruleset("rules", name="Rules", version="3")
    def check(path: str) -> None:
        """Check all rules.

        And no more.
        """

    @other.operation("copy", description="Copies, or so.")
    async def mirror(path: str) -> None:
        """Copy."""

    rules, copy = other.hello().services
    assert (rules.slug, rules.name, rules.version) == ("rules", "Rules", "3")
    assert rules.kind == ServiceKind.SERVICE_KIND_RULESET
    assert [(one.slug, one.description) for one in rules.actions] == [
        ("check", "Check all rules.")
    ]
    assert rules.description == "Check all rules."
    assert (copy.kind, copy.description) == (
        ServiceKind.SERVICE_KIND_OPERATION,
        "Copies, or so.",
    )
    assert check.__name__ == "check"


def test_the_queues_of_launches_are_served_by_whom_they_need() -> None:
    other = Worker("other", queues="night")
    other.action(scan)
    assert other.hello().queues == ["night"]
    other.ruleset("rules")(scan)
    assert other.hello().queues == ["night", "rulesets"]
    other.ruleset("more-rules")(scan)
    other.operation("copy")(scan)
    other.queues = ("operations",)
    assert other.hello().queues == ["operations", "rulesets"]


def test_further_services_have_actions_of_their_own() -> None:
    other = Worker("other")
    other.service("more", name="More", version="3").action("apply")(scan)
    [service] = other.hello().services
    assert (service.slug, service.name, service.version) == ("more", "More", "3")
    assert service.kind == ServiceKind.SERVICE_KIND_UNSPECIFIED


def test_a_service_of_a_kind_has_one_action_only() -> None:
    other = Worker("other")
    other.ruleset("rules")(scan)
    with pytest.raises(ValueError, match="one action only"):
        other.services["rules"].action("again")(scan)


def test_names_are_taken_once_and_fit() -> None:
    other = Worker("other")
    other.action(scan)
    with pytest.raises(ValueError, match="has an action 'scan' already"):
        other.action(scan)
    with pytest.raises(ValueError, match="has a service 'other' already"):
        other.service("other")
    with pytest.raises(ValueError, match="has a service 'other' already"):
        other.ruleset("other")(scan)
    for name in ("", "x" * 64):
        with pytest.raises(ValueError, match="1 to 63 characters"):
            other.action(name)(scan)
    for name in ("a/b", "a\n"):
        with pytest.raises(ValueError, match="no slash"):
            other.action(name)(scan)
    with pytest.raises(ValueError, match="neither letter nor digit"):
        Worker("–")
    with pytest.raises(ValueError, match="at least 1 slot"):
        Worker("none", slots=0)


def test_a_signature_that_cannot_be_published_names_the_action() -> None:
    def act(*values: str) -> None: ...

    with pytest.raises(TypeError, match="action 'act': parameter 'values'"):
        Worker("other").action(act)


def test_a_coroutine_has_no_executor() -> None:
    async def act() -> None: ...

    with pytest.raises(TypeError, match="on the event loop only"):
        Worker("other").action(executor="thread")(act)


async def test_a_worker_without_actions_is_not_run() -> None:
    with pytest.raises(ValueError, match="offers no action"):
        await Worker("other").run("127.0.0.1:1")


async def test_a_worker_runs_once_at_a_time_and_stops_without_a_server() -> None:
    other = Worker("other")
    other.action(scan)
    task = asyncio.create_task(other.run("127.0.0.1:1", stopping=asyncio.Event()))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="runs already"):
        await other.run("127.0.0.1:1")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await other.drain()


def test_a_context_refuses_what_cannot_be_told() -> None:
    class Silent:
        cancelled = False

        def say(self, word: object) -> None: ...

        def later(self, seconds: float, call: object) -> None: ...

        def save(self, path: str, source: object, content_type: str) -> Saved:
            return Saved(FileInfo("id", path, 0, content_type, ""))

    context = Context(Facts("id", "act", 1, 0, "default", ""), Silent())
    for done in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite and not negative"):
            context.progress(done)
    with pytest.raises(ValueError, match="has a name"):
        context.property("", "value")
    with pytest.raises(ValueError, match="not relative"):
        context.save_file("/etc/passwd", b"")


def test_threads_give_results_and_errors() -> None:
    threads = Threads(2)
    assert threads.submit(pow, 2, 3).result(10) == 8
    assert isinstance(threads.submit(divmod, 1, 0).exception(10), ZeroDivisionError)
    threads.shutdown()
