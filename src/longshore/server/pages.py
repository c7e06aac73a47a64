"""Pages: one page of a list, read and closed so that it fits into a message."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from longshore.core.callers import Caller
from longshore.core.filters import names_reserved_queue
from longshore.core.ids import text_of
from longshore.core.limits import PAGE_BYTES
from longshore.core.operations import Kind, Record, State
from longshore.core.orders import Order, parse_order
from longshore.core.page_tokens import PageToken, list_question
from longshore.core.store import Page, Query, Store
from longshore.server.checks import page_size
from longshore.server.filters import parse_filter
from longshore.server.messages import parts_of

#: Records read at once with their documents, which may be large: a page may take several.
_AT_ONCE: Final = 200


class ListRequest(Protocol):
    """What all lists are asked by."""

    @property
    def filter(self) -> str: ...
    @property
    def order_by(self) -> str: ...
    @property
    def page_size(self) -> int: ...
    @property
    def page_token(self) -> str: ...
    @property
    def with_total(self) -> bool: ...


class Listed(NamedTuple):
    """A page of encoded operations."""

    rows: list[bytes]
    next_page_token: str
    total: int | None
    revision: int  #: Of the first page.


async def read_page(
    store: Store,
    caller: Caller,
    kind: Kind,
    request: ListRequest,
    encode: Callable[[Record], bytes],
    *,
    full: bool,
) -> Listed:
    """Return a page of a list.

    Raises `InvalidFilter`, `InvalidFields`, `InvalidPageToken`, `LimitExceeded`.
    """
    wanted = parse_filter(request.filter, kind)
    order = parse_order(request.order_by, kind)
    query = Query(
        tenant=caller.tenant,
        kind=kind,
        filter=wanted,
        order=order,
        after=None,
        limit=page_size(request.page_size),
        parts=parts_of(full=full),
        reserved=names_reserved_queue(wanted),
        with_total=request.with_total,
    )
    asked = list_question(caller.tenant, kind, wanted, order)
    return await read_query(store, query, asked, request.page_token, encode)


async def read_query(
    store: Store, query: Query, asked: str, page_token: str, encode: Callable[[Record], bytes]
) -> Listed:
    """Return the page of a query that a token asks for. Raises `InvalidPageToken`."""
    token = PageToken.decode(page_token, asked, query.order.types) if page_token else None
    size = query.limit
    after = None if token is None else token.after
    query = query._replace(after=after, limit=min(size, _AT_ONCE))
    first = await store.find(query)
    rows, place = await _rows(store, query, first, size, encode)
    revision = first.revision if token is None else token.revision
    following = "" if place is None else PageToken(asked, place, revision).encode()
    return Listed(rows, following, first.total, revision)


async def _rows(
    store: Store, query: Query, page: Page, size: int, encode: Callable[[Record], bytes]
) -> tuple[list[bytes], tuple[str | int, ...] | None]:
    """Return encoded rows until the page is full, and where the next one begins."""
    rows: list[bytes] = []
    room = PAGE_BYTES
    last: Record | None = None
    while True:
        for record in page.records:
            row = encode(record)
            if last is not None and len(row) > room:
                return rows, sort_values(last, query.order)
            rows.append(row)
            room -= len(row)
            last = record
        limit = min(size - len(rows), _AT_ONCE)
        # A short page with a place to go on says that reading it took long already.
        if page.after is None or limit <= 0 or len(page.records) < query.limit:
            return rows, _place(page)
        query = query._replace(after=page.after, limit=limit, with_total=False)
        page = await store.find(query)


def _place(page: Page) -> tuple[str | int, ...] | None:
    return None if page.after is None else tuple(map(_token_value, page.after))


def _token_value(value: object) -> str | int:
    assert isinstance(value, str | int)
    return value


def sort_values(record: Record, order: Order) -> tuple[str | int, ...]:
    """Return what a record holds in the keys of an order."""
    return tuple(_VALUES[key.field](record) for key in order.keys)


def _attribute(name: str) -> Callable[[Record], str]:
    def read(record: Record) -> str:
        attributes = record.facts.attributes
        return str(json.loads(attributes).get(name, "")) if attributes else ""

    return read


def _number(name: str) -> Callable[[Record], int]:
    def read(record: Record) -> int:
        attributes = record.facts.attributes
        return int(json.loads(attributes).get(name, 0)) if attributes else 0

    return read


_VALUES: Final[dict[str, Callable[[Record], str | int]]] = {
    "id": lambda record: text_of(record.operation.id),
    "number": lambda record: record.operation.number,
    "submitter": lambda record: record.facts.submitter,
    "create_time": lambda record: record.facts.create_time,
    "state": lambda record: record.operation.state,
    "queue": lambda record: record.queue,
    "priority": lambda record: record.operation.priority,
    "update_time": lambda record: record.operation.update_time,
    "name": _attribute("name"),
    "service": _attribute("service"),
    "account": _attribute("account"),
    "contract": _attribute("contract"),
    "template_id": _number("template_id"),
    "template_name": _attribute("template_name"),
    "template_revision": _number("template_revision"),
    "position": lambda record: record.operation.position,
    "running": lambda record: int(record.operation.state == State.RUNNING),
}
