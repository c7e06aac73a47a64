"""Processes under measurement: started, asked what they use, and always stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_LONGSHORE: Final = str(Path(sys.executable).with_name("longshore"))
_QUIET: Final = ("--log-level", "warning")
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Running:
    """A process of ours. `address` is what its first line of output named, `url` its second."""

    pid: int
    address: str
    url: str = ""

    def resident_bytes(self) -> int:
        """Return how much memory it has resident, from the kernel's books."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    def forget_peak(self) -> None:
        """Let `peak_bytes` count from now on."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        """Return how much memory it had resident at most."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = (one for one in status.splitlines() if one.startswith("VmHWM:"))
        return int(line.split()[1]) * 1_024

    def cpu_seconds(self) -> float:
        """Return the processor time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def longshore_server(
    store: str, profile: Path | None, *options: str
) -> AsyncGenerator[Running]:
    """Run `longshore serve` over the store of a URL, on a free port of loopback.

    With `profile` it runs under the profiler, which makes it slow, and writes there at its end.
    With the option `--http` its gateway has a URL.
    """
    command = ["serve", "--store", store, "--listen", "127.0.0.1:0", *_QUIET]
    command += options
    profiled = [sys.executable, "-m", "cProfile", "-o", str(profile)] if profile else []
    says = 2 if "--http" in options else 1
    async with _process(*profiled, _LONGSHORE, *command, says=says) as running:
        yield running


@asynccontextmanager
async def longshore_worker(
    module: str, server: str, slots: int | None = None
) -> AsyncGenerator[Running]:
    """Run `longshore worker` for a module's `worker`; it connects in its own time."""
    command = ["worker", f"{module}:worker", "--server", server, *_QUIET]
    if slots is not None:
        command += ["--slots", str(slots)]
    async with _process(_LONGSHORE, *command, says=0) as running:
        yield running


@asynccontextmanager
async def other_worker(queue: str, place: str, slots: int) -> AsyncGenerator[Running]:
    """Run a worker of another queue over a file or a database."""
    command = [sys.executable, "-m", "tests.benchmarks.other_worker"]
    async with _process(*command, queue, place, str(slots), says=0) as running:
        yield running


@asynccontextmanager
async def echo_server(response: bytes) -> AsyncGenerator[Running]:
    """Run the bare server that answers every call with the same message."""
    command = [sys.executable, "-m", "tests.benchmarks.echo"]
    async with _process(*command, given=response.hex()) as running:
        yield running


@asynccontextmanager
async def longshore_gateway(server: str) -> AsyncGenerator[Running]:
    """Run `longshore gateway` for a server, on a free port of loopback."""
    command = [_LONGSHORE, "gateway", "--server", server, "--http", "127.0.0.1:0", *_QUIET]
    async with _process(*command) as running:
        yield running


@asynccontextmanager
async def http_echo() -> AsyncGenerator[Running]:
    """Run the bare HTTP server that answers with what it is sent."""
    async with _process(sys.executable, "-m", "tests.benchmarks.http_echo") as running:
        yield running


@asynccontextmanager
async def byte_server() -> AsyncGenerator[Running]:
    """Run the bare server that takes bytes in and hands bytes out."""
    async with _process(sys.executable, "-m", "tests.benchmarks.byte_stream") as running:
        yield running


@asynccontextmanager
async def _process(*command: str, given: str = "", says: int = 1) -> AsyncGenerator[Running]:
    """Run a command that says so many addresses, one a line."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=PIPE,
        stdout=PIPE if says else None,
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(f"{given}\n".encode())
        process.stdin.close()
        addresses = [await _address(process, command) for _ in range(says)]
        yield Running(process.pid, *addresses or ("",))
        if process.returncode is not None:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    finally:
        await _stop(process)


async def _address(process: Process, command: Sequence[str]) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(_START_SECONDS):
        line = (await process.stdout.readline()).decode().strip()
    _, found, address = line.rpartition("listening on ")
    if not found:
        raise RuntimeError(f"{' '.join(command)} said {line!r} instead of its address")
    return address


async def _stop(process: Process) -> None:
    """Ask a process to end, insist after a while; its session takes its children along."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            print(
                f"process {process.pid} did not stop in {_STOP_SECONDS:.0f} s", file=sys.stderr
            )
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
