"""Downloads: files of the storage on their way out, cut off where they turn out to be wrong."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any, Final

from grpc.aio import EOF

from longshore.client import Reading, Relayed
from longshore.client.streams import Stream
from longshore.gateway.pouring import Streamed
from longshore.v1.launch_service_pb2 import DownloadLaunchFilesRequest
from longshore.v1.operation_pb2 import File

_ANY: Final = "application/octet-stream"
_NEVER: Final = "-1"

#: Strangers chose what is in a file: no browser is to run it here, or to guess what it is.
_HARMLESS: Final = {
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
}


async def file_of(own: Relayed, file_id: str) -> Streamed:
    """Return an answer with a file and what is known of it. Raises `CallError`."""
    reading = own.files.read(file_id)
    told = headers_of(await reading.file(), datetime.now(UTC))
    return Streamed(_whole(reading), headers=told)


async def zip_of(own: Relayed, launch_id: str) -> Streamed:
    """Return an answer with all files of a launch. Raises `CallError`."""
    stream = await own.open(DownloadLaunchFilesRequest(id=launch_id))
    first: Any = await stream.read()
    told = {
        "content-type": "application/zip",
        "content-disposition": f'attachment; filename="{launch_id}.zip"',
    }
    return Streamed(_rest(stream, first), headers=told | _HARMLESS)


def headers_of(file: File, now: datetime) -> dict[str, str]:
    """Return what is told of a file; a negative expiration is none of its own."""
    told = {
        "content-type": file.content_type or _ANY,
        "content-length": str(file.size),
        "content-encoding": file.content_encoding,
        "content-disposition": file.content_disposition,
        "content-expiration": _NEVER,
    }
    if file.HasField("expire_time"):
        left = (file.expire_time.ToDatetime(UTC) - now).total_seconds()
        told["content-expiration"] = str(max(math.ceil(left), 0))
    return {name: _latin(value) for name, value in told.items() if value} | _HARMLESS


async def _whole(reading: Reading) -> AsyncGenerator[bytes]:
    """Yield a file; its last piece only when all of it was right."""
    held = b""
    async with reading:
        async for piece in reading:
            if held:
                yield held
            held = piece
    if held:
        yield held


async def _rest(stream: Stream, message: Any) -> AsyncGenerator[bytes]:
    try:
        while message is not EOF:
            yield message.data
            message = await stream.read()
    finally:
        stream.cancel()


def _latin(text: str) -> str:
    """Return a text as a header can hold it."""
    return text.encode("latin-1", "replace").decode("latin-1")
