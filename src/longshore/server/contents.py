"""Contents: what work gave, as bytes: its JSON or, if it saved files instead, these."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Final, NamedTuple

from google.protobuf.struct_pb2 import Struct

from longshore.core.errors import FileNotFound
from longshore.core.files import File
from longshore.core.ids import bytes_of, text_of
from longshore.core.operations import Part, Record
from longshore.engine.engine import Engine
from longshore.server import structs
from longshore.server.zips import Member, size_of, zipped

JSON: Final = "application/json"
_ZIP: Final = "application/zip"
_UNKNOWN: Final = "application/octet-stream"

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode
_read = Struct.FromString


class Content(NamedTuple):
    """Bytes of which everything is known before the first of them is read."""

    content_type: str
    size: int
    chunks: AsyncGenerator[bytes]  #: At most 1 MiB each; whoever takes it closes it.


def json_of(record: Record) -> bytes | None:
    """Return the JSON of what work gave, `{}` if nothing; None if it saved files instead.

    The record has its result and its files. The same result always is the same bytes.
    """
    document = record.documents.get(Part.RESULT)
    if document is not None:
        return _encode(structs.to_object(_read(document))).encode()
    return None if Part.FILES in record.documents else b"{}"


class Contents:
    """Finds what work has saved."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def content_of(self, record: Record) -> Content:
        """Return what work gave. Raises `FileNotFound` for a file that is gone."""
        document = json_of(record)
        if document is not None:
            return Content(JSON, len(document), once(document))
        files = await self.files_of(record)
        return self._file(files[0]) if len(files) == 1 else self.zip_of(files)

    async def files_of(self, record: Record) -> list[File]:
        """Return the files that work has saved. Raises `FileNotFound` if one is gone."""
        shown = json.loads(record.documents.get(Part.FILES, b"[]"))
        ids = [bytes_of(one["file_id"]) for one in shown]
        store, now = self._engine.store, self._engine.clock.now()
        files: list[File] = []
        for file_id, file in zip(
            ids, await store.files(record.operation.tenant, ids, now), strict=True
        ):
            if file is None:
                raise FileNotFound(text_of(file_id))
            files.append(file)
        return files

    def zip_of(self, files: Sequence[File]) -> Content:
        """Return a zip of files, in their order."""
        read = self._engine.files.read
        members = [Member(file.path, file.size, read(file)) for file in files]
        return Content(_ZIP, size_of(members), zipped(members))

    def _file(self, file: File) -> Content:
        return Content(file.content_type or _UNKNOWN, file.size, self._engine.files.read(file))


async def once(data: bytes) -> AsyncGenerator[bytes]:
    """Yield the bytes as they are."""
    yield data
