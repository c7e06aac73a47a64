"""Why an attempt failed, as the core knows it."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Code(enum.IntEnum):
    """The canonical codes that the core itself gives to failed work (google.rpc.Code)."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ABORTED = 10
    UNAVAILABLE = 14


class Failure(NamedTuple):
    """One failed attempt: a canonical code, a message for people, and the whole error."""

    code: int
    message: str
    document: bytes  #: The error as it is shown to callers; opaque here.
