"""What can be asked of any kind of operations; each kind's room adds how it is submitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from longshore.client.calls import Calls
from longshore.client.connection import Connection
from longshore.client.handles import Handle
from longshore.client.kinds import C, Kind, O, Submit
from longshore.client.paging import Page, Pages, paged
from longshore.client.watching import Watch
from longshore.v1.operation_pb2 import View

H = TypeVar("H", bound=Handle[Any, Any])


class Room(Generic[O, C, H]):
    """The operations of a kind."""

    def __init__(self, connection: Connection, kind: Kind[O, C], handle: type[H]) -> None:
        self._calls = Calls(connection, kind)
        self._kind = kind
        self._handle = handle

    async def get(self, id: str) -> H:  # noqa: A002 - the contract's word
        """Get an operation by its id, or its number in decimal."""
        return await self._one(self._kind.get(id=id))

    def list(
        self,
        filter: str = "",  # noqa: A002 - the contract's word
        *,
        order_by: str = "",
        page_size: int = 0,
        page_token: str = "",
        with_total: bool = False,
        full: bool = False,
    ) -> Pages[H]:
        """List operations, the newest first; not `full`: without what may be long."""
        request = self._kind.list(
            filter=filter,
            order_by=order_by,
            page_size=page_size,
            with_total=with_total,
            view=View.VIEW_FULL if full else View.VIEW_BASIC,
        )
        return paged(self._calls.connection, request, Message, self._page, page_token)

    def watch(
        self,
        *ids: str,
        filter: str = "",  # noqa: A002 - the contract's word
        after_revision: int | None = None,
        include_logs: bool = False,
    ) -> Watch[C]:
        """Watch operations by id, or by a filter over what does not change, or all.

        `after_revision` is the last revision known, 0 the beginning; None: how they stand
        comes first.
        """
        request = self._kind.watch(
            ids=ids, filter=filter, after_revision=after_revision, include_logs=include_logs
        )
        return self._calls.watch(request)

    async def cancel(
        self,
        id: str,  # noqa: A002 - the contract's word
        message: str = "",
        *,
        force: bool = False,
    ) -> H:
        """Ask to cancel an operation; with `force` a running attempt is ended at once."""
        return await self._one(self._kind.cancel(id=id, message=message, force=force))

    async def suspend(self, id: str) -> H:  # noqa: A002 - the contract's word
        """Hold an operation that is QUEUED."""
        return await self._one(self._kind.suspend(id=id))

    async def resume(self, id: str) -> H:  # noqa: A002 - the contract's word
        """Let an operation that is SUSPENDED go on."""
        return await self._one(self._kind.resume(id=id))

    async def resubmit(
        self,
        id: str,  # noqa: A002 - the contract's word
        *,
        from_failed: bool = False,
    ) -> H:
        """Run what has ended once more, as new: from the start or the failed action."""
        request = self._kind.resubmit(id=id, from_failed=from_failed)
        return self._handle(self._calls, await self._calls.one(request), created=True)

    async def _submit(self, request: Submit) -> H:
        operation, created = await self._calls.submit(request)
        return self._handle(self._calls, operation, created=created)

    async def _one(self, request: Message) -> H:
        return self._handle(self._calls, await self._calls.one(request))

    def _page(self, answer: Any) -> Page[H]:
        total = answer.total_size if answer.HasField("total_size") else None
        handles = self._handles(answer)
        return Page(handles, answer.next_page_token, answer.revision, total)

    def _handles(self, answer: Message) -> Sequence[H]:
        return [self._handle(self._calls, one) for one in self._kind.several(answer)]
