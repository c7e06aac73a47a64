"""Queues, contracts, schedules and accounts: how they are kept and found again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from longshore.core.batch import Batch
from longshore.core.callers import Account
from longshore.core.installation import Contract, Schedule, Template
from longshore.stores.postgres.bridge import Reader
from longshore.stores.postgres.connections import Connection


def upsert(table: str, identity: Sequence[str], columns: Sequence[str]) -> str:
    """Return the statement that inserts a row, or updates that of the same identity."""
    names = [*identity, *columns]
    values = ", ".join(f"${at}" for at in range(1, len(names) + 1))
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values}) "
        f"ON CONFLICT ({', '.join(identity)}) DO UPDATE SET "
        f"{', '.join(f'{name} = excluded.{name}' for name in columns)}"
    )


def _delete(table: str, identity: Sequence[str]) -> str:
    where = " AND ".join(f"{name} = ${at}" for at, name in enumerate(identity, 1))
    return f"DELETE FROM {table} WHERE {where}"


_NAMED: Final = ("tenant", "name")
_REGISTERED: Final = ("tenant", "principal", "service", "username")

_PUT_QUEUE: Final = upsert("queues", _NAMED, ("paused_by", "pause_time", '"limit"', "changed"))
_PUT_SERVICE: Final = upsert("services", ("tenant", "slug"), ("document",))
_PUT_CONTRACT: Final = upsert("contracts", _NAMED, ("document", "templates"))
_DROP_CONTRACT: Final = _delete("contracts", _NAMED)
_PUT_SCHEDULE: Final = upsert("schedules", _NAMED, Schedule._fields)
_DROP_SCHEDULE: Final = _delete("schedules", _NAMED)
_PUT_ACCOUNT: Final = upsert("accounts", _REGISTERED, ("create_time",))
_DROP_ACCOUNT: Final = _delete("accounts", _REGISTERED)


_SERVICE: Final = "SELECT document FROM services WHERE tenant = $1 AND slug = $2"
_CONTRACT: Final = "SELECT document, templates FROM contracts WHERE tenant = $1 AND name = $2"
_SCHEDULE: Final = f"""
    SELECT {", ".join(Schedule._fields)} FROM schedules WHERE tenant = $1 AND name = $2
"""
_ACCOUNT: Final = """
    SELECT create_time FROM accounts
    WHERE tenant = $1 AND principal = $2 AND service = $3 AND username = $4
"""


def read_contract(document: bytes, templates: str) -> Contract:
    """Return a contract from its columns."""
    kept = (
        Template(action, number, revision, bytes.fromhex(digest))
        for action, number, revision, digest in json.loads(templates)
    )
    return Contract(document, tuple(kept))


class InstallationRows(Reader):
    """What a batch reads of all these; see `core.rows.Rows`."""

    def service(self, tenant: str, slug: str) -> bytes | None:
        row = self.fetch_one(_SERVICE, tenant, slug)
        return None if row is None else row[0]

    def contract(self, tenant: str, name: str) -> Contract | None:
        row = self.fetch_one(_CONTRACT, tenant, name)
        return None if row is None else read_contract(*row)

    def schedule(self, tenant: str, name: str) -> Schedule | None:
        row = self.fetch_one(_SCHEDULE, tenant, name)
        return None if row is None else Schedule._make(row)

    def account(self, tenant: str, principal: str, account: Account) -> int | None:
        row = self.fetch_one(_ACCOUNT, tenant, principal, *account)
        return None if row is None else int(row[0])


def _contract_row(contract: Contract) -> tuple[bytes, str]:
    rows = [(one.action, one.id, one.revision, one.digest.hex()) for one in contract.templates]
    return contract.document, json.dumps(rows, ensure_ascii=False)


async def write_installation(batch: Batch, version: int, connection: Connection) -> None:
    """Write what a batch has made, changed and deleted of all these."""
    ledger = batch.installation
    services = [(*identity, document) for identity, document in ledger.services.items()]
    queues = [(*identity, *queue, version) for identity, queue in ledger.queues.items()]
    if services:
        await connection.executemany(_PUT_SERVICE, services)
    if queues:
        await connection.executemany(_PUT_QUEUE, queues)
    contracts = {at: one and _contract_row(one) for at, one in ledger.contracts.items()}
    await _put_or_drop(_PUT_CONTRACT, _DROP_CONTRACT, contracts, connection)
    await _put_or_drop(_PUT_SCHEDULE, _DROP_SCHEDULE, ledger.schedules, connection)
    accounts = {at: None if time is None else (time,) for at, time in ledger.accounts.items()}
    await _put_or_drop(_PUT_ACCOUNT, _DROP_ACCOUNT, accounts, connection)


async def _put_or_drop(
    put: str,
    drop: str,
    rows: Mapping[Any, Sequence[Any] | None],
    connection: Connection,
) -> None:
    """Insert or update rows by their identity; None deletes one."""
    kept = [(*identity, *row) for identity, row in rows.items() if row is not None]
    gone = [identity for identity, row in rows.items() if row is None]
    if gone:
        await connection.executemany(drop, gone)
    if kept:
        await connection.executemany(put, kept)
