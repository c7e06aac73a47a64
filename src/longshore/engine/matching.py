"""Which events a filtered watch is told, decided in memory as the store would decide it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longshore.core import filters
from longshore.core.events import Event
from longshore.core.filters import Filter
from longshore.core.ids import text_of
from longshore.core.operations import Record
from longshore.core.store import Replay, Store

_KEPT_SUBJECTS = 10_000


@dataclass(frozen=True, slots=True)
class Subject:
    """What a watch's filter can ask of an operation; none of it ever changes."""

    values: dict[str, str | int]
    reserved: bool

    @classmethod
    def of(cls, record: Record) -> Subject:
        operation, facts = record.operation, record.facts
        values: dict[str, Any] = {
            "id": text_of(operation.id),
            "number": operation.number,
            "submitter": facts.submitter,
            "request_id": facts.request_id,
            "create_time": facts.create_time,
            "kind": operation.kind,
        }
        attributes: dict[str, Any] = json.loads(facts.attributes) if facts.attributes else {}
        for name, value in attributes.pop("labels", {}).items():
            values[f"labels.{name}"] = value
        values.update(attributes)
        kept = {name: value for name, value in values.items() if value not in (None, "")}
        return cls(kept, filters.is_reserved(record.queue))


class Subjects:
    """The subjects of recent operations, read from the store when first asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[int, Subject] = {}

    async def of(self, events: Iterable[Event]) -> dict[int, Subject]:
        """Return the subjects of the events' operations by number."""
        wanted = {event.number: event.tenant for event in events if event.number}
        missing: dict[str, list[int]] = {}
        for number, tenant in wanted.items():
            if number not in self._kept:
                missing.setdefault(tenant, []).append(number)
        for tenant, numbers in missing.items():
            for record in await self._store.get(tenant, numbers):
                if record is not None:
                    self._kept[record.operation.number] = Subject.of(record)
        found = {number: self._kept[number] for number in wanted if number in self._kept}
        while len(self._kept) > _KEPT_SUBJECTS:
            del self._kept[next(iter(self._kept))]
        return found


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
        return self.filter is None or filters.matches(self.filter, subject.values.get)
