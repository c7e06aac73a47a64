"""The calls that all kinds of operations have in common: messages in, messages out."""

from __future__ import annotations

from typing import Any, Generic, cast

from google.protobuf.message import Message
from grpc.aio import EOF

from longshore.client.connection import Connection
from longshore.client.kinds import C, Kind, O, Submit
from longshore.client.reopening import Stream
from longshore.client.watching import Watch, resume, watch


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

    def watch(self, request: Message, *, patient: bool = False) -> Watch[C]:
        """Watch operations; a patient watch waits for a server even if it never met one."""
        return watch(self.connection, request, None if patient else self.connection.timeout)

    def run(self, request: Submit, *, include_logs: bool) -> Watch[C]:
        """Submit and watch in one call, which a watch takes up if it breaks."""
        run = self.kind.run(
            spec=request.spec,
            options=request.options,
            request_id=request.request_id,
            include_logs=include_logs,
        )
        watched = self.kind.watch(include_logs=include_logs)
        patience = self.connection.timeout if request.request_id else 0.0
        return Watch(_Run(self, run, watched).open, None, patience)


class _Run(Generic[O, C]):
    """The stream of a run: asked for again until its operation is known, then watched."""

    def __init__(self, calls: Calls[O, C], run: Message, watched: Any) -> None:
        self._calls = calls
        self._run = run
        self._watched = watched
        self._stream: Stream | None = None

    async def open(self, revision: int | None, wait: bool) -> Stream:
        if self._watched.ids:
            return await resume(self._calls.connection, self._watched, revision, wait)
        self._stream = await self._calls.connection.open(self._run, wait=False)
        return self

    async def read(self) -> object:
        assert self._stream
        message: Any = await self._stream.read()
        if message is not EOF and not self._watched.ids:
            self._watched.ids.append(self._calls.kind.one(message.changes[0]).metadata.id)
        return cast("object", message)

    def cancel(self) -> bool:
        return self._stream is not None and self._stream.cancel()
