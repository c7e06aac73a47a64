"""Stores by their URLs: everything that a command knows of where all is kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import click

from longshore.cli.settings import setting
from longshore.core.store import Store
from longshore.server.codec import ProtoCodec
from longshore.stores.condition import Condition
from longshore.stores.copying import Side, Target
from longshore.stores.sqlite import copying as files
from longshore.stores.sqlite.condition import condition as condition_of_file
from longshore.stores.sqlite.store import SqliteStore

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_STORE: Final = "sqlite:longshore.db"

_SQLITE: Final = "sqlite:"
_POSTGRESQL: Final = "postgresql://"
#: Hosts after the user, each perhaps with a port. What does not match may be half a password.
_HOSTS: Final = re.compile(r"([^@]*@)?(([^@:\[\],]*|\[[^@\[\],]*\])(:\d*)?(,|$))*")


class InvalidStore(ValueError):
    """No store is named so; never shows a password."""


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Where a store is: `sqlite:PATH`, or the URL of a PostgreSQL database."""

    url: str = field(repr=False)  #: May hold a password.

    @classmethod
    def parse(cls, url: str) -> Self:
        """Check a URL. Raises `InvalidStore`."""
        if url.startswith(_SQLITE) and url != _SQLITE:
            return cls(url)
        if not url.startswith(_POSTGRESQL):
            raise InvalidStore("write sqlite:PATH or postgresql://USER@HOST/DATABASE")
        if not _is_clear(url):
            raise InvalidStore(
                "this URL cannot be read: in a password whatever is no letter and no digit is "
                "written as in %40 for @; or leave it to PGPASSWORD or a passfile"
            )
        return cls(url)

    @property
    def path(self) -> str | None:
        """The file of an SQLite store; None: any number of servers may share the store."""
        return self.url.removeprefix(_SQLITE) if self.url.startswith(_SQLITE) else None

    def store(self) -> Store:
        """Return the store, not yet opened."""
        if self.path is not None:
            return SqliteStore(self.path, ProtoCodec())
        # What needs libraries that not everybody has is imported where it is wanted.
        from longshore.stores.postgres.store import PostgresStore  # noqa: PLC0415

        return PostgresStore(self.url, ProtoCodec())

    async def condition(self) -> Condition:
        """Return how the store is, without changing it. Raises `StoreUnavailable`."""
        if self.path is not None:
            return condition_of_file(self.path)
        from longshore.stores.postgres.condition import condition  # noqa: PLC0415

        return await condition(self.url)

    def source(self) -> AbstractAsyncContextManager[Side]:
        """Have the store to copy from. Raises `StoreUnavailable`."""
        if self.path is not None:
            return files.source(self.path)
        from longshore.stores.postgres import copying as databases  # noqa: PLC0415

        return databases.source(self.url)

    def target(self) -> AbstractAsyncContextManager[Target]:
        """Have the store to copy into. Raises `StoreUnavailable`."""
        if self.path is not None:
            return files.target(self.path)
        from longshore.stores.postgres import copying as databases  # noqa: PLC0415

        return databases.target(self.url)

    def __str__(self) -> str:
        """Return it without a password."""
        if self.path is not None:
            return self.url
        parts = urlsplit(self.url)
        return f"{_POSTGRESQL}{parts.netloc.rpartition('@')[2]}{parts.path}"


def _is_clear(url: str) -> bool:
    """Whether it can be told what of a URL is a password, and what is not."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    names = [option.partition("=")[0] for option in parts.query.split("&")]
    odd = "@" in parts.path or "#" in url or any("@" in name for name in names)
    return not odd and _HOSTS.fullmatch(parts.netloc) is not None


class StoreType(click.ParamType[StorePlace]):
    """A store, of which no message shows a password."""

    name = "url"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> StorePlace:
        if isinstance(value, StorePlace):
            return value
        try:
            place = StorePlace.parse(str(value))
        except InvalidStore as error:
            self.fail(str(error), param, ctx)
        if place.path is None:
            _need_postgres()
        return place


def _need_postgres() -> None:
    """Raise `click.UsageError` if something is not installed that PostgreSQL needs."""
    try:
        import_module("longshore.stores.postgres.store")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("longshore"):
            raise
        raise click.UsageError(
            f"PostgreSQL needs {error.name}, which is not installed: "
            "pip install 'longshore[postgres]'"
        ) from None


def store_option(help_: str) -> Callable[[F], F]:
    """Declare `--store`; the command gets a `StorePlace`."""
    return setting(
        "--store",
        type=StoreType(),
        default=DEFAULT_STORE,
        # In so many words: a file of options may hold a password.
        show_default=DEFAULT_STORE,
        metavar="sqlite:PATH|postgresql://USER@HOST/DATABASE",
        help=f"{help_} The list of processes shows a password in it: rather use the "
        "environment, PGPASSWORD or a passfile.",
    )
