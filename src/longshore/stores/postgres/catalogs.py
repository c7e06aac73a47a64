"""The catalog: read again part by part, as far as its parts have changed."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from types import MappingProxyType
from typing import Any, Final

from longshore.core.changes import Mode
from longshore.core.installation import Contract, Queue, Registered, Schedule
from longshore.core.lanes import Lane, Session
from longshore.core.store import Catalog
from longshore.stores.postgres.connections import AnyConnection, Row
from longshore.stores.postgres.installation import read_contract

_ACCOUNTS: Final = """
    SELECT service, username, create_time FROM accounts
    WHERE tenant = $1 AND principal = $2 ORDER BY service, username
"""

Identity = tuple[str, str]  #: Tenant and name.


async def read_accounts(
    tenant: str, principal: str, connection: AnyConnection
) -> list[Registered]:
    """Return a principal's accounts."""
    return list(map(Registered._make, await connection.fetch(_ACCOUNTS, tenant, principal)))


async def _services(connection: AnyConnection) -> dict[Identity, bytes]:
    rows = await connection.fetch("SELECT tenant, slug, document FROM services")
    return {(tenant, slug): document for tenant, slug, document in rows}


async def _queues(connection: AnyConnection) -> dict[Identity, Queue]:
    rows = await connection.fetch(
        'SELECT tenant, name, paused_by, pause_time, "limit" FROM queues'
    )
    return {(tenant, name): Queue(*rest) for tenant, name, *rest in rows}


async def _contracts(connection: AnyConnection) -> dict[Identity, Contract]:
    rows = await connection.fetch("SELECT tenant, name, document, templates FROM contracts")
    return {(tenant, name): read_contract(*rest) for tenant, name, *rest in rows}


async def _schedules(connection: AnyConnection) -> dict[Identity, Schedule]:
    columns = ", ".join(Schedule._fields)
    rows = await connection.fetch(f"SELECT tenant, name, {columns} FROM schedules")
    return {(tenant, name): Schedule._make(rest) for tenant, name, *rest in rows}


async def _lanes(connection: AnyConnection) -> dict[int, Lane]:
    rows = await connection.fetch("SELECT number, tenant, queue, actions FROM lanes")
    return {
        number: Lane(number, tenant, queue, tuple(json.loads(actions)))
        for number, tenant, queue, actions in rows
    }


async def _sessions(connection: AnyConnection) -> dict[int, Session]:
    columns = ", ".join(Session._fields)
    rows = await connection.fetch(f"SELECT {columns} FROM sessions WHERE NOT ended")
    return {row[0]: _session(row) for row in rows}


def _session(row: Row) -> Session:
    kept = Session._make(row)
    return kept._replace(
        queues=tuple(json.loads(row["queues"])), offers=tuple(json.loads(row["offers"]))
    )


#: How each part is read.
_PARTS: Final = MappingProxyType[str, Callable[[AnyConnection], Awaitable[Any]]](
    {
        "services": _services,
        "queues": _queues,
        "contracts": _contracts,
        "schedules": _schedules,
        "sessions": _sessions,
        "lanes": _lanes,
    }
)
_CHANGED: Final = ", ".join(f"{part}_changed" for part in _PARTS)
_HEAD: Final = f"SELECT revision, compacted, mode, resume_on_restart, {_CHANGED} FROM head"


class Catalogs:
    """Reads catalogs, and of those parts that are as they were nothing.

    So a schedule that fires does not cost the reading of every contract. What is kept of a part
    is as the head, in the snapshot in which it was read, said that it had changed last.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, Any]] = {}

    async def read(self, connection: AnyConnection) -> Catalog:
        """Return the catalog; the connection is in a snapshot."""
        ((revision, compacted, mode, resume, *changed),) = await connection.fetch(_HEAD)
        parts = {
            part: await self._part(part, version, connection)
            for part, version in zip(_PARTS, changed, strict=True)
        }
        return Catalog(
            revision=revision,
            compacted=compacted,
            mode=Mode(mode),
            resume_on_restart=resume,
            **parts,
        )

    async def _part(self, part: str, version: int, connection: AnyConnection) -> Any:
        kept = self._kept.get(part)
        if kept is None or kept[0] != version:
            kept = self._kept[part] = version, await _PARTS[part](connection)
        return kept[1]
