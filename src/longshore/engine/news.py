"""News: what the commits of other servers mean to this one."""

from __future__ import annotations

from typing import Final

from longshore.core.events import EventKind
from longshore.core.operations import FIRST_TERMINAL, State
from longshore.core.store import Applied

#: What may leave an operation where it can be leased.
_TELLING: Final = frozenset({EventKind.SUBMITTED, EventKind.STATE_CHANGED, EventKind.MOVED})
_OPENING: Final = frozenset({EventKind.MODE, EventKind.QUEUE})


def frees_work(news: Applied) -> bool:
    """Tell whether there may be work now for slots that were free before.

    Something has come to wait and was not leased at once, or has ended and leaves room.
    """
    waiting: set[int] = set()
    for event in news.foreign:
        if event.kind in _OPENING:
            return True
        if event.kind in _TELLING:
            if event.state == State.QUEUED:
                waiting.add(event.number)
            else:
                waiting.discard(event.number)
                if event.state >= FIRST_TERMINAL:
                    return True
    return news.missed or bool(waiting)
