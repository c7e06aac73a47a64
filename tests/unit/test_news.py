from __future__ import annotations

import pytest

from longshore.core.events import Event, EventKind
from longshore.core.operations import State
from longshore.core.store import Applied
from longshore.engine.news import frees_work


def news(*happened: tuple[int, EventKind, int], missed: bool = False) -> Applied:
    foreign = [
        Event(revision, number, kind, state, 0, None, b"", "default", 1)
        for revision, (number, kind, state) in enumerate(happened, 1)
    ]
    return Applied([], [], dict, len(foreign), None, 0, foreign, missed)


SUBMITTED = EventKind.SUBMITTED
CHANGED = EventKind.STATE_CHANGED


@pytest.mark.parametrize(
    "told",
    [
        news((1, SUBMITTED, State.QUEUED)),
        news(
            (1, SUBMITTED, State.QUEUED),
            (2, SUBMITTED, State.QUEUED),
            (1, CHANGED, State.RUNNING),
        ),
        news((1, CHANGED, State.QUEUED)),
        news((1, EventKind.MOVED, State.QUEUED)),
        news((1, CHANGED, State.SUCCEEDED)),
        news((0, EventKind.QUEUE, 0)),
        news((0, EventKind.MODE, 0)),
        news(missed=True),
    ],
)
def test_what_waits_or_leaves_room_is_worth_a_lease(told: Applied) -> None:
    assert frees_work(told)


@pytest.mark.parametrize(
    "told",
    [
        news(),
        news((1, SUBMITTED, State.QUEUED), (1, CHANGED, State.RUNNING)),
        news((1, EventKind.PROGRESS, State.RUNNING), (1, EventKind.LOG, State.RUNNING)),
        news((1, CHANGED, State.SUSPENDED)),
        news((1, EventKind.DELIVERY_CHANGED, State.SUCCEEDED)),
        news((0, EventKind.SESSION, 0)),
    ],
)
def test_what_was_leased_at_once_or_never_waits_is_not(told: Applied) -> None:
    assert not frees_work(told)
