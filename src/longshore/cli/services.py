"""`longshore services`: what workers offer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from longshore.cli.commands import examples
from longshore.cli.output import printable, say, say_json, say_sheet
from longshore.cli.running import Asking, asks
from longshore.cli.suggestions import services as known
from longshore.cli.tables import Column, Fit, say_list
from longshore.v1.catalog_service_pb2 import Parameter, ParameterType, Service, ServiceAction
from longshore.v1.operation_pb2 import ServiceKind

_COLUMNS: Final = (
    Column("SLUG"),
    Column("KIND"),
    Column("VERSION"),
    Column("ACTIONS", Fit.CUT),
    Column("DESCRIPTION", Fit.CUT),
)


@click.command(epilog=examples("services", "services archive"))
@click.argument("slug", required=False, shell_complete=known)
@asks
async def services(asking: Asking, slug: str | None) -> None:
    """List what workers offer or have offered; or show the service SLUG, with all it takes.

    Actions that belong to no service are shown by an empty slug: `longshore services ''`.
    """
    if slug is not None:
        one = await asking.client.catalog.service(slug)
        say_json(one) if asking.as_json else _show(one)
        return
    found = await asking.client.catalog.services()
    say_list(found, _COLUMNS, _row, as_json=asking.as_json)


def _row(service: Service) -> tuple[str, ...]:
    return (
        service.slug or "''",
        _kind(service),
        service.version,
        ", ".join(action.slug for action in service.actions),
        _first_line(service.description),
    )


def _show(service: Service) -> None:
    say_sheet(
        (
            ("slug", service.slug or "''"),
            ("name", service.name),
            ("version", service.version),
            ("kind", _kind(service)),
            ("description", service.description),
        )
    )
    for action in service.actions:
        say("")
        _show_action(action)


def _show_action(action: ServiceAction) -> None:
    about = _first_line(action.description)
    say(printable(f"{action.slug}  {about}".rstrip()))
    rows = [(one.slug, *_parameter(one)) for one in action.parameters]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        say(printable(f"  {'  '.join(cells)}".rstrip()))


def _parameter(one: Parameter) -> tuple[str, str]:
    """Return the type of a parameter, and what else there is to know."""
    kind = ParameterType.Name(one.type).removeprefix("PARAMETER_TYPE_").lower()
    return kind, "; ".join(_facts(one))


def _facts(one: Parameter) -> Iterator[str]:
    if one.optional:
        yield "optional"
    if one.password:
        yield "secret"
    if one.values:
        yield f"one of {', '.join(one.values)}"
    if one.description:
        yield _first_line(one.description)


def _kind(service: Service) -> str:
    if service.kind == ServiceKind.SERVICE_KIND_UNSPECIFIED:
        return ""
    return ServiceKind.Name(service.kind).removeprefix("SERVICE_KIND_").lower()


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
