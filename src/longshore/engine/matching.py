"""Which events a filtered watch is told, decided in memory as the store would decide it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longshore.core import filters
from longshore.core.events import Event
from longshore.core.fields import LABEL_PREFIX
from longshore.core.filters import Filter
from longshore.core.ids import text_of
from longshore.core.installation import is_reserved
from longshore.core.operations import Record
from longshore.core.store import Replay, Store

_KEPT_SUBJECTS = 10_000


class Subject:
    """What a watch's filter can ask of an operation; none of it ever changes."""

    __slots__ = ("_attributes", "_facts", "_id", "_kind", "_number", "reserved")

    def __init__(self, record: Record) -> None:
        operation = record.operation
        self._id = operation.id
        self._number = operation.number
        self._kind = operation.kind
        self._facts = record.facts
        self._attributes: dict[str, Any] | None = None
        self.reserved = is_reserved(record.queue)

    def value(self, name: str) -> str | int | None:
        """Return the value of a field; None if it is unset."""
        found: str | int | None
        match name:
            case "id":
                found = text_of(self._id)
            case "number":
                found = self._number
            case "kind":
                found = self._kind
            case "submitter":
                found = self._facts.submitter
            case "request_id":
                found = self._facts.request_id
            case "create_time":
                found = self._facts.create_time
            case _:
                found = self._attribute(name)
        return None if found == "" else found

    def _attribute(self, name: str) -> str | int | None:
        if self._attributes is None:
            self._attributes = json.loads(self._facts.attributes or "{}")
        attributes = self._attributes or {}
        if name.startswith(LABEL_PREFIX):
            labels: dict[str, str] = attributes.get("labels", {})
            return labels.get(name.removeprefix(LABEL_PREFIX))
        found: str | int | None = attributes.get(name)
        return found


class Subjects:
    """The subjects of recent operations; those of older ones are read when asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[int, Subject] = {}

    async def of(
        self, events: Iterable[Event], created: Mapping[int, Record]
    ) -> Mapping[int, Subject]:
        """Return the subjects of at least the events' operations, by number.

        `created` are those of them that are new. Left out is what has expired.
        """
        while len(self._kept) > _KEPT_SUBJECTS:
            del self._kept[next(iter(self._kept))]
        for number, record in created.items():
            self._kept[number] = Subject(record)
        missing: dict[str, set[int]] = {}
        for event in events:
            if event.number and event.number not in self._kept:
                missing.setdefault(event.tenant, set()).add(event.number)
        for tenant, numbers in missing.items():
            for found in await self._store.get(tenant, list(numbers)):
                if found is not None:
                    self._kept[found.operation.number] = Subject(found)
        return self._kept


@dataclass(frozen=True)
class Matcher:
    """One distinct question; equal questions of many watchers are asked once."""

    tenant: str
    kind: int | None
    filter: Filter | None
    kinds: frozenset[int] | None
    reserved: bool

    @classmethod
    def of(cls, replay: Replay) -> Matcher:
        return cls(replay.tenant, replay.kind, replay.filter, replay.kinds, replay.reserved)

    @property
    def needs_subjects(self) -> bool:
        """Whether an event alone does not tell if it is chosen."""
        return self.filter is not None or not self.reserved

    def chosen(
        self, events: Sequence[Event], subjects: Mapping[int, Subject]
    ) -> list[Event] | None:
        """Return the events of a commit that the watchers of this question are told.

        None if that cannot be told here, since an operation has expired: ask the store.
        """
        candidates = [event for event in events if self._may_match(event)]
        if not self.needs_subjects:
            return candidates
        found: list[Event] = []
        for event in candidates:
            subject = subjects.get(event.number)
            if subject is None:
                return None
            if self._matches(subject):
                found.append(event)
        return found

    def _may_match(self, event: Event) -> bool:
        return (
            event.number != 0
            and event.tenant == self.tenant
            and self.kind in (None, event.operation_kind)
            and (self.kinds is None or event.kind in self.kinds)
        )

    def _matches(self, subject: Subject) -> bool:
        if subject.reserved and not self.reserved:
            return False
        return self.filter is None or filters.matches(self.filter, subject.value)
