"""Paging: lists of tasks slice by slice, each with what gets the next one."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from longshore.client import Relayed
from longshore.gateway.vitam.errors import Absent, Conflict, NotMet
from longshore.gateway.vitam.query import compiled
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
    limit: int = LIMIT
    offset: int = 0  #: How many ids the slices before had.
    page_token: str = ""

    @property
    def token(self) -> str:
        """Return a text, safe in URLs, from which `listing_at` makes the same again."""
        parts = [self.query, self.limit, self.offset, self.page_token]
        text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
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
        case [str(query), int(limit), int(offset), str(page_token)] if (
            0 < limit <= LIMIT_MOST and offset >= 0 and is_token(token)
        ):
            return Listing(query, limit, offset, page_token)
        case _:
            raise Absent("no list goes on there", "next")


def listing_of(body: Mapping[str, Any], parameters: Mapping[str, str]) -> Listing:
    """Return what a body asks for and, where it says nothing, the parameters of the URL.

    Raises `Absent`, `Conflict` and `NotMet`.
    """
    members = {name: value for name, value in body.items() if value is not None}
    asked = {**parameters, **_paging(body.get("$filter")), **members}
    query, token = _text(asked, "query"), _text(asked, "next")
    listing = Listing(query or "") if token is None else listing_at(token)
    if query is not None and query != listing.query:
        raise Conflict("next goes on with another query", "query")
    if _whole(asked.get("offset", listing.offset), "offset") != listing.offset:
        raise Conflict("lists go on by next, from where the slice before ended", "offset")
    limit = _whole(asked.get("limit", listing.limit), "limit")
    if not 0 < limit <= LIMIT_MOST:
        raise NotMet(f"expected 1 to {LIMIT_MOST}", "limit")
    return replace(listing, limit=limit)


async def slice_of(listing: Listing, asker: Relayed) -> dict[str, Any]:
    """Return the collection list that a listing asks for. Raises `CallError` and `NotMet`.

    It is cut short after five seconds, and says so.
    """
    late = time.monotonic() + _SEARCH_SECONDS
    request = ListTasksRequest(
        filter=compiled(listing.query), page_token=listing.page_token, with_total=True
    )
    ids: list[str] = []
    total: int | None = None
    while True:
        request.page_size = listing.limit - len(ids)
        answer = await asker.ask(request, ListTasksResponse)
        ids += [task.metadata.id for task in answer.tasks]
        if request.with_total and answer.HasField("total_size"):
            total = answer.total_size
        request.page_token, request.with_total = answer.next_page_token, False
        more = bool(request.page_token)
        if not more or len(ids) == listing.limit or time.monotonic() > late:
            break
    reached = listing.offset + len(ids)
    following = replace(listing, offset=reached, page_token=request.page_token)
    return collection_list(
        ids,
        query=listing.query,
        total=max(total or 0, reached + more),
        offset=listing.offset,
        limit=listing.limit,
        time_out=total is None or (more and len(ids) < listing.limit),
        following=following.token if more else None,
    )


def _paging(filtered: object) -> dict[str, Any]:
    """Return limit and offset as `$filter` has them. Raises `NotMet`."""
    if filtered is None:
        return {}
    if not isinstance(filtered, dict):
        raise NotMet("expected an object", "$filter")
    members = cast("dict[str, Any]", filtered)
    if "$orderby" in members:
        raise NotMet("lists begin with the newest task, and have no other order", "$filter")
    return {name: members[f"${name}"] for name in ("limit", "offset") if f"${name}" in members}


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
