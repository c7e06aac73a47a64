"""Lists that come in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from longshore.client.connection import Connection

T = TypeVar("T")
R = TypeVar("R", bound=Message)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list."""

    items: Sequence[T]
    next_page_token: str  #: Gets the next page; empty on the last.
    revision: int = 0  #: What the first page shows: a watch after it misses nothing.
    total_size: int | None = None  #: How many match; None if nobody counted.


class Pages(Generic[T]):
    """A list: iterate over its items, or over `pages()`. Asks for a page when it is needed."""

    def __init__(
        self, fetch: Callable[[str], Awaitable[Page[T]]], page_token: str = ""
    ) -> None:
        self._fetch = fetch
        self._page_token = page_token

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Yield page after page; a page may be empty and still not be the last."""
        token = self._page_token
        while True:
            page = await self._fetch(token)
            yield page
            token = page.next_page_token
            if not token:
                return


def paged(
    connection: Connection,
    request: Message,
    answer: type[R],
    read: Callable[[R], Page[T]],
    page_token: str = "",
) -> Pages[T]:
    """Return the list that a request asks for; `read` makes a page of an answer."""

    async def fetch(token: str) -> Page[T]:
        asked: Any = type(request)()
        asked.CopyFrom(request)
        asked.page_token = token
        return read(await connection.ask(asked, answer))

    return Pages(fetch, page_token)
