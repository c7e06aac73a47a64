"""Paging: full pages of jobs, and the link of the next one."""

from __future__ import annotations

import time
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from starlette.requests import Request

from longshore.client import Relayed
from longshore.gateway.dataone.query import ListQuery, meant
from longshore.gateway.links import Links
from longshore.v1.job_service_pb2 import Job, ListJobsRequest, ListJobsResponse

#: A page that takes longer to fill is answered with what there is.
_PATIENCE_SECONDS: Final = 2.0


class Page(NamedTuple):
    """A part of a list."""

    jobs: list[Job]
    cursor: str  #: Of the next one; empty on the last.


async def page_of(asking: Relayed, query: ListQuery) -> Page:
    """Return as many jobs as are wanted, if there are; Longshore's own pages may have fewer."""
    jobs: list[Job] = []
    cursor = query.cursor
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        request = ListJobsRequest(
            filter=query.filter,
            order_by=query.order_by,
            page_size=query.max_items - len(jobs),
            page_token=cursor,
        )
        answer = await asking.ask(request, ListJobsResponse)
        jobs += answer.jobs
        cursor = answer.next_page_token
        if not cursor or len(jobs) == query.max_items or time.monotonic() > deadline:
            return Page(jobs, cursor)


def link_of(request: Request, links: Links, cursor: str) -> str:
    """Return the path and the query of the page at a cursor, from the context path on."""
    context = urlsplit(links.base(request)).path
    path = request.url.path.removeprefix(request.scope.get("root_path", ""))
    sent = [
        (name, meant(name, text))
        for name, text in request.query_params.multi_items()
        if name != "cursor"
    ]
    query = urlencode([*sent, ("cursor", cursor)], quote_via=quote)
    return f"{quote(context + path)}?{query}"
