"""The runner: calls the functions, on the loop, in threads or in processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
)
from typing import Any, Final

import structlog
from grpc import StatusCode

from longshore.v1.operation_pb2 import LogKind
from longshore.v1.worker_service_pb2 import WorkAssignment
from longshore.worker import words
from longshore.worker.actions import Action, Where
from longshore.worker.context import Context, Facts
from longshore.worker.failures import Failure, fail, failure_of
from longshore.worker.lease import Lease
from longshore.worker.processes import ProcessPool
from longshore.worker.remote import perform_remotely
from longshore.worker.results import Outcome, outcome_of, perform
from longshore.worker.session import Session
from longshore.worker.switchboard import Switchboard
from longshore.worker.threads import Threads
from longshore.worker.voice import LeaseVoice, Post

OBEY_SECONDS: Final = 1.0  #: For work to end that was told to.

_log = structlog.get_logger(__name__)


class _Run:
    """One call of one function."""

    __slots__ = ("action", "call", "context", "future", "lease", "started", "stopping", "task")

    def __init__(self, action: Action, lease: Lease) -> None:
        self.action = action
        self.lease = lease
        self.context: Context | None = None
        self.started = False  # A coroutine's; futures know it themselves.
        self.stopping = False
        self.task: asyncio.Task[None] | None = None
        self.future: Future[Outcome] | None = None
        self.call: int | None = None  # On the switchboard.


class Runner:
    """Everything that runs for one session."""

    def __init__(self, actions: Iterable[Action], slots: int, default: Where) -> None:
        self.session: Session  # Set before the first call of `begin`.
        self.idle = asyncio.Event()
        self.idle.set()
        self._actions = _by_key(actions)
        self._default = default
        self._threads = Threads(slots)
        self._processes = ProcessPool()
        self._switchboard = Switchboard()
        self._loop = asyncio.get_running_loop()
        self._post = Post()
        self._runs: dict[Lease, _Run] = {}

    async def open(self) -> None:
        """Get ready to be called by actions in other processes, if there can be any."""
        for action in self._actions.values():
            remote = not action.asynchronous and not _is_local(self._executor(action))
            if remote and action.signature.context is not None:
                await self._switchboard.open()
                return

    async def close(self) -> None:
        """End coroutines and processes, and threads when they have nothing to do."""
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=OBEY_SECONDS)
        self._threads.shutdown()
        self._processes.shutdown()
        await self._switchboard.close()

    def begin(self, lease: Lease, assignment: WorkAssignment) -> None:
        """Begin an assigned action. Whatever goes wrong is reported as its failure."""
        action = self._actions.get((assignment.service, assignment.action))
        if action is None:
            self.session.finish(lease, _unknown(assignment))
            return
        run = _Run(action, lease)
        self._runs[lease] = run
        self.idle.clear()
        try:
            arguments = action.arguments(assignment.arguments)
            if action.asynchronous:
                self._begin_here(run, arguments, assignment)
            else:
                self._begin_elsewhere(run, arguments, assignment)
        except Exception as error:  # noqa: BLE001  # pickling, validators, a pool that is shut
            self._end(run, failure_of(error, action.slug))

    def stop(self, lease: Lease) -> None:
        """Tell the function of a lease to end; what was not started ends here."""
        run = self._runs.get(lease)
        if run is None or run.stopping:
            return
        run.stopping = True
        if self._withdraw(run):
            self._end(run, _cancelled(run.action.slug))
        elif run.task is not None:
            run.task.cancel()
        elif run.call is not None:
            self._switchboard.stop(run.call)

    def release_unstarted(self) -> None:
        """Hand back what was taken and not begun."""
        for run in list(self._runs.values()):
            if self._withdraw(run):
                self.session.release(run.lease)
                self._forget(run)

    def abandon(self) -> None:
        """Report what has not ended as if it had; it may go on, unheard."""
        for run in list(self._runs.values()):
            self._end(run, _cancelled(run.action.slug))

    def blocked(self, task: asyncio.Task[Any] | None, where: str) -> None:
        """Name the action that keeps the loop from turning. Called by the watchdog's thread."""
        run = next((one for one in list(self._runs.values()) if one.task is task), None)
        name = run.action.slug if run is not None and task is not None else ""
        _log.warning("loop_blocked", action=name, where=where)
        if run is not None and task is not None:
            text = f"action {name!r} blocks the event loop of its worker, at\n{where}"
            word = words.log(LogKind.LOG_KIND_WARNING, text)
            self._post.call(self.session.tell, run.lease, word)

    def _begin_here(
        self, run: _Run, arguments: dict[str, Any], assignment: WorkAssignment
    ) -> None:
        name = run.action.signature.context
        if name is not None:
            arguments[name] = self._context(run, assignment)
        run.task = self._loop.create_task(self._drive(run, arguments))

    async def _drive(self, run: _Run, arguments: dict[str, Any]) -> None:
        run.started = True
        action = run.action
        outcome: Outcome
        try:
            outcome = outcome_of(action.slug, await action.function(**arguments))
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001  # also sys.exit() ends the attempt only
            outcome = failure_of(error, action.slug)
        self._end(run, outcome)

    def _begin_elsewhere(
        self, run: _Run, arguments: dict[str, Any], assignment: WorkAssignment
    ) -> None:
        action, name = run.action, run.action.signature.context
        executor = self._executor(action)
        if _is_local(executor):
            if name is not None:
                arguments[name] = self._context(run, assignment)
            future = executor.submit(perform, action.slug, action.function, arguments)
        else:
            ticket = None
            if name is not None:
                voice = self._voice(run)
                ticket = self._switchboard.ticket(_facts(run, assignment), voice, name)
                run.call = ticket.number
            future = executor.submit(
                perform_remotely, action.slug, action.function, arguments, ticket
            )
        run.future = future
        future.add_done_callback(lambda done: self._post.call(self._collect, run, done))

    def _executor(self, action: Action) -> Executor:
        where = action.executor or self._default
        if isinstance(where, Executor):
            return where
        return self._processes if where == "process" else self._threads

    def _context(self, run: _Run, assignment: WorkAssignment) -> Context:
        run.context = Context(_facts(run, assignment), self._voice(run))
        return run.context

    def _voice(self, run: _Run) -> LeaseVoice:
        return LeaseVoice(run.lease, self.session.tell, self._post)

    def _collect(self, run: _Run, future: Future[Outcome]) -> None:
        """Take in what another thread or process has done."""
        try:
            self._end(run, future.result())
        except CancelledError:
            self._end(run, _cancelled(run.action.slug))
        except BrokenExecutor as error:
            self._end(run, _broken(run.action.slug, error))
        except Exception as error:  # noqa: BLE001  # what cannot be pickled, for one
            self._end(run, failure_of(error, run.action.slug))

    def _end(self, run: _Run, outcome: Outcome) -> None:
        if self._runs.get(run.lease) is not run:
            return
        if run.context is not None:
            run.context.close()
        self.session.finish(run.lease, outcome)
        self._forget(run)

    def _forget(self, run: _Run) -> None:
        del self._runs[run.lease]
        if run.call is not None:
            self._switchboard.forget(run.call)
        if not self._runs:
            self.idle.set()

    def _withdraw(self, run: _Run) -> bool:
        """Take back a call that was not started; return whether it was so."""
        if run.task is not None:
            return not run.started and run.task.cancel()
        return run.future is not None and run.future.cancel()


def _by_key(actions: Iterable[Action]) -> dict[tuple[str, str], Action]:
    """Return actions by service and slug; those asked for without a service are of any."""
    found: dict[tuple[str, str], Action] = {}
    for action in actions:
        found[action.service, action.slug] = action
        found.setdefault(("", action.slug), action)
    return found


def _is_local(executor: Executor) -> bool:
    return isinstance(executor, Threads | ThreadPoolExecutor)


def _facts(run: _Run, assignment: WorkAssignment) -> Facts:
    return Facts(
        assignment.operation_id,
        run.action.slug,
        assignment.attempt,
        assignment.step,
        assignment.tenant,
        assignment.traceparent,
    )


def _cancelled(action: str) -> Failure:
    return fail(StatusCode.CANCELLED, f"action {action!r} was stopped", "ACTION_FAILED", {})


def _unknown(assignment: WorkAssignment) -> Failure:
    names = {"action": assignment.action, "service": assignment.service}
    message = f"this worker offers no action {assignment.action!r}"
    return fail(StatusCode.NOT_FOUND, message, "ACTION_NOT_FOUND", names)


def _broken(action: str, error: BrokenExecutor) -> Failure:
    return fail(
        StatusCode.UNAVAILABLE,
        f"the pool of processes broke while action {action!r} ran: {error}",
        "ACTION_FAILED",
        {"action": action, "type": type(error).__name__},
    )
