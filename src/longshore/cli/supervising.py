"""Many processes behind one port: started, watched over, started again, and stopped as one."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
import time
from collections.abc import Coroutine, Generator, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import click
import structlog

from longshore.cli.output import say
from longshore.cli.serving import Serving
from longshore.cli.stopping import stopped_by_signals
from longshore.cli.supervised import Logs, Refusal, serve_supervised
from longshore.server.app import CannotListen

log = structlog.get_logger()

T = TypeVar("T")

#: Nothing of gRPC may be forked.
_SPAWN: Final = multiprocessing.get_context("spawn")

_STEADY_SECONDS: Final = 10.0  #: Whoever has served so long has not died at once.
_FIRST_SECONDS: Final = 0.2  #: Before a process is started again; twice as long every time.
_LONGEST_SECONDS: Final = 30.0
_MOST_FALLS: Final = 4  #: One after the other, at once, before it is given up.


class Unsteady(click.ClickException):
    """The processes of a server do not serve; says why."""


class _Died(Exception):
    """A process has ended without a word."""


class _Child:
    """A process, and what it says."""

    def __init__(self, number: int, serving: Serving, logs: Logs) -> None:
        self._receiver, sender = _SPAWN.Pipe(duplex=False)
        self._process = _SPAWN.Process(
            target=serve_supervised, args=(serving, logs, sender), name=str(number)
        )
        self._process.start()
        sender.close()
        self._ended = asyncio.create_task(self._end(), name=f"process-{number}")

    @property
    def pid(self) -> int | None:
        return self._process.pid

    async def word(self) -> str:
        """Return what it announces next.

        Raises `Unsteady` or `click.UsageError` if it refuses, and `_Died`.
        """
        await _readable(self._receiver.fileno())
        try:
            said = self._receiver.recv()
        except (EOFError, OSError):
            raise _Died(_meaning(await self.ended())) from None
        if isinstance(said, Refusal):
            await self.ended()
            raise (click.UsageError if said.mistake else Unsteady)(said.message)
        return str(said)

    async def why(self) -> str:
        """Return why it has ended, once it has."""
        code = await self.ended()
        with contextlib.suppress(EOFError, OSError):
            said = self._receiver.recv() if self._receiver.poll() else None
            if isinstance(said, Refusal):
                return said.message
        return _meaning(code)

    async def ended(self) -> int:
        """Return its exit code once it has ended; below 0: the signal that ended it."""
        return await asyncio.shield(self._ended)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    async def _end(self) -> int:
        await _readable(self._process.sentinel)
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode


class _Seat:
    """The place of one process, which is filled again when it is empty."""

    def __init__(self, number: int, serving: Serving, logs: Logs) -> None:
        self._number = number
        # Workers inside run once, as they do in a server of one process.
        self._serving = serving if number == 1 else replace(serving, workers=(), demo=False)
        self._logs = logs
        self._falls = 0
        self._why = ""
        self._serves_since: float | None = None  #: On the monotonic clock.
        self.child: _Child | None = None

    @property
    def steady(self) -> bool:
        since = self._serves_since
        return since is not None and time.monotonic() - since >= _STEADY_SECONDS

    async def fill(self) -> list[str]:
        """Start a process; return what it announces. Raises as `_Child.word` does."""
        self.child = _Child(self._number, self._serving, self._logs)
        log.info("process_started", process=str(self._number), pid=self.child.pid)
        words = [await self.child.word()]
        if self._serving.gateway is not None:
            words.append(await self.child.word())
        self._serves_since = time.monotonic()
        return words

    async def keep(self, seats: Sequence[_Seat]) -> None:
        """Fill it whenever it is empty. Raises `Unsteady` if that is of no use."""
        while True:
            assert self.child is not None
            self._note(await self.child.why())
            while self._serves_since is None:
                if self._falls >= _MOST_FALLS and not any(one.steady for one in seats):
                    raise Unsteady(f"no process of the server stays alive: {self._why}")
                wait = _FIRST_SECONDS * 2 ** min(self._falls, 10)
                await asyncio.sleep(min(wait, _LONGEST_SECONDS))
                try:
                    await self.fill()
                except (click.ClickException, _Died) as error:
                    self._note(str(error))

    def _note(self, why: str) -> None:
        self._falls = 0 if self.steady else self._falls + 1
        self._serves_since, self._why = None, why
        log.error("process_ended", process=str(self._number), why=why)

    async def leave(self) -> int:
        """Let its process drain; return the exit code."""
        if self.child is None:
            return 0
        self.child.terminate()
        code = await self.child.ended()
        # What has not begun to serve has nothing to drain.
        return 0 if self._serves_since is None else code


async def run_processes(serving: Serving, logs: Logs) -> None:
    """Serve by several processes until a signal, then drain them; a second signal ends them.

    Raises `Unsteady` or `click.UsageError` if one cannot be started, or none can any more, and
    `CannotListen`.
    """

    def kill() -> None:
        for seat in seats:
            if seat.child is not None:
                seat.child.kill()

    seats: list[_Seat] = []
    stopped = stopped_by_signals(kill)
    with _addressed(serving) as addressed:
        seats += [_Seat(number + 1, addressed, logs) for number in range(serving.processes)]
        try:
            if words := await _until(stopped, _filled(seats)):
                for line in words:
                    say(line)
                await _until(stopped, _kept(seats))
        finally:
            codes = await asyncio.gather(*(seat.leave() for seat in seats))
    if failed := [code for code in codes if code]:
        raise Unsteady(f"a process did not end well: {_meaning(failed[0])}")
    log.info("stopped")


async def _filled(seats: Sequence[_Seat]) -> list[str]:
    """Start all processes; return what each of them announces."""
    try:
        words = await asyncio.gather(*(seat.fill() for seat in seats))
    except _Died as error:
        raise Unsteady(
            f"a process of the server died as soon as it was started: {error}"
        ) from None
    return words[0]


async def _kept(seats: Sequence[_Seat]) -> None:
    await asyncio.gather(*(seat.keep(seats) for seat in seats))


async def _until(stopped: asyncio.Future[None], work: Coroutine[Any, Any, T]) -> T | None:
    """Return what work gives, or None if it is stopped before."""
    task = asyncio.ensure_future(work)
    await asyncio.wait((stopped, task), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return None


@contextlib.contextmanager
def _addressed(serving: Serving) -> Generator[Serving]:
    """Hold the ports of a server for its processes; yield it with their numbers."""
    gateway = serving.gateway
    with contextlib.ExitStack() as stack:
        if gateway is not None:
            held = stack.enter_context(_held(gateway.listen))
            gateway = replace(gateway, listen=_with_port(gateway.listen, held), shared=True)
        held = stack.enter_context(_held(serving.listen))
        yield replace(serving, listen=_with_port(serving.listen, held), gateway=gateway)


def _with_port(listen: str, held: socket.socket) -> str:
    return f"{listen.rpartition(':')[0]}:{held.getsockname()[1]}"


def _held(listen: str) -> socket.socket:
    """Return what holds a port, so that only processes of the same user can share it.

    Nobody is connected with it, because it does not listen. Raises `CannotListen`.
    """
    host, _, port = listen.rpartition(":")
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        # Another server may share its port as well, but not with this one.
        with socket.socket(family, socket.SOCK_STREAM) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(address)
        held = socket.socket(family, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(address)
    except OSError as error:
        raise CannotListen(f"cannot listen on {listen}: {error.strerror}") from None
    return held


async def _readable(descriptor: int) -> None:
    """Wait until something can be read, be it the end."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)


def _meaning(code: int) -> str:
    """Return an exit code in words."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"
