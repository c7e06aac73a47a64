"""The runner: calls the functions, on the loop, in threads or in processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any, Final

import structlog

from longshore.v1.operation_pb2 import LogKind
from longshore.v1.worker_service_pb2 import WorkAssignment
from longshore.worker import words
from longshore.worker.action_files import ActionFiles
from longshore.worker.actions import Action, Where
from longshore.worker.context import Context, Facts
from longshore.worker.endings import cancelled, lost, outcome_elsewhere, unknown
from longshore.worker.executors import Executors, is_local
from longshore.worker.failures import Failure, failure_of
from longshore.worker.files import Reader
from longshore.worker.lease import Lease
from longshore.worker.porter import Claim, Porter
from longshore.worker.post import Post
from longshore.worker.remote import packed, perform_remotely
from longshore.worker.remote_files import RemoteFiles
from longshore.worker.results import Outcome, outcome_of, perform
from longshore.worker.session import Session
from longshore.worker.switchboard import Switchboard, Ticket
from longshore.worker.transfers import Transfers
from longshore.worker.voice import LeaseVoice

OBEY_SECONDS: Final = 1.0  #: For work to end that was told to.
_LAST_WORDS_SECONDS: Final = 5.0  #: For an executor to say what became of a lost process.

_log = structlog.get_logger(__name__)


class _Run:
    """One call of one function."""

    __slots__ = (
        "action",
        "call",
        "claim",
        "context",
        "files",
        "future",
        "lease",
        "started",
        "stopping",
        "task",
    )

    def __init__(self, action: Action, lease: Lease, files: ActionFiles) -> None:
        self.action = action
        self.lease = lease
        self.files = files
        self.context: Context | None = None
        self.started = False  # A coroutine's; futures know it themselves.
        self.stopping = False
        self.task: asyncio.Task[None] | None = None
        self.future: Future[Outcome] | None = None
        self.call: int | None = None  # On the switchboard.
        self.claim: Claim | None = None  # On the porter.


class Runner:
    """Everything that runs for one session."""

    def __init__(
        self, actions: Iterable[Action], slots: int, default: Where, reachable_at: str
    ) -> None:
        self.session: Session  # Set before the first call of `begin`.
        self._transfers: Transfers  # Set by `open`.
        self.idle = asyncio.Event()
        self.idle.set()
        self._actions = _by_key(actions)
        self._default: Where = default
        self._executors = Executors(slots)
        self._switchboard = Switchboard(reachable_at)
        self._porter = Porter(reachable_at)
        self._loop = asyncio.get_running_loop()
        self._post = Post()
        self._runs: dict[Lease, _Run] = {}

    async def open(self, transfers: Transfers) -> None:
        """Get ready to run actions, and to be called by those in other processes, if any."""
        self._transfers = transfers
        plain = [one for one in self._actions.values() if not one.asynchronous]
        await self._executors.open(map(self._where, plain))
        if any(map(self._is_remote, plain)):
            await self._switchboard.open()
            await self._porter.open()

    async def close(self) -> None:
        """End coroutines, and the executors' work."""
        for run in self._runs.values():
            run.files.close()
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=OBEY_SECONDS)
        await self._switchboard.close()
        await self._executors.close()
        await self._porter.close()
        await self._transfers.close()

    def begin(self, lease: Lease, assignment: WorkAssignment) -> None:
        """Begin an assigned action. Whatever goes wrong is reported as its failure."""
        action = self._actions.get((assignment.service, assignment.action))
        if action is None:
            self.session.finish(lease, unknown(assignment))
            return
        files = ActionFiles(lease, self._transfers, self._post, self.session.lose)
        run = _Run(action, lease, files)
        self._runs[lease] = run
        self.idle.clear()
        try:
            arguments = action.arguments(assignment.arguments, lambda: self._reader(run))
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
        run.files.cancel()
        if self._withdraw(run):
            self._end(run, cancelled(run.action.slug))
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
            self._end(run, cancelled(run.action.slug))

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
            result = await action.function(**arguments)
            if run.files.unsettled:
                await run.files.settle()
            outcome = outcome_of(action.slug, result)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001  # also sys.exit() ends the attempt only
            outcome = failure_of(error, action.slug)
        self._end(run, outcome)

    def _begin_elsewhere(
        self, run: _Run, arguments: dict[str, Any], assignment: WorkAssignment
    ) -> None:
        action, name = run.action, run.action.signature.context
        executor = self._executors.find(self._where(action))
        if is_local(executor):
            if name is not None:
                arguments[name] = self._context(run, assignment)
            future = executor.submit(perform, action.slug, action.function, arguments)
        else:
            ticket = self._ticket(run, assignment)
            call = packed(action.function, arguments)
            future = executor.submit(perform_remotely, action.slug, call, ticket)
        run.future = future
        future.add_done_callback(lambda done: self._post.call(self._collect, run, done))

    def _ticket(self, run: _Run, assignment: WorkAssignment) -> Ticket:
        ticket = self._switchboard.ticket(
            _facts(run, assignment),
            self._voice(run),
            run.action.signature.context,
            self._claim(run),
            lambda: self._lost(run),
        )
        run.call = ticket.number
        return ticket

    def _lost(self, run: _Run) -> None:
        """Give up what runs in a process that is gone, unless the executor knows more."""
        self._loop.call_later(_LAST_WORDS_SECONDS, self._end, run, lost(run.action.slug))

    def _where(self, action: Action) -> Where:
        chosen: Where | None = action.executor
        return self._default if chosen is None else chosen

    def _is_remote(self, action: Action) -> bool:
        return not action.asynchronous and not is_local(
            self._executors.find(self._where(action))
        )

    def _reader(self, run: _Run) -> Reader:
        return RemoteFiles(self._claim(run)) if self._is_remote(run.action) else run.files

    def _claim(self, run: _Run) -> Claim:
        run.claim = run.claim or self._porter.claim(run.files)
        return run.claim

    def _context(self, run: _Run, assignment: WorkAssignment) -> Context:
        run.context = Context(_facts(run, assignment), self._voice(run))
        return run.context

    def _voice(self, run: _Run) -> LeaseVoice:
        return LeaseVoice(run.lease, self.session.tell, self._post, run.files)

    def _collect(self, run: _Run, future: Future[Outcome]) -> None:
        """Take in what another thread or process has done."""
        outcome = outcome_elsewhere(run.action.slug, future)
        if run.files.unsettled and not isinstance(outcome, Failure):
            run.started = True
            run.task = self._loop.create_task(self._settle(run, outcome))
        else:
            self._end(run, outcome)

    async def _settle(self, run: _Run, outcome: Outcome) -> None:
        """Wait for files that threads of an action's own are saving."""
        await run.files.settle()
        self._end(run, outcome)

    def _end(self, run: _Run, outcome: Outcome) -> None:
        if self._runs.get(run.lease) is not run:
            return
        if run.context is not None:
            run.context.close()
        self.session.finish(run.lease, outcome)
        self._forget(run)

    def _forget(self, run: _Run) -> None:
        del self._runs[run.lease]
        run.files.close()
        if run.call is not None:
            self._switchboard.forget(run.call)
            if run.future is not None:
                self._drop(run.future)
        if run.claim is not None:
            self._porter.forget(run.claim)
        if not self._runs:
            self.idle.set()

    def _withdraw(self, run: _Run) -> bool:
        """Take back a call that was not started; return whether it was so."""
        if run.task is not None:
            return not run.started and run.task.cancel()
        if run.call is None:
            return run.future is not None and run.future.cancel()
        # Executors do not always know what has begun: the switchboard does.
        return not self._switchboard.has_begun(run.call)

    def _drop(self, future: Future[Outcome]) -> None:
        """Let an executor forget a call, if it can; it may have to ask around for that."""
        if not future.done():
            self._loop.run_in_executor(None, future.cancel)


def _by_key(actions: Iterable[Action]) -> dict[tuple[str, str], Action]:
    """Return actions by service and slug; those asked for without a service are of any."""
    found: dict[tuple[str, str], Action] = {}
    for action in actions:
        found[action.service, action.slug] = action
        found.setdefault(("", action.slug), action)
    return found


def _facts(run: _Run, assignment: WorkAssignment) -> Facts:
    return Facts(
        assignment.operation_id,
        run.action.slug,
        assignment.attempt,
        assignment.step,
        assignment.tenant,
        assignment.traceparent,
    )
