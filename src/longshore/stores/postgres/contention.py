"""What a batch reads of work that competes: by concurrency keys, and by turns of fairness keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from longshore.core.ledgers import Key
from longshore.core.operations import PARKED, Operation
from longshore.stores.postgres.bridge import Reader
from longshore.stores.postgres.connections import Connection
from longshore.stores.postgres.values import OPERATION

_LIMIT: Final = "(policy::jsonb ->> 'concurrency_limit')::bigint"
_KEY_PARKED: Final = (
    f"operations WHERE tenant = $1 AND concurrency_key = $2 AND wake_time = {PARKED}"
)
#: How many run with each key, and whether any waits for it.
_LEASES: Final = f"""
    SELECT tenant, key, (
        SELECT count(*) FROM operations
        WHERE tenant = named.tenant AND concurrency_key = named.key AND session IS NOT NULL
    ), (
        SELECT TRUE FROM operations
        WHERE tenant = named.tenant AND concurrency_key = named.key AND wake_time = {PARKED}
        ORDER BY lane LIMIT 1
    ) FROM unnest($1::text[], $2::text[]) AS named (tenant, key)
"""
#: One probe of the index per lane and limit, however many operations wait in each.
_PARKED_GROUPS: Final = f"""
    WITH RECURSIVE groups (lane, least) AS (
        (SELECT lane, {_LIMIT} FROM {_KEY_PARKED} ORDER BY lane, {_LIMIT} LIMIT 1)
        UNION ALL
        SELECT following.lane, following.least FROM groups CROSS JOIN LATERAL (
            SELECT lane, {_LIMIT} AS least FROM {_KEY_PARKED}
                AND (lane, {_LIMIT}) > (groups.lane, groups.least)
            ORDER BY lane, {_LIMIT} LIMIT 1
        ) AS following
    )
    SELECT lane, least FROM groups WHERE least > $3
"""
_PARKED: Final = f"""
    SELECT {OPERATION} FROM {_KEY_PARKED} AND lane = $3 AND {_LIMIT} = $4
    ORDER BY priority DESC, position LIMIT $5
"""
_WAITING: Final = """
    operations WHERE lane = named.lane AND priority = $2 AND state = 2 AND wake_time IS NULL
"""
#: One probe of each end of the index per lane.
_SPANS: Final = f"""
    SELECT lane, (SELECT min(position) FROM {_WAITING}), (SELECT max(position) FROM {_WAITING})
    FROM unnest($1::integer[]) AS named (lane)
"""
_LAST_TURNS: Final = f"""
    SELECT key, max((
        SELECT max(position) FROM operations
        WHERE lane = named.lane AND fairness_key = key AND priority = $2 AND state = 2
            AND (wake_time IS NULL OR wake_time = {PARKED})
    )) FROM unnest($1::integer[]) AS named (lane), unnest($3::text[]) AS key GROUP BY key
"""


class ContentionRows(Reader):
    """What a batch reads of concurrency and fairness keys; see `core.rows.Rows`."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._leases: dict[Key, int] = {}
        self._unparked: set[Key] = set()
        #: By the first lane of the queue, which says which one it is, priority and key.
        self._turns: dict[tuple[int, int, str], int | None] = {}

    def read_leases(self, keys: Sequence[Key]) -> None:
        """Read how many operations run with concurrency keys, and whether any wait for them."""
        for tenant, key, count, parked in self.fetch(_LEASES, *zip(*keys, strict=True)):
            self._leases[tenant, key] = count
            if not parked:
                self._unparked.add((tenant, key))

    def read_turns(self, lanes: Sequence[int], priority: int, keys: Sequence[str]) -> None:
        """Read the last turns of fairness keys in all lanes of a queue."""
        for key, turn in self.fetch(_LAST_TURNS, lanes, priority, keys):
            self._turns[lanes[0], priority, key] = turn

    def leases(self, tenant: str, concurrency_key: str) -> int:
        key = (tenant, concurrency_key)
        if key not in self._leases:
            self.read_leases([key])
        return self._leases[key]

    def parked_groups(
        self, tenant: str, concurrency_key: str, leases: int
    ) -> list[tuple[int, int]]:
        if (tenant, concurrency_key) in self._unparked:
            return []
        rows = self.fetch(_PARKED_GROUPS, tenant, concurrency_key, leases)
        return [(lane, least) for lane, least in rows]

    def parked(
        self, tenant: str, concurrency_key: str, lane: int, limit: int, count: int
    ) -> list[Operation]:
        return self.fetch_operations(_PARKED, tenant, concurrency_key, lane, limit, count)

    def spans(self, lanes: Sequence[int], priority: int) -> dict[int, tuple[int, int]]:
        found = self.fetch(_SPANS, lanes, priority)
        return {lane: (first, last) for lane, first, last in found if first is not None}

    def last_turn(self, lanes: Sequence[int], priority: int, fairness_key: str) -> int | None:
        turn = (lanes[0], priority, fairness_key)
        if turn not in self._turns:
            self.read_turns(lanes, priority, [fairness_key])
        return self._turns[turn]
