"""Connections to the database, and the edge at which asyncpg's errors become the domain's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from longshore.core.errors import LongshoreError, StoreUnavailable

_T = TypeVar("_T")

Row: TypeAlias = asyncpg.Record
Connection: TypeAlias = "asyncpg.Connection[Row]"
#: A connection of one's own, or one that is lent.
AnyConnection: TypeAlias = "asyncpg.Connection[Row] | PoolConnectionProxy[Row]"

#: Everything that asyncpg and the network raise. The last of asyncpg's is met, rarely, by who
#: asks at the moment at which the database ends the connection.
DATABASE_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)

_READERS: Final = 5  #: Reads that are made at once, …
_LONG_READS: Final = 3  #: … and of these such as may take long.
_PATIENCE: Final = 5.0  #: Seconds for a connection, and for the database to answer at all.
#: Seconds that a list may take that must look at everything; see `lists`.
_LONG_PATIENCE: Final = 30.0

#: What is to be done where that is known.
_ADVICE: Final = {
    asyncpg.InvalidPasswordError: "; the password is that of the URL, of PGPASSWORD, or of a passfile",
    asyncpg.InvalidCatalogNameError: "; createdb makes it, with the encoding UTF8",
}

#: So the database gives up a connection whose other end is gone within a minute, not hours.
_KEEPALIVE: Final = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}

#: One state of the store for all queries, and nothing that outlives the transaction. Lists are
#: planned for what they ask, so that they find the indexes of what waits or runs; compiling
#: them would take longer than most of them do.
LONG_SNAPSHOT: Final = f"""
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL statement_timeout = '{_LONG_PATIENCE:g}s';
    SET LOCAL idle_in_transaction_session_timeout = '{_PATIENCE:g}s';
    SET LOCAL plan_cache_mode = force_custom_plan;
    SET LOCAL jit = off;
"""
#: What must not take long finds everything by an index, however small a table seems to be.
SHORT_SNAPSHOT: Final = f"""
    {LONG_SNAPSHOT}
    SET LOCAL statement_timeout = '{_PATIENCE:g}s';
    SET LOCAL enable_seqscan = off
"""
#: Of every type that is sent or read in lists.
_LISTS: Final = "SELECT $1::smallint[], $2::integer[], $3::bigint[], $4::text[], $5::bytea[]"


@dataclass(frozen=True)
class Address:
    """Where a database is, as a URL says it: `postgresql://user:password@host:port/name`.

    With `pooled=true` among the options of the URL connections may be shared by others between
    transactions, as PgBouncer does it: then nothing is kept in a session.
    """

    dsn: str = field(repr=False)  #: May hold a password.
    pooled: bool = False

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read a URL. Raises `StoreUnavailable`."""
        place, _, query = url.partition("?")
        options = parse_qsl(query, keep_blank_values=True)
        given = dict(options).get("pooled", "false")
        if given not in ("true", "false"):
            raise StoreUnavailable(
                f"pooled={given} in the store's URL is neither true nor false"
            )
        rest = urlencode([option for option in options if option[0] != "pooled"])
        return cls(f"{place}?{rest}" if rest else place, given == "true")

    def __str__(self) -> str:
        """Return it without password and options."""
        parts = urlsplit(self.dsn)
        hosts = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{hosts}{parts.path}"


@contextlib.contextmanager
def translated() -> Generator[None]:
    """Let no error of asyncpg or of the network leave this package."""
    try:
        yield
    except DATABASE_ERRORS as error:
        raise StoreUnavailable(f"the store cannot be used: {said(error)}") from error


def said(error: BaseException) -> str:
    """Return what an error says; some say nothing but what they are."""
    name = "it does not answer" if isinstance(error, TimeoutError) else type(error).__name__
    return str(error) or name


async def connect(address: Address) -> Connection:
    """Open a connection. Raises `StoreUnavailable`."""
    try:
        connection: Connection = await asyncpg.connect(
            address.dsn, command_timeout=_PATIENCE, **_settings(address)
        )
        await _learn_types(connection)
    except (*DATABASE_ERRORS, ValueError) as error:
        raise _unreachable(address, error) from error
    return connection


async def _learn_types(connection: AnyConnection) -> None:
    """Let asyncpg look up the types of lists, for which it changes settings of the session."""
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetch(_LISTS, [], [], [], [], [])
        await transaction.rollback()
    except BaseException:
        connection.terminate()
        raise


def _settings(address: Address) -> dict[str, Any]:
    settings: dict[str, Any] = {"timeout": _PATIENCE}
    if address.pooled:
        settings["statement_cache_size"] = 0
    else:
        settings["server_settings"] = _KEEPALIVE
    return settings


def _unreachable(address: Address, error: BaseException) -> StoreUnavailable:
    advice = next((words for kind, words in _ADVICE.items() if isinstance(error, kind)), "")
    return StoreUnavailable(f"the store {address} cannot be reached: {said(error)}{advice}")


class Writing:
    """The one connection that writes; taken anew after it was lost."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: Connection | None = None

    async def connection(self) -> Connection:
        """Return the connection. Raises `StoreUnavailable`; the next call tries again."""
        kept = self._connection
        if kept is None or kept.is_closed():
            self._connection = kept = await connect(self._address)
        return kept

    @property
    def pid(self) -> int | None:
        """The process of the database that serves the connection, if there is one."""
        return None if self._connection is None else self._connection.get_server_pid()

    def drop(self) -> None:
        """Give the connection up: nobody knows in which state it is."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(*DATABASE_ERRORS):
                await self._connection.close(timeout=_PATIENCE)
            self._connection = None


class Readers:
    """A few connections that only read, taken when they are needed."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._pool: asyncpg.Pool[Row] | None = None
        self._long_reads = asyncio.Semaphore(_LONG_READS)

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(
            self._address.dsn,
            min_size=0,
            max_size=_READERS,
            init=_learn_types,
            reset=_nothing,
            **_settings(self._address),
        )

    async def fetch(self, sql: str, *parameters: Any) -> list[Row]:
        """Return the rows of one query, which is a snapshot by itself."""
        # Between transactions a shared connection forgets what it was told to prepare.
        lent = self._snapshot() if self._address.pooled else self._lent(_PATIENCE)
        async with lent as connection:
            return await connection.fetch(sql, *parameters)

    async def read(self, function: Callable[[AnyConnection], Awaitable[_T]]) -> _T:
        """Return what the function reads in one snapshot."""
        return await self._read(function, long=False)

    async def read_long(self, function: Callable[[AnyConnection], Awaitable[_T]]) -> _T:
        """Return what the function reads in one snapshot, and let all others go on meanwhile."""
        async with self._long_reads:
            return await self._read(function, long=True)

    async def _read(
        self, function: Callable[[AnyConnection], Awaitable[_T]], *, long: bool
    ) -> _T:
        async with self._snapshot(long=long) as connection:
            try:
                return await function(connection)
            except LongshoreError as error:
                refused = error  # What was asked is wrong, not the connection.
        raise refused

    @contextlib.asynccontextmanager
    async def _lent(self, patience: float) -> AsyncGenerator[AnyConnection]:
        if self._pool is None:
            raise StoreUnavailable("the store is not open")
        with translated():
            async with asyncio.timeout(patience), self._pool.acquire() as connection:
                try:
                    yield connection
                except BaseException:
                    # What it was doing may not be over. A new one takes little time. One that
                    # was lost is not lent any more, and what it met first is what is told.
                    with contextlib.suppress(asyncpg.InterfaceError):
                        connection.terminate()
                    raise

    @contextlib.asynccontextmanager
    async def _snapshot(self, *, long: bool = False) -> AsyncGenerator[AnyConnection]:
        async with self._lent(_LONG_PATIENCE if long else _PATIENCE) as connection:
            await connection.execute(LONG_SNAPSHOT if long else SHORT_SNAPSHOT)
            yield connection
            await connection.execute("COMMIT")

    async def close(self) -> None:
        """Let what is being read end, then close the connections."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), _LONG_PATIENCE)
        except DATABASE_ERRORS:
            pool.terminate()


async def _nothing(connection: Connection) -> None:
    """Do nothing to a connection that comes back: no state was left in its session."""
