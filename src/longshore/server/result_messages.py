"""Result messages: what the listener of a channel is told of one result after the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Final

from longshore.core.limits import CHUNK_BYTES
from longshore.core.operations import Record, State
from longshore.engine.engine import Engine
from longshore.server import wire
from longshore.server.contents import JSON, Content, Contents, json_of, once
from longshore.server.messages import Messages
from longshore.v1.operation_pb2 import END_RECONNECT
from longshore.v1.task_service_pb2 import StreamResultsResponse as Response

#: A message without a task says that nothing was missed.
HEARTBEAT: Final = b""
#: The last message of a stream that is to be opened again.
LAST: Final = wire.number(Response.END_FIELD_NUMBER, END_RECONNECT)

_REVISION, _TASK = Response.REVISION_FIELD_NUMBER, Response.TASK_FIELD_NUMBER
_CHUNK, _TOTAL = Response.CHUNK_FIELD_NUMBER, Response.TOTAL_CHUNKS_FIELD_NUMBER
_DATA: Final = Response.DATA_FIELD_NUMBER
_SIZE: Final = wire.number(Response.CHUNK_SIZE_FIELD_NUMBER, CHUNK_BYTES)


def _typed(content_type: str) -> bytes:
    return wire.part(Response.CONTENT_TYPE_FIELD_NUMBER, content_type.encode())


#: What is said of the common result: one chunk of JSON.
_ONLY: Final = wire.number(_CHUNK, 1) + wire.number(_TOTAL, 1) + _SIZE + _typed(JSON)


class ResultMessages:
    """Makes the messages about results, encoded."""

    def __init__(self, engine: Engine, messages: Messages) -> None:
        self._messages = messages
        self._contents = Contents(engine)

    def of(self, revision: int, record: Record) -> bytes | AsyncGenerator[bytes]:
        """Return the only message about a result, or all of them if there are several.

        The revision is that of the end of its task.
        """
        task = self._messages.operation(record, full=False)
        head = wire.number(_REVISION, revision) + wire.part(_TASK, task)
        if record.operation.state != State.SUCCEEDED:
            return head
        document = json_of(record)
        if document is None:
            return self._saved(head, record)
        if len(document) <= CHUNK_BYTES:
            return head + _ONLY + wire.part(_DATA, document)
        return _chunked(head, Content(JSON, len(document), once(document)))

    async def _saved(self, head: bytes, record: Record) -> AsyncGenerator[bytes]:
        """Yield the messages about files that work has saved."""
        content = await self._contents.content_of(record)
        async with aclosing(_chunked(head, content)) as messages:
            async for message in messages:
                yield message


async def _chunked(head: bytes, content: Content) -> AsyncGenerator[bytes]:
    """Yield a message per chunk, and one for what is empty."""
    total = max(1, -(-content.size // CHUNK_BYTES))
    common = head + wire.number(_TOTAL, total) + _SIZE
    typed = _typed(content.content_type)
    chunk = 0
    async with aclosing(content.chunks), aclosing(_even(content.chunks)) as pieces:
        async for piece in pieces:
            chunk += 1
            yield common + typed + wire.number(_CHUNK, chunk) + wire.part(_DATA, piece)
            typed = b""
    if not chunk:
        yield common + typed + wire.number(_CHUNK, 1)


async def _even(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """Yield the same bytes in chunks that are equally long, but for the last.

    The last is held back until there are surely no more: what is found to be damaged at its
    end never arrives whole.
    """
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        while len(held) > CHUNK_BYTES:
            yield bytes(held[:CHUNK_BYTES])
            del held[:CHUNK_BYTES]
    if held:
        yield bytes(held)
