"""Principals of a file, shown: all that is said of them, and of their secrets that they exist."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from longshore.access.entries import ConfiguredPrincipal, ConfiguredToken
from longshore.cli.output import say, say_sheet
from longshore.cli.tables import Column, Fit, say_table
from longshore.core.principals import Delivery

_COLUMNS: Final = (
    Column("NAME"),
    Column("ROLES"),
    Column("TENANTS", Fit.CUT),
    Column("CREDENTIALS", Fit.CUT),
)


def list_principals(principals: Iterable[ConfiguredPrincipal], *, as_json: bool) -> None:
    """Print a row, or a line of JSON, for each."""
    if as_json:
        for one in principals:
            say(_json(one))
    else:
        say_table(_COLUMNS, map(_row, principals))


def show_principal(principal: ConfiguredPrincipal, *, as_json: bool) -> None:
    """Print all there is to know of one."""
    if as_json:
        say(_json(principal))
    else:
        say_sheet(_sheet(principal))


def _row(principal: ConfiguredPrincipal) -> tuple[str, ...]:
    return (
        principal.name,
        ", ".join(principal.roles),
        ", ".join(principal.tenants),
        "; ".join(_credentials(principal)),
    )


def _sheet(principal: ConfiguredPrincipal) -> Iterator[tuple[str, str]]:
    yield "name", principal.name
    yield "roles", ", ".join(principal.roles)
    yield "tenants", ", ".join(principal.tenants)
    yield "actions", ", ".join(principal.actions)
    yield "queues", ", ".join(principal.queues)
    yield (
        "values",
        "\n".join(f"{name}: {', '.join(some)}" for name, some in principal.values.items()),
    )
    if principal.delivery is not Delivery.NONE:
        yield "delivery", principal.delivery.name.lower()
    yield "stream", principal.stream or ""
    if principal.go_between:
        yield "go-between", "yes"
    yield "credentials", "\n".join(_credentials(principal)) or "none"


def _credentials(principal: ConfiguredPrincipal) -> Iterator[str]:
    for token in principal.tokens:
        yield f"token {token.id}, {_life(token)}"
    if principal.password is not None:
        yield "password"
    for certificate in principal.certificates:
        yield f"certificate {certificate}"
    if principal.api_key is not None:
        yield "api-key"


def _life(token: ConfiguredToken) -> str:
    """Say since when a token is there, and until when it is good."""
    made = f"made {_day(token.created)}"
    if token.expires is None:
        return made
    ends = "expires" if token.expires > datetime.now(UTC) else "expired"
    return f"{made}, {ends} {_day(token.expires)}"


def _day(time: datetime) -> str:
    return time.astimezone().date().isoformat()


def _json(principal: ConfiguredPrincipal) -> str:
    """Return a principal as the file says it, but whether it has secrets in place of hashes."""
    told: dict[str, Any] = principal.model_dump(
        mode="json", exclude={"password", "api_key", "delivery", "tokens"}, exclude_none=True
    )
    return json.dumps(
        {
            **told,
            "delivery": principal.delivery.name.lower(),
            "password": principal.password is not None,
            "api_key": principal.api_key is not None,
            "tokens": [
                token.model_dump(
                    mode="json", include={"id", "created", "expires"}, exclude_none=True
                )
                for token in principal.tokens
            ],
        },
        ensure_ascii=False,
    )
