"""Fetching: the result of one task, as a stream of bytes."""

from __future__ import annotations

import mimetypes
from contextlib import suppress
from typing import Any

from google.protobuf.json_format import Parse, ParseError
from google.protobuf.struct_pb2 import Struct

from longshore.client.acknowledging import acknowledge
from longshore.client.connection import Connection
from longshore.client.downloads import Download
from longshore.client.errors import FailedPrecondition
from longshore.v1.task_service_pb2 import FetchTaskResultRequest

_JSON = "application/json"


class Fetching(Download):
    """The bytes of a result: iterate over them, or `save` them, once.

    What was to be acknowledged is when all of it was handed out, or stands in its file. If just
    that fails, the error is raised, and the result can be fetched again.
    """

    #: The media type of the whole, once the first bytes are here; empty before.
    content_type: str

    def __init__(self, connection: Connection, id: str, *, acknowledge: bool) -> None:  # noqa: A002
        super().__init__(connection, FetchTaskResultRequest(id=id), id)
        self.content_type = ""
        self._id = id
        self._acknowledges = acknowledge

    async def begin(self) -> str:
        """Wait for the first bytes, and return the media type of the whole."""
        self._ahead = await self._next()
        return self.content_type

    def _name(self) -> str:
        return self._id + (mimetypes.guess_extension(self.content_type) or "")

    async def _take(self, message: Any) -> bytes:
        self.content_type = message.content_type or self.content_type
        return await super()._take(message)

    async def _arrived(self) -> None:
        if not self._acknowledges:
            return
        self._acknowledges = False
        with suppress(FailedPrecondition):  # Without a delivery it stays, and all is well.
            await acknowledge(self._connection, [self._id])


async def fetched(connection: Connection, id: str) -> Struct:  # noqa: A002
    """Fetch a result as a message. Of work that gave files and no result it is empty."""
    result = Struct()
    async with Fetching(connection, id, acknowledge=False) as fetching:
        if await fetching.begin() != _JSON:
            return result
        document = b"".join([piece async for piece in fetching])
    try:
        return Parse(document, result)
    except ParseError:
        return Struct()  # A file that is JSON, but no object.
