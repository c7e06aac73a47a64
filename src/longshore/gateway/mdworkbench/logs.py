"""Logs: the entries of a launch, from its history."""

from __future__ import annotations

from typing import Final

from longshore.client import Relayed
from longshore.v1.operation_pb2 import LogEntry, LogKind

#: Of the messages of a log, as much as an answer shows.
_SHOWN_BYTES: Final = 8 * 1024 * 1024
_ENTRY_BYTES: Final = 200  #: What an entry takes besides.
_MOST_OF_A_PAGE: Final = 1_000


async def log_of(asking: Relayed, launch_id: str) -> list[LogEntry]:
    """Return the log of a launch, the oldest first. Raises `CallError`.

    Of a very long one the beginning, with a last entry that says so.
    """
    entries: list[LogEntry] = []
    size = 0
    async for event in asking.operations.history(launch_id, "log", page_size=_MOST_OF_A_PAGE):
        entries.append(event.log)
        size += event.log.ByteSize() + _ENTRY_BYTES
        if size > _SHOWN_BYTES:
            entries.append(_cut(event.log))
            break
    return entries


def _cut(last: LogEntry) -> LogEntry:
    cut = LogEntry(kind=LogKind.LOG_KIND_WARNING, message="the log goes on; it is not shown")
    cut.time.CopyFrom(last.time)
    cut.elapsed.CopyFrom(last.elapsed)
    return cut
