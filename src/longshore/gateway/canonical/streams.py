"""Streams: the messages of a call as they come, as fast as the client takes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from grpc.aio import EOF
from starlette.types import Scope, Send

from longshore.client import CallError
from longshore.client.streams import Stream
from longshore.gateway.canonical.framings import Framing

#: How long a client waits for the status of a stream that has nothing to tell yet …
_FIRST_SECONDS: Final = 1.0
#: … and later for a sign of life.
_SILENCE_SECONDS: Final = 15.0


class Cut(Exception):
    """A stream has failed, and its framing has no words for that."""


async def send_stream(stream: Stream, framing: Framing, scope: Scope, send: Send) -> None:
    """Send the answers of a call, and end it whatever happens.

    Nothing is read from the server before the client has taken what was read already. Raises
    `CallError` if the call fails before anything was sent.
    """
    async with aclosing(_chunks(stream, framing)) as chunks:
        first = await anext(chunks)
        headers = [(name.encode(), text.encode()) for name, text in framing.headers().items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["method"] != "HEAD":
            await _send(send, first)
            try:
                async for chunk in chunks:
                    await _send(send, chunk)
            except Cut:
                return  # The server closes the connection of an answer that has no end.
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _chunks(stream: Stream, framing: Framing) -> AsyncGenerator[bytes, None]:
    """Yield what is to be sent. Raises `CallError` before the first chunk only, `Cut` later."""
    begun = False
    async with aclosing(_messages(stream)) as messages:
        try:
            async for message in messages:
                chunk = framing.silence if message is None else framing.message(message)
                if chunk is not None:
                    begun = True
                    yield chunk
        except CallError as error:
            if not begun:
                raise
            last = framing.failure(error.failure.status)
            if last is None:
                raise Cut from error
            yield last
        else:
            yield framing.end()


async def _messages(stream: Stream) -> AsyncGenerator[Any, None]:
    """Yield messages, and None where none has come for a while. Raises `CallError`."""
    reading = asyncio.ensure_future(stream.read())
    patience = _FIRST_SECONDS
    try:
        while True:
            done, _ = await asyncio.wait({reading}, timeout=patience)
            patience = _SILENCE_SECONDS
            if not done:
                yield None
                continue
            message = reading.result()
            if message is EOF:
                return
            yield message
            reading = asyncio.ensure_future(stream.read())
    finally:
        reading.cancel()
        stream.cancel()
