"""`longshore accounts`: for whom tasks are done."""

from __future__ import annotations

from typing import Final

import click

from longshore.cli.commands import Listing, examples
from longshore.cli.output import say, say_json
from longshore.cli.running import Asking, asks
from longshore.cli.suggestions import services
from longshore.cli.tables import Column, say_list
from longshore.cli.wording import moment
from longshore.v1.catalog_service_pb2 import Account

_COLUMNS: Final = (Column("SERVICE"), Column("USERNAME"), Column("REGISTERED"))

_SERVICE: Final = click.argument("service", shell_complete=services)
_USERNAME: Final = click.argument("username")


@click.group(
    cls=Listing,
    epilog=examples(
        "accounts register mail ada", "accounts list", "accounts deregister mail ada"
    ),
)
def accounts() -> None:
    """Show, register and deregister your accounts with services."""


@accounts.command("list", epilog=examples("accounts list"))
@asks
async def list_(asking: Asking) -> None:
    """List your accounts, by service and username."""
    found = [one async for one in asking.client.catalog.accounts()]
    say_list(found, _COLUMNS, _row, as_json=asking.as_json)


@accounts.command(epilog=examples("accounts register mail ada"))
@_SERVICE
@_USERNAME
@asks
async def register(asking: Asking, service: str, username: str) -> None:
    """Register an account with a service, for yourself alone."""
    account = await asking.client.catalog.register_account(service, username)
    if asking.as_json:
        say_json(account)
    else:
        say(f"{username} is registered with {service}")


@accounts.command(epilog=examples("accounts deregister mail ada"))
@_SERVICE
@_USERNAME
@asks
async def deregister(asking: Asking, service: str, username: str) -> None:
    """Deregister an account of yours. Tasks that name it go on."""
    await asking.client.catalog.deregister_account(service, username)
    if not asking.as_json:
        say(f"{username} is no longer registered with {service}; tasks that name it go on")


def _row(account: Account) -> tuple[str, ...]:
    return (account.service, account.username, moment(account.create_time))
