"""What every store keeps, table by table, so that one store can be copied into another.

A row is a tuple of int, str, bytes and None, in the order of `Table.columns`. What a store
keeps besides, for itself alone, is not told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Row: TypeAlias = tuple[Any, ...]

_PAGE: Final = 1_000
_PAGE_OF_LARGE_ROWS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table: the columns that make a row the only one of its kind, and all columns."""

    name: str
    key: Sequence[str]
    numbers: Sequence[str] = ()
    texts: Sequence[str] = ()
    free_texts: Sequence[str] = ()  #: Come from callers as they are, U+0000 included.
    data: Sequence[str] = ()  #: Bytes.
    large: bool = False  #: Whether a row may have a MiB.

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.numbers, *self.texts, *self.free_texts, *self.data)

    @property
    def page(self) -> int:
        """So many rows fit into memory, however large they are."""
        return _PAGE_OF_LARGE_ROWS if self.large else _PAGE

    def places(self, columns: Sequence[str]) -> tuple[int, ...]:
        """Return where columns stand in a row."""
        return tuple(map(self.columns.index, columns))


def quoted(columns: Sequence[str]) -> str:
    """Return a list of columns as SQL wants it."""
    return ", ".join(f'"{name}"' for name in columns)


TABLES: Final = (
    Table(
        name="operations",
        key=("number",),
        numbers=(
            *("number", "kind", "state", "lane", "priority", "position", "attempt", "step"),
            *("steps", "session", "token", "reports", "cancel", "wake_time", "revision"),
            *("start_time", "update_time", "end_time", "create_time"),
        ),
        texts=(
            *("tenant", "worker", "policy", "concurrency_key", "fairness_key", "submitter"),
            *("traceparent", "attributes"),
        ),
        free_texts=("message", "request_id"),
        data=("id",),
    ),
    Table(
        name="documents",
        key=("number", "part"),
        numbers=("number", "part"),
        data=("data",),
        large=True,
    ),
    Table(
        name="events",
        key=("revision",),
        numbers=("revision", "number", "kind", "state", "time"),
        texts=("detail", "origin"),
    ),
    Table(
        name="keys",
        key=("tenant", "submitter", "key"),
        numbers=("number",),
        free_texts=("tenant", "submitter", "key"),
        data=("digest",),
    ),
    Table(
        name="files",
        key=("id",),
        numbers=("size", "create_time", "expire_time", "number", "step", "token"),
        texts=("tenant", "path", "content_type", "content_encoding", "content_disposition"),
        data=("id", "blob", "sha256"),
    ),
    Table(name="uses", key=("file", "number"), numbers=("number",), data=("file",)),
    Table(name="blobs", key=("blob",), numbers=("until",), data=("blob",)),
    Table(
        name="channels",
        key=("number",),
        numbers=("number", "revision", "end_time"),
        texts=("tenant", "stream"),
    ),
    Table(
        name="lanes", key=("number",), numbers=("number",), texts=("tenant", "queue", "actions")
    ),
    Table(
        name="sessions",
        key=("number",),
        numbers=("number", "epoch", "slots", "open_time"),
        texts=("tenant", "worker", "queues", "offers"),
        data=("secret",),
    ),
    Table(
        name="services",
        key=("tenant", "slug"),
        texts=("tenant", "slug"),
        data=("document",),
        large=True,
    ),
    Table(
        name="queues",
        key=("tenant", "name"),
        numbers=("pause_time", "limit"),
        texts=("tenant", "name", "paused_by"),
    ),
    Table(
        name="circles",
        key=("tenant", "queue", "priority"),
        numbers=("priority", "plain"),
        texts=("tenant", "queue"),
    ),
    Table(
        name="contracts",
        key=("tenant", "name"),
        texts=("tenant", "name", "templates"),
        data=("document",),
        large=True,
    ),
    Table(
        name="schedules",
        key=("tenant", "name"),
        numbers=("next_time",),
        texts=("tenant", "name", "principal", "stream"),
        data=("document", "last_id"),
        large=True,
    ),
    Table(
        name="accounts",
        key=("tenant", "principal", "service", "username"),
        numbers=("create_time",),
        texts=("tenant", "principal", "service", "username"),
    ),
    Table(
        name="counts",
        key=("lane", "kind", "state"),
        numbers=("lane", "kind", "state", "count"),
    ),
)

#: How far everything has come: numbers, all of them, of one row.
HEAD: Final = (
    *("revision", "compacted", "last_number", "last_session", "last_template", "mode"),
    "resume_on_restart",
)
