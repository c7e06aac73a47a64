"""Words: what work says while it goes on. They are messages of the contract."""

from __future__ import annotations

import math
import time
from typing import Final, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from longshore.v1.operation_pb2 import LogEntry, LogKind, Progress, PropertySet

Word: TypeAlias = Progress | LogEntry | PropertySet

LOG_BYTES: Final = 16 * 1024
LOGS_PER_ATTEMPT: Final = 10_000


def unicode(text: str) -> str:
    """Return text that can be sent: file names may hold what is no Unicode."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def clipped(text: str, size: int) -> str:
    """Return text cut to a number of bytes in UTF-8."""
    encoded = text.encode()
    return text if len(encoded) <= size else encoded[:size].decode(errors="ignore")


def progress(done: float, total: float | None, unit: str, message: str) -> Progress:
    """Return how far the work is; `total` None: unknown. Raises `ValueError`."""
    if not (0 <= done < math.inf and 0 <= (total or 0) < math.inf):
        raise ValueError(f"progress is finite and not negative, not {done} of {total}")
    return Progress(done=done, total=total or 0, unit=unicode(unit), message=unicode(message))


def log(kind: LogKind.ValueType, message: str) -> LogEntry:
    """Return a log entry of now."""
    milliseconds = time.time_ns() // 1_000_000
    seconds, rest = divmod(milliseconds, 1_000)
    return LogEntry(
        kind=kind,
        message=clipped(unicode(message), LOG_BYTES),
        time=Timestamp(seconds=seconds, nanos=rest * 1_000_000),
    )


def property_set(name: str, value: str) -> PropertySet:
    """Return a property's new value. Raises `ValueError` without a name."""
    if not name:
        raise ValueError("a property has a name")
    return PropertySet(name=unicode(name), value=unicode(value))
