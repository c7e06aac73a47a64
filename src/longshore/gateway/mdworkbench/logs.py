"""Logs: the entries of a launch, from its history."""

from __future__ import annotations

import re
from typing import Final

from longshore.client import Relayed
from longshore.v1.operation_pb2 import LogEntry, LogKind

#: Of the messages of a log, as much as an answer shows.
_SHOWN_BYTES: Final = 8 * 1024 * 1024
_ENTRY_BYTES: Final = 200  #: What an entry takes besides.
_MOST_OF_A_PAGE: Final = 1_000

#: A call in a stack, of one exception or of a group, with the lines that are shown of it.
_FRAME: Final = re.compile(
    r'^(?: {2,}|[ |]*\| +)File ".*", line \d+, in .*\n(?:  .*\n?)*', re.MULTILINE
)

#: What a group of exceptions is told by.
_GROUP: Final = re.compile(r"^  \| ([\w.]+: .*)", re.MULTILINE)


async def log_of(asking: Relayed, launch_id: str) -> list[LogEntry]:
    """Return the log of a launch, the oldest first. Raises `CallError`.

    Of a very long one the beginning, with a last entry that says so. Anybody may read it, so
    that stacks are not shown: they tell how a worker is made, and where it is.
    """
    entries: list[LogEntry] = []
    size = 0
    async for event in asking.operations.history(launch_id, "log", page_size=_MOST_OF_A_PAGE):
        entries.append(without_stack(event.log))
        size += event.log.ByteSize() + _ENTRY_BYTES
        if size > _SHOWN_BYTES:
            entries.append(_cut(event.log))
            break
    return entries


def without_stack(entry: LogEntry) -> LogEntry:
    """Return an entry; of an exception that nobody foresaw its type and message only."""
    *calls, told = _FRAME.split(entry.message)
    if not calls or entry.kind != LogKind.LOG_KIND_ERROR:
        return entry
    shown = LogEntry()
    shown.CopyFrom(entry)
    group = _GROUP.search(entry.message)
    shown.message = told.strip() or (group[1] if group else "an exception")
    return shown


def _cut(last: LogEntry) -> LogEntry:
    cut = LogEntry(kind=LogKind.LOG_KIND_WARNING, message="the log goes on; it is not shown")
    cut.time.CopyFrom(last.time)
    cut.elapsed.CopyFrom(last.elapsed)
    return cut
