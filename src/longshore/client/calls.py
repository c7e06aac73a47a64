"""The calls that all kinds of operations have in common: messages in, messages out."""

from __future__ import annotations

from typing import Any, Generic, cast

from google.protobuf.message import Message
from grpc.aio import EOF

from longshore.client.connection import Connection
from longshore.client.kinds import C, Kind, O, Submit
from longshore.client.paging import Page
from longshore.client.watching import Stream, Watch


class Calls(Generic[O, C]):
    """Asks for the operations of a kind over a connection."""

    def __init__(self, connection: Connection, kind: Kind[O, C]) -> None:
        self.kind = kind
        self.connection = connection

    async def submit(self, request: Submit) -> tuple[O, bool]:
        """Return the operation, and whether this call made it."""
        safe = bool(request.request_id)
        ask = self.connection.ask_safely if safe else self.connection.ask
        answer: Any = await ask(request, Message)
        return self.kind.one(answer), answer.created

    async def one(self, request: Message) -> O:
        """Make a call that is answered with one operation."""
        return self.kind.one(await self.connection.ask(request, Message))

    async def page(self, request: Message) -> Page[O]:
        """Get a page of a list."""
        answer: Any = await self.connection.ask(request, Message)
        total = answer.total_size if answer.HasField("total_size") else None
        items = self.kind.several(answer)
        return Page(items, answer.next_page_token, answer.revision, total)

    def watch(self, request: Any, *, patient: bool = False) -> Watch[C]:
        """Watch operations; a patient watch waits for a server even if it never met one."""
        after = request.after_revision if request.HasField("after_revision") else None
        patience = None if patient else self.connection.timeout
        return Watch(lambda revision, wait: self.open(request, revision, wait), after, patience)

    def run(self, request: Submit, *, include_logs: bool) -> Watch[C]:
        """Submit and watch in one call, which a watch takes up if it breaks."""
        run = self.kind.run(
            spec=request.spec,
            options=request.options,
            request_id=request.request_id,
            include_logs=include_logs,
        )
        patience = self.connection.timeout if request.request_id else 0.0
        return Watch(_Run(self, run, include_logs=include_logs).open, None, patience)

    def open(self, request: Any, revision: int | None, wait: bool) -> Stream:
        request.ClearField("after_revision")
        if revision is not None:
            request.after_revision = revision
        return self.connection.open(request, wait=wait)


class _Run(Generic[O, C]):
    """The stream of a run: asked for again until its operation is known, then watched."""

    def __init__(self, calls: Calls[O, C], request: Message, *, include_logs: bool) -> None:
        self._calls = calls
        self._request = request
        self._watch: Any = calls.kind.watch(include_logs=include_logs)
        self._stream: Stream | None = None

    def open(self, revision: int | None, wait: bool) -> Stream:
        if self._watch.ids:
            return self._calls.open(self._watch, revision, wait)
        self._stream = self._calls.connection.open(self._request, wait=False)
        return self

    async def read(self) -> object:
        assert self._stream
        message: Any = await self._stream.read()
        if message is not EOF and not self._watch.ids:
            self._watch.ids.append(self._calls.kind.one(message.changes[0]).metadata.id)
        return cast("object", message)

    def cancel(self) -> bool:
        return self._stream is not None and self._stream.cancel()
