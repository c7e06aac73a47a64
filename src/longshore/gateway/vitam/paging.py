"""Paging: lists of tasks slice by slice, each with what gets the next one."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, Final, cast

from longshore.client import Relayed
from longshore.gateway.vitam.errors import Absent, Conflict, NotMet
from longshore.gateway.vitam.query import compiled, ordered
from longshore.gateway.vitam.shapes import collection_list
from longshore.v1.task_service_pb2 import ListTasksRequest, ListTasksResponse

LIMIT: Final = 100
LIMIT_MOST: Final = 1_000

_PREFIX: Final = "next_"  #: Begins what gets a slice; no id of a task begins so.
_SEARCH_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Listing:
    """What is listed, and from where on."""

    query: str = ""
    order: str = ""  #: As servers write it; empty: the newest first.
    limit: int = LIMIT
    offset: int = 0  #: How many come before this slice.
    skipped: int = 0  #: How many of them are still to be passed over.
    page_token: str = ""

    @property
    def token(self) -> str:
        """Return a text, safe in URLs, from which `listing_at` makes the same again."""
        text = json.dumps(astuple(self), separators=(",", ":"), ensure_ascii=False)
        encoded = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        return _PREFIX + encoded


def is_token(text: str) -> bool:
    return text.startswith(_PREFIX)


def listing_at(token: str) -> Listing:
    """Return what a token stands for. Raises `Absent`."""
    encoded = token.removeprefix(_PREFIX)
    padded = encoded + "=" * (-len(encoded) % 4)
    try:
        parts: object = json.loads(base64.b64decode(padded, b"-_", validate=True))
    except (ValueError, RecursionError):
        parts = None
    match parts:
        case [str(), str(), int(limit), int(offset), int(skipped), str()] if (
            0 < limit <= LIMIT_MOST and 0 <= skipped <= offset and is_token(token)
        ):
            return Listing(*cast("list[Any]", parts))
        case _:
            raise Absent("no list goes on there", "next")


def listing_of(body: Mapping[str, Any], parameters: Mapping[str, str]) -> Listing:
    """Return what a body asks for and, where it says nothing, the parameters of the URL.

    Raises `Absent`, `Conflict` and `NotMet`.
    """
    members = {name: value for name, value in body.items() if value is not None}
    plain = {name.removeprefix("$"): value for name, value in parameters.items()}
    asked = {**plain, **_paging(body.get("$filter")), **members}
    token = _text(asked, "next")
    limit = _whole(asked.get("limit", LIMIT), "limit")
    if not 0 < limit <= LIMIT_MOST:
        raise NotMet(f"expected 1 to {LIMIT_MOST}", "limit")
    offset = _whole(asked.get("offset", 0), "offset")
    if offset < 0:
        raise NotMet("expected 0 or more", "offset")
    query, order = _text(asked, "query") or "", ordered(asked.get("orderby"))
    if token is None:
        return Listing(query, order, limit, offset, offset)
    listing = listing_at(token)
    for name, wanted, had in (
        ("query", query, listing.query),
        ("orderby", order, listing.order),
        ("offset", offset, listing.offset),
    ):
        if name in asked and wanted != had:
            raise Conflict("next goes on with the list that it was told with", name)
    return replace(listing, limit=limit) if "limit" in asked else listing


async def slice_of(listing: Listing, asker: Relayed) -> dict[str, Any]:
    """Return the collection list that a listing asks for. Raises `CallError` and `NotMet`.

    It is cut short after five seconds, and says so.
    """
    ids, total, following = await _searched(listing, asker)
    more = following is not None
    return collection_list(
        ids,
        query=listing.query,
        total=max(total or 0, listing.offset + len(ids) + more if ids else 0),
        offset=listing.offset,
        limit=listing.limit,
        time_out=total is None or (more and len(ids) < listing.limit),
        following=following.token if following else None,
    )


async def _searched(
    listing: Listing, asker: Relayed
) -> tuple[Sequence[str], int | None, Listing | None]:
    """Return the ids of a slice, how many there are in all, and the listing that follows."""
    late = time.monotonic() + _SEARCH_SECONDS
    request = ListTasksRequest(
        filter=compiled(listing.query),
        order_by=listing.order,
        page_token=listing.page_token,
        with_total=True,
    )
    ids: list[str] = []
    skipped = listing.skipped
    total: int | None = None
    while True:
        request.page_size = min(skipped, LIMIT_MOST) or listing.limit - len(ids)
        answer = await asker.ask(request, ListTasksResponse)
        if skipped:
            skipped -= len(answer.tasks)
        else:
            ids += [task.metadata.id for task in answer.tasks]
        if request.with_total and answer.HasField("total_size"):
            total = answer.total_size
        token = answer.next_page_token
        if not token:
            return ids, total, None
        if len(ids) == listing.limit or time.monotonic() > late:
            offset = listing.offset + len(ids)
            following = replace(listing, offset=offset, skipped=skipped, page_token=token)
            return ids, total, following
        request.page_token, request.with_total = token, False


def _paging(filtered: object) -> dict[str, Any]:
    """Return what `$filter` says of the slice, without the dollars. Raises `NotMet`."""
    if filtered is None:
        return {}
    if not isinstance(filtered, dict):
        raise NotMet("expected an object", "$filter")
    members = cast("dict[str, Any]", filtered)
    told = {name: members.get(f"${name}") for name in ("limit", "offset", "orderby")}
    return {name: value for name, value in told.items() if value is not None}


def _text(asked: Mapping[str, Any], name: str) -> str | None:
    value = asked.get(name)
    if value is not None and not isinstance(value, str):
        raise NotMet("expected a string", name)
    return value


def _whole(value: object, name: str) -> int:
    """Return a whole number, of JSON or of a URL. Raises `NotMet`."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise NotMet("expected a whole number", name)
