"""Files: what operations take and make, but for their bytes, which are kept as blobs."""

from __future__ import annotations

from typing import Any, NamedTuple

from longshore.core.ids import text_of


class File(NamedTuple):
    """A file that is kept. Times are milliseconds since 1970."""

    id: bytes  #: 16 bytes, UUIDv7.
    tenant: str
    blob: bytes  #: 16 bytes; names what is in it, where bytes are kept.
    path: str
    size: int
    sha256: bytes
    content_type: str
    content_encoding: str
    content_disposition: str
    create_time: int
    expire_time: int | None  #: None: never, or with the operation that made it.
    number: int | None = None  #: Of the operation that made it; None: it was uploaded.
    step: int = 0  #: Of that operation.
    token: int = 0  #: Of the lease under which it was made.


def described(file: File) -> dict[str, Any]:
    """Return what is shown of a file, under the names of the contract's `File`."""
    members = {
        "file_id": text_of(file.id),
        "path": file.path,
        "size": file.size,
        "content_type": file.content_type,
        "content_encoding": file.content_encoding,
        "content_disposition": file.content_disposition,
        "sha256": file.sha256.hex(),
    }
    return {name: value for name, value in members.items() if value not in ("", 0)}
