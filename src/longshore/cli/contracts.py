"""`longshore contracts`: jobs that are agreed upon."""

from __future__ import annotations

from typing import Final, TextIO

import click

from longshore.cli.applying import apply_documents
from longshore.cli.commands import Listing, examples
from longshore.cli.documents import files_argument, read_documents
from longshore.cli.output import say, say_json
from longshore.cli.running import Asking, asks
from longshore.cli.suggestions import contracts as known
from longshore.cli.tables import Column, Fit, say_list
from longshore.cli.yaml_text import to_yaml
from longshore.v1.catalog_service_pb2 import Contract, ContractAction

_COLUMNS: Final = (
    Column("NAME"),
    Column("TYPE", Fit.CUT),
    Column("ACTOR", Fit.CUT),
    Column("ACTIONS", Fit.CUT),
)

_EXAMPLES: Final = examples(
    "contracts apply archive.yaml orders.yaml",
    "contracts list",
    "contracts show archive",
    "contracts delete archive",
)


@click.group(cls=Listing, epilog=_EXAMPLES)
def contracts() -> None:
    """Show, make, change and delete contracts: what jobs can be submitted."""


@contracts.command("list", epilog=examples("contracts list", "contracts list --json"))
@asks
async def list_(asking: Asking) -> None:
    """List contracts by name, with the revision of each action's template."""
    found = [one async for one in asking.client.catalog.contracts()]
    say_list(found, _COLUMNS, _row, as_json=asking.as_json)


@contracts.command(epilog=examples("contracts show archive > archive.yaml"))
@click.argument("name", shell_complete=known)
@asks
async def show(asking: Asking, name: str) -> None:
    """Show a contract as YAML that can be applied again."""
    contract = await asking.client.catalog.contract(name)
    if asking.as_json:
        say_json(contract)
        return
    for action in contract.actions:
        template = action.template
        say(f"# {action.name}: template {template.id}, revision {template.revision}")
    say(to_yaml(contract))


@contracts.command(
    epilog=examples("contracts apply archive.yaml", "contracts apply - < archive.json")
)
@files_argument
@asks
async def apply(asking: Asking, files: tuple[TextIO, ...]) -> None:
    """Make the contracts in files of YAML or JSON, or make them what is there.

    A file may hold several documents; `-` is standard input. All are read before anything is
    sent. Templates that change get the next revision; jobs submitted before keep theirs.
    """
    await apply_documents(
        asking,
        read_documents(files, Contract),
        asking.client.catalog.apply_contract,
        lambda contract: f"contract {contract.name} holds: {_actions(contract)}",
    )


@contracts.command(epilog=examples("contracts delete archive"))
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=known)
@asks
async def delete(asking: Asking, names: tuple[str, ...]) -> None:
    """Delete contracts. Jobs that they have started go on."""
    for name in names:
        await asking.client.catalog.delete_contract(name)
        if not asking.as_json:
            say(f"contract {name} is deleted; jobs that it has started go on")


def _row(contract: Contract) -> tuple[str, ...]:
    return (contract.name, contract.type, contract.actor, _actions(contract))


def _actions(contract: Contract) -> str:
    return ", ".join(map(_action, contract.actions))


def _action(action: ContractAction) -> str:
    return f"{action.name} (revision {action.template.revision})"
