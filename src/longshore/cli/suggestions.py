"""Names that only the server knows, for shells that complete."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from longshore.cli.credentials import take_credentials
from longshore.client import Client
from longshore.client.connection import DEFAULT_SERVER
from longshore.v1.operation_pb2 import ServiceKind

#: A shell that keeps people waiting is worse than one that knows nothing.
_PATIENCE_SECONDS: Final = 1.0

#: What was typed before, by the name of the parameter.
Typed = dict[str, Any]

Suggest = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def suggested(ask: Callable[[Client, Typed], Awaitable[Iterable[str]]]) -> Suggest:
    """Turn a question to the server into what completes a parameter, or silence if it fails."""

    def suggest(
        context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        try:
            names = asyncio.run(_asked(ask, context.params))
        except Exception:  # noqa: BLE001 - whatever it is, the line being typed is no place for it
            return []
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]

    return suggest


async def _asked(
    ask: Callable[[Client, Typed], Awaitable[Iterable[str]]], typed: Typed
) -> Iterable[str]:
    server = typed.get("server") or DEFAULT_SERVER
    tenant = typed.get("tenant") or ""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        async with Client(
            server, tenant=tenant, timeout=_PATIENCE_SECONDS, **take_credentials(dict(typed))
        ) as client:
            await client.connect()
            return await ask(client, typed)


@suggested
async def actions(client: Client, _typed: Typed) -> Iterable[str]:
    """What tasks can be of: `SERVICE/ACTION`, or `ACTION` alone."""
    services = await client.catalog.services()
    return [
        f"{service.slug}/{action.slug}".lstrip("/")
        for service in services
        for action in service.actions
    ]


@suggested
async def services(client: Client, _typed: Typed) -> Iterable[str]:
    return [service.slug for service in await client.catalog.services()]


@suggested
async def launchable(client: Client, _typed: Typed) -> Iterable[str]:
    """What can be launched: services that have a kind."""
    none = ServiceKind.SERVICE_KIND_UNSPECIFIED
    return [one.slug for one in await client.catalog.services() if one.kind != none]


@suggested
async def contracts(client: Client, _typed: Typed) -> Iterable[str]:
    return [contract.name async for contract in client.catalog.contracts()]


@suggested
async def contract_actions(client: Client, typed: Typed) -> Iterable[str]:
    """The actions of the contract that was typed before."""
    contract = await client.catalog.contract(typed["contract"])
    return [action.name for action in contract.actions]


@suggested
async def schedules(client: Client, _typed: Typed) -> Iterable[str]:
    return [schedule.name async for schedule in client.catalog.schedules()]


@suggested
async def queues(client: Client, _typed: Typed) -> Iterable[str]:
    return [queue.name async for queue in client.queues.list()]
