"""`longshore db`: the store itself, without a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
from rich.filesize import decimal

from longshore.cli.commands import examples
from longshore.cli.copying import copy
from longshore.cli.output import say, say_sheet
from longshore.cli.running import run_async
from longshore.cli.settings import config_option
from longshore.cli.stores import StorePlace, store_option
from longshore.core.errors import StoreUnavailable
from longshore.core.operations import Kind, State
from longshore.stores.condition import Condition


@click.group(epilog=examples("db status", "db migrate --store postgresql://db/longshore"))
def db() -> None:
    """Look after the store itself; no server is asked."""


db.add_command(copy)


@db.command(epilog=examples("db status", "db status --store postgresql://db/longshore --json"))
@store_option("Which store.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@config_option
def status(store: StorePlace, as_json: bool) -> None:
    """Show how a store is: its schema, how much is in it, and what slows it down.

    Nothing is changed, and servers may have the store meanwhile.
    """
    try:
        condition = run_async(store.condition())
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        say(json.dumps(_document(store, condition)))
    else:
        say_sheet(_sheet(store, condition))


@db.command(epilog=examples("db migrate", "db migrate --store postgresql://owner@db/longshore"))
@store_option("Which store.")
@config_option
def migrate(store: StorePlace) -> None:
    """Bring the schema of a store to this version, and make it where there is none.

    Servers do so by themselves when they start. This is for those who want it done before, or
    by a user of PostgreSQL who may do more. Whoever comes at the same time waits for it.
    """
    try:
        changed = run_async(_migrated(store))
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from None
    say("\n".join(changed) or "nothing to change")


async def _migrated(place: StorePlace) -> list[str]:
    """Return what was to be changed, once it has been."""
    pending = (await place.condition()).pending
    store = place.store()
    await store.open()
    await store.close()
    return list(pending)


def _document(place: StorePlace, condition: Condition) -> dict[str, Any]:
    return {
        "store": str(place),
        "applied": list(condition.applied),
        "pending": list(condition.pending),
        "revision": condition.revision,
        "size_bytes": condition.size_bytes,
        "counts": [
            {"kind": Kind(kind).name, "state": State(state).name, "count": count}
            for (kind, state), count in condition.counts.items()
        ],
        "warnings": list(condition.warnings),
    }


def _sheet(place: StorePlace, condition: Condition) -> Iterator[tuple[str, str]]:
    yield "store", str(place)
    yield "schema", condition.applied[-1] if condition.applied else "none"
    yield "pending", ", ".join(condition.pending)
    yield "revision", str(condition.revision)
    yield "size", decimal(condition.size_bytes)
    for (kind, state), count in condition.counts.items():
        yield f"{Kind(kind).name.lower()}s {State(state).name}", str(count)
    for warning in condition.warnings:
        yield "warning", warning
