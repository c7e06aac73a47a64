"""Events: what happened, in the one order in which it happened."""

from __future__ import annotations

import enum
import functools
import json
from typing import NamedTuple


class EventKind(enum.IntEnum):
    """What an event tells; the comment shows the keys of its detail."""

    SUBMITTED = 1
    STATE_CHANGED = 2  #: from, attempt, worker, message, not_before, error, stream
    CANCEL_REQUESTED = 3  #: message, force
    ACTION_CHANGED = 4  #: index, action, state, start_time, end_time
    PROGRESS = 5  #: done, total, unit, message
    LOG = 6  #: kind, message
    PROPERTY_SET = 7  #: name, value
    FILE_ADDED = 8  #: as `files.described`
    MOVED = 9  #: from, to (queues), priority
    DELIVERY_CHANGED = 10  #: mode, stream, state, retrieve_time
    CALLBACK_SENT = 11  #: given_up, attempts, message
    EXPIRED = 12
    SESSION = 32  #: session, worker, change ("opened", "resumed", "closed", "expired")
    CATALOG = 33  #: services, contract, schedule
    MODE = 34  #: mode, resume_on_restart
    QUEUE = 35  #: queue
    ACCOUNT = 36  #: service
    STREAM = 37  #: principal, stream


FIRST_SYSTEM_KIND = EventKind.SESSION  #: Kinds from here on belong to no operation.


class Event(NamedTuple):
    """One entry of the log. `number` is 0 for an event that belongs to no operation."""

    revision: int
    number: int
    kind: int
    state: int  #: The operation's state after it; 0 without an operation.
    time: int  #: Milliseconds since 1970.
    detail: str | None  #: JSON object, or None when there is nothing to add.
    # Of the operation, so that nobody needs to look it up; empty without an operation.
    id: bytes
    tenant: str
    operation_kind: int


@functools.lru_cache(maxsize=4_096)
def attempt_detail(attempt: int, worker: str) -> str:
    """Return the detail of the commonest events: an attempt began, or succeeded."""
    return json.dumps({"attempt": attempt, "worker": worker}, separators=(",", ":"))


def detail(**members: object) -> str | None:
    """Return the JSON of what is set, or None if nothing is."""
    kept = {name: value for name, value in members.items() if value is not None}
    return json.dumps(kept, separators=(",", ":"), ensure_ascii=False) if kept else None
