"""Following: how a server hears of what others have committed."""

from __future__ import annotations

from typing import Final

from longshore.core import limits
from longshore.core.events import Event
from longshore.core.rows import Head
from longshore.core.store import Applied
from longshore.stores.postgres.connections import Connection
from longshore.stores.postgres.head import Tip, read_changed, take_over

_EVENTS: Final = """
    SELECT events.revision, events.number, events.kind, events.state, events.time, events.detail,
        coalesce(operations.id, ''), coalesce(operations.tenant, events.tenant),
        coalesce(operations.kind, 0)
    FROM events LEFT JOIN operations ON operations.number = events.number
    WHERE events.revision > $1 AND events.revision <= $2 ORDER BY events.revision
"""
_SYSTEM_EVENTS: Final = """
    SELECT revision, number, kind, state, time, detail, ''::bytea, tenant, 0
    FROM events WHERE number = 0 AND revision > $1 AND revision <= $2 ORDER BY revision
"""


class Follower:
    """What one server knows of the store, and which events it has yet to be told."""

    def __init__(self) -> None:
        self.head = Head()
        self._version = -1  #: Of the small state; -1: nothing is known.
        self._seen: int | None = None  #: The last event that was read, or is one's own.
        self._untold: list[Event] = []
        self._missed = False

    def knows(self, tip: Tip) -> bool:
        """Whether nobody else has committed anything that is not known."""
        return tip.version == self._version and tip.revision == self._seen

    def is_near(self, tip: Tip) -> bool:
        """Whether so few events are to be read that others may wait for it."""
        return self._seen is None or tip.revision - self._seen <= limits.NEWS_EVENTS

    async def catch_up(self, tip: Tip, connection: Connection) -> None:
        """Take over the small state; the tip is of the transaction's snapshot, or is locked."""
        if tip.version == self._version:
            return
        anew = self._version < tip.forgotten
        changed = await read_changed(-1 if anew else self._version, tip, connection)
        if anew:
            self.head = Head()
        take_over(changed, tip, self.head)
        self._version = tip.version

    async def read_events(self, until: int, connection: Connection) -> None:
        """Read the events of others. They never change, so it takes no snapshot."""
        if self._seen is None:  # What was before is read from the store by who needs it.
            self._seen = until
        if until - self._seen > limits.FOREIGN_EVENTS:
            self._missed = True
            self._untold += await self._read(_SYSTEM_EVENTS, until, connection)
            self._seen = until
        while self._seen < until:
            last = min(until, self._seen + limits.NEWS_EVENTS)
            self._untold += await self._read(_EVENTS, last, connection)
            self._seen = last

    async def read_news(self, tip: Tip, connection: Connection) -> None:
        """Read the next events of others; if there are too many, what is left of them."""
        seen = tip.revision if self._seen is None else self._seen
        far = tip.revision - seen > limits.FOREIGN_EVENTS
        until = tip.revision if far else min(tip.revision, seen + limits.NEWS_EVENTS)
        await self.read_events(until, connection)

    async def _read(self, sql: str, until: int, connection: Connection) -> list[Event]:
        return list(map(Event._make, await connection.fetch(sql, self._seen, until)))

    @property
    def has_untold(self) -> bool:
        return bool(self._untold) or self._missed

    @property
    def revision(self) -> int:
        """The newest event that was told."""
        return self._seen or 0

    def committed(self, version: int) -> None:
        """Note that one's own batch, which the head has taken over, is the newest."""
        self._version = version
        self._seen = self.head.revision

    def forget(self) -> None:
        """Know nothing of the small state, which a batch that was lost has changed."""
        self._version = -1

    def take_untold(self) -> tuple[list[Event], bool]:
        """Return the events of others, and whether those of operations were left out."""
        untold, missed = self._untold, self._missed
        self._untold, self._missed = [], False
        return ([one for one in untold if not one.number] if missed else untold), missed

    def tell_again(self, applied: Applied) -> None:
        """Take back what was told to nobody."""
        self._untold = [*applied.foreign, *applied.events, *self._untold]
        self._missed |= applied.missed
