"""Changes to files, and to the blobs that hold what is in them."""

from __future__ import annotations

from typing import NamedTuple

from longshore.core.callers import Caller
from longshore.core.files import File


class OpenBlob(NamedTuple):
    """Announce a blob before its first byte, or ask for more time to write it.

    Outcome: whether it may be written; not `again` once it was given up.
    """

    blob: bytes
    again: bool = False


class KeepFile(NamedTuple):
    """Give a blob to a file, once all of it is written. Outcome: `File`.

    Raises `UploadGivenUp`, `FileNotFound`, `WrongState` for the replacement of what an
    operation has made, `LeaseLost`, `LimitExceeded`, and `InvalidFields` if the operation has
    made another file of the path.
    """

    caller: Caller
    file: File
    expire_after: int | None  #: Milliseconds; None: never.
    replace: bool = False  #: There is a file of the id.


class DeleteFile(NamedTuple):
    """Forget an uploaded file. Outcome: None. Raises `FileNotFound`, `WrongState`."""

    caller: Caller
    file_id: bytes


class SweepFiles(NamedTuple):
    """Forget files that have expired. Outcome: blobs to remove, then to `ForgetBlobs`."""

    limit: int


class ForgetBlobs(NamedTuple):
    """Forget blobs: those that were removed. Outcome: None."""

    blobs: tuple[bytes, ...]
