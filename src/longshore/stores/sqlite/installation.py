"""Queues, contracts, schedules and accounts: how they are kept and found again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from sqlite_utils import Database

from longshore.core.batch import Batch
from longshore.core.installation import Contract, Queue, Registered, Schedule, Template

_ACCOUNTS: Final = """
    SELECT service, username, create_time FROM accounts
    WHERE tenant = ? AND principal = ? ORDER BY service, username
"""
_SCHEDULE: Final = ", ".join(Schedule._fields)

Identity = tuple[str, str]  #: Tenant and name.


def read_contract(document: bytes, templates: str) -> Contract:
    """Return a contract from its columns."""
    kept = (
        Template(action, number, revision, bytes.fromhex(digest))
        for action, number, revision, digest in json.loads(templates)
    )
    return Contract(document, tuple(kept))


def _templates(contract: Contract) -> str:
    rows = [(one.action, one.id, one.revision, one.digest.hex()) for one in contract.templates]
    return json.dumps(rows, ensure_ascii=False)


def queues(connection: sqlite3.Connection) -> dict[Identity, Queue]:
    """Return the queues of all tenants."""
    rows = connection.execute('SELECT tenant, name, paused_by, pause_time, "limit" FROM queues')
    return {(tenant, name): Queue(*rest) for tenant, name, *rest in rows}


def contracts(connection: sqlite3.Connection) -> dict[Identity, Contract]:
    """Return the contracts of all tenants."""
    rows = connection.execute("SELECT tenant, name, document, templates FROM contracts")
    return {(tenant, name): read_contract(*rest) for tenant, name, *rest in rows}


def schedules(connection: sqlite3.Connection) -> dict[Identity, Schedule]:
    """Return the schedules of all tenants."""
    rows = connection.execute(f"SELECT tenant, name, {_SCHEDULE} FROM schedules")
    return {(tenant, name): Schedule._make(rest) for tenant, name, *rest in rows}


def accounts(tenant: str, principal: str, connection: sqlite3.Connection) -> list[Registered]:
    """Return a principal's accounts."""
    return [Registered._make(row) for row in connection.execute(_ACCOUNTS, (tenant, principal))]


def write_installation(batch: Batch, database: Database) -> None:
    """Write what a batch has made, changed and deleted of all these."""
    for (tenant, name), queue in batch.installation.queues.items():
        _put(database, "queues", {"tenant": tenant, "name": name}, queue._asdict())
    for (tenant, name), contract in batch.installation.contracts.items():
        row = contract and {
            "document": contract.document,
            "templates": _templates(contract),
        }
        _put(database, "contracts", {"tenant": tenant, "name": name}, row)
    for (tenant, name), schedule in batch.installation.schedules.items():
        row = schedule and schedule._asdict()
        _put(database, "schedules", {"tenant": tenant, "name": name}, row)
    for (
        tenant,
        principal,
        service,
        username,
    ), create_time in batch.installation.accounts.items():
        identity = {
            "tenant": tenant,
            "principal": principal,
            "service": service,
            "username": username,
        }
        _put(
            database,
            "accounts",
            identity,
            None if create_time is None else {"create_time": create_time},
        )


def _put(
    database: Database, name: str, identity: Mapping[str, str], row: Mapping[str, Any] | None
) -> None:
    """Insert or update a row by its primary key; None deletes it."""
    if row is None:
        where = " AND ".join(f"{column} = ?" for column in identity)
        database.conn.execute(f"DELETE FROM {name} WHERE {where}", list(identity.values()))
    else:
        table = database.table(name)
        table.upsert({**identity, **row}, pk=table.pks)
