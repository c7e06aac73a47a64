"""Encoded changes: what watches are told, each encoded once for all who are told it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from longshore.core.events import Event, EventKind
from longshore.core.operations import FIRST_TERMINAL, Record
from longshore.core.store import Store
from longshore.server import wire
from longshore.server.events import event_message
from longshore.server.messages import Messages, parts_of
from longshore.v1.operation_pb2 import End
from longshore.v1.task_service_pb2 import TaskChange, WatchTasksResponse

_EVENT: Final = TaskChange.EVENT_FIELD_NUMBER
_CHANGES: Final = WatchTasksResponse.CHANGES_FIELD_NUMBER
_KEPT_BYTES: Final = 8 * 1024 * 1024
_ENTRY_BYTES: Final = 200  #: What keeping anything takes besides.

_Key = tuple[int, bool]  # Revision, and whether in full.


class Tidings(NamedTuple):
    """What a watcher is to be told, and how."""

    events: list[Event]
    revision: int  #: Up to which the watcher then knows everything.
    end: End.ValueType | None
    full: bool


def ends(event: Event) -> bool:
    """Tell whether an event ended its operation."""
    return event.kind == EventKind.STATE_CHANGED and event.state >= FIRST_TERMINAL


class EncodedChanges:
    """Encodes changes as fields of a watch's message, and keeps the latest of them."""

    def __init__(self, store: Store, messages: Messages) -> None:
        self._store = store
        self._messages = messages
        self._kept: dict[_Key, bytes] = {}
        self._kept_bytes = 0
        self._reading = asyncio.Lock()
        self._latest: tuple[Tidings, bytes] | None = None

    def latest(self, tidings: Tidings) -> bytes | None:
        """Return the message of the tidings if it is the one that was made last.

        A thousand watchers of the same are told the same in a row, and the feed gives them the
        same list of events, which is compared in no time.
        """
        if self._latest is None or self._latest[0] != tidings:
            return None
        return self._latest[1]

    def made(self, tidings: Tidings, message: bytes) -> None:
        """Keep the message of the tidings as the latest."""
        self._latest = tidings, message

    def present(self, record: Record, *, full: bool) -> bytes:
        """Return how an operation stands, without an event."""
        return wire.part(_CHANGES, self._operation(record, full=full))

    async def of(self, events: Sequence[Event], tenant: str, *, full: bool) -> list[bytes]:
        """Return changes; those that end an operation show it too."""
        known = self._known(events, full=full)
        if known is None:
            async with self._reading:  # by one, for all who wait for the same
                known = self._known(events, full=full)
                if known is None:
                    known = await self._encode(events, tenant, full=full)
        return known

    def _known(self, events: Iterable[Event], *, full: bool) -> list[bytes] | None:
        try:
            return [self._kept[event.revision, full and ends(event)] for event in events]
        except KeyError:
            return None

    async def _encode(self, events: Sequence[Event], tenant: str, *, full: bool) -> list[bytes]:
        ended = [event.number for event in events if ends(event)]
        shown: dict[int, bytes] = {}
        if ended:
            for record in await self._store.get(tenant, ended, parts_of(full=full)):
                if record is not None:  # not expired meanwhile
                    shown[record.operation.number] = self._operation(record, full=full)
        encoded: list[bytes] = []
        for event in events:
            change = wire.part(_EVENT, event_message(event).SerializeToString())
            if ends(event):
                change += shown.get(event.number, b"")
            encoded.append(wire.part(_CHANGES, change))
            self._keep((event.revision, full and ends(event)), encoded[-1])
        return encoded

    def _operation(self, record: Record, *, full: bool) -> bytes:
        # The field of a task, job or launch in an `AnyChange`; in the change of one kind too.
        field = _EVENT + record.operation.kind
        return wire.part(field, self._messages.operation(record, full=full))

    def _keep(self, key: _Key, encoded: bytes) -> None:
        if key not in self._kept:
            self._kept[key] = encoded
            self._kept_bytes += len(encoded) + _ENTRY_BYTES
            while self._kept_bytes > _KEPT_BYTES:
                oldest = self._kept.pop(next(iter(self._kept)))
                self._kept_bytes -= len(oldest) + _ENTRY_BYTES
