"""The installed command as processes: started, listened to, stopped, killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.acceptance.waiting import eventually, within

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("longshore")

#: Becomes the command under a limit on the size of the files that it writes.
_LIMITED = (
    "import os, resource, sys; "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)


class Program:
    """A running command. Everything that it says is kept, and shown when a test fails."""

    def __init__(
        self,
        *arguments: str | Path,
        environment: Mapping[str, str] | None = None,
        file_bytes: int | None = None,
    ) -> None:
        self.arguments = [str(COMMAND), *map(str, arguments)]
        if file_bytes is not None:
            self.arguments = [
                sys.executable,
                "-c",
                _LIMITED,
                str(file_bytes),
                *self.arguments,
            ]
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        self.out: list[str] = []
        self.err: list[str] = []
        self._process: asyncio.subprocess.Process | None = None
        self._listening: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
            cwd=ROOT,
        )
        self._listening = [
            asyncio.create_task(_listen(self._process.stdout, self.out)),
            asyncio.create_task(_listen(self._process.stderr, self.err)),
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.ended()
        if error is not None:
            print(f"--- {' '.join(self.arguments[-6:])} (pid {self.pid})")
            print("\n".join([*self.out[-40:], *self.err[-80:]]))

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.returncode is None

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def freeze(self) -> None:
        """Stop it as if its machine had been suspended."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    async def kill(self) -> None:
        """End it as a power cut would."""
        self.signal(signal.SIGKILL)
        await self.ended()

    async def ended(self) -> int:
        """Wait for its end and return its exit code."""
        code = await within(self.process.wait(), f"the end of {self.arguments}")
        await asyncio.gather(*self._listening)
        return code

    async def terminate(self) -> int:
        """Ask it to end and return its exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    async def said(self, pattern: str, lines: Sequence[str] | None = None) -> re.Match[str]:
        """Return the first line that it has said, or says yet, and that matches."""
        watched = [self.out, self.err] if lines is None else [lines]

        def look() -> re.Match[str] | None:
            for line in (line for each in watched for line in each):
                if found := re.search(pattern, line):
                    return found
            if not self.running:
                said = "\n".join([*self.out, *self.err])
                raise AssertionError(f"ended with {self.process.returncode}:\n{said}")
            return None

        found = await eventually(look, f"a line like {pattern!r}")
        assert found is not None
        return found

    def resident_bytes(self) -> int:
        """Return how much memory it holds."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def most_resident_bytes(self) -> int:
        """Return how much memory it has held at most."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024


class Server(Program):
    """`longshore serve` on a free port, over one file or the URL of a database."""

    def __init__(
        self,
        store: Path | str,
        *options: str | Path,
        listen: str = "127.0.0.1:0",
        **how: object,
    ) -> None:
        super().__init__(
            "serve",
            "--listen",
            listen,
            "--store",
            f"sqlite:{store}" if isinstance(store, Path) else store,
            *options,
            **how,  # type: ignore[arg-type]
        )
        self.address = ""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        try:
            found = await self.said(r"127\.0\.0\.1:\d+", self.out)
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        self.address = found[0]
        return self


class Dockhand(Program):
    """`longshore worker` with the actions of `tests.acceptance.work`."""

    def __init__(
        self,
        server: str,
        journal: Path,
        *,
        name: str = "",
        slots: int = 4,
        grace: str = "20s",
        queues: Sequence[str] = ("default",),
        tenant: str = "default",
    ) -> None:
        super().__init__(
            "worker",
            "tests.acceptance.work:worker",
            "--server",
            server,
            "--grace",
            grace,
            *("--tenant", tenant),
            *(f"--queue={queue}" for queue in queues),
            environment=dockhand_environment(journal, name, slots),
        )


def dockhand_environment(journal: Path, name: str = "", slots: int = 4) -> dict[str, str]:
    return {
        "DOCKHAND_JOURNAL": str(journal),
        "DOCKHAND_NAME": name,
        "DOCKHAND_SLOTS": str(slots),
    }


async def _listen(stream: asyncio.StreamReader | None, lines: list[str]) -> None:
    assert stream is not None
    while line := await stream.readline():
        lines.append(line.decode(errors="replace").rstrip())
