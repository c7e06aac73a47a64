"""Files: what is too large for arguments and results."""

from __future__ import annotations

import mimetypes
from datetime import timedelta
from os import PathLike
from pathlib import Path

from longshore.client.connection import Connection
from longshore.client.downloads import Reading
from longshore.client.sources import Source, is_path
from longshore.client.uploads import Tell, upload
from longshore.client.values import to_duration
from longshore.v1.file_service_pb2 import (
    DeleteFileRequest,
    DeleteFileResponse,
    FileHeader,
    GetFileRequest,
    GetFileResponse,
)
from longshore.v1.operation_pb2 import File


class Files:
    """Files that operations take, or have made."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def upload(
        self,
        source: Source,
        *,
        path: str = "",
        content_type: str = "",
        content_encoding: str = "",
        content_disposition: str = "",
        expire_after: timedelta | None = None,
        file_id: str = "",
        told: Tell | None = None,
    ) -> File:
        """Upload a file; when this returns, it is safely stored. Work takes it by its id.

        `source` is bytes, a path, an open binary file, or what yields bytes: of it only a few
        pieces are in memory at once, and unless it is asynchronous it is drawn in a thread of
        its own. `path` is the file's name there: by default that of a path, and
        `content_type` what the name says. It is kept for 30 minutes or `expire_after`
        (negative: for ever), and longer by work that takes it. With a `file_id` it takes the
        place of that file. `told` is called, on the client's thread, with the number of bytes
        that are sent.

        Every piece, and the answer, may take as long as the client's timeout. While no server
        is available bytes and paths are sent once more, for as long, and `told` of it: if only
        an answer was lost, this leaves another file behind, which expires (what is to be kept
        for ever is therefore not sent again once all of it was). What else fails leaves
        nothing behind; errors of the source are raised as they are.
        """
        name = path or (Path(source).name if is_path(source) else "")
        header = FileHeader(
            file_id=file_id,
            path=name,
            content_type=content_type or _guessed(name),
            content_encoding=content_encoding,
            content_disposition=content_disposition,
        )
        if expire_after is not None:
            header.expire_after.CopyFrom(to_duration(expire_after))
        return await upload(self._connection, header, source, told)

    def read(self, file_id: str) -> Reading:
        """Read a file: iterate over its bytes, which are not right before the end is reached."""
        return Reading(self._connection, file_id)

    async def download(
        self, file_id: str, to: str | PathLike[str], *, told: Tell | None = None
    ) -> Path:
        """Download a file and return where it is: whole, or not at all.

        `to` is the file to write, which may be there already, or a folder, in which it has the
        last part of its name. `told` is called with the number of bytes that have arrived.
        Raises `Damaged` if they are not those that were stored, `UnsafePath` if the name is
        none, and `OSError`.
        """
        return await self.read(file_id).save(to, told=told)

    async def get(self, file_id: str) -> File:
        """Get what is known of a file."""
        request = GetFileRequest(file_id=file_id)
        return (await self._connection.ask(request, GetFileResponse)).file

    async def delete(self, file_id: str) -> None:
        """Delete an uploaded file, unless work takes it that has not ended."""
        await self._connection.ask(DeleteFileRequest(file_id=file_id), DeleteFileResponse)


def _guessed(name: str) -> str:
    """Return the media type that a name speaks of; empty if it does not.

    What is compressed is that first: nobody is to unpack it on the way.
    """
    kind, encoding = mimetypes.guess_type(name)
    if encoding == "gzip":
        return "application/gzip"
    return f"application/x-{encoding}" if encoding else kind or ""
