"""The file of principals, changed by commands. Its comments and its order stay.

A change is made whole or not at all, and nothing is written that a server would refuse. Of those
who change a file at once each sees what the others have written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple

from tomlkit import TOMLDocument, inline_table

from longshore.access import passwords, tables
from longshore.access.replacing import edited
from longshore.access.tokens import NewToken, is_id, new_api_key, new_token, parts

_PRINCIPALS: Final = "principals"
_TOKENS: Final = "tokens"


class CannotEdit(ValueError):
    """What is asked for does not fit what the file says."""


class PrincipalExists(CannotEdit):
    """A principal of that name is there already."""

    def __init__(self, file: Path, name: str) -> None:
        super().__init__(f"{file.name} has a principal {name!r} already")


class UnknownPrincipal(CannotEdit):
    """No principal has that name; says which are alike."""

    def __init__(self, file: Path, name: str, names: Sequence[str]) -> None:
        alike = " or ".join(map(repr, get_close_matches(name, names)))
        question = f"; do you mean {alike}?" if alike else ""
        super().__init__(f"{file.name} has no principal {name!r}{question}")


class UnknownToken(CannotEdit):
    """No principal has a token of that id. What is no id is not repeated: it may be a secret."""

    def __init__(self, file: Path, token_id: str) -> None:
        named = (
            f"token {token_id!r}" if is_id(token_id) else "such token, and that is no id of one"
        )
        super().__init__(f"{file.name} has no {named}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A principal as it is to stand in the file, without secrets; what is empty is left out."""

    name: str
    roles: Sequence[str]
    tenants: Sequence[str] = ()
    actions: Sequence[str] = ()
    queues: Sequence[str] = ()
    #: By `SERVICE/ACTION/PARAMETER`.
    values: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    delivery: str = ""
    stream: str = ""
    go_between: bool = False
    certificates: Sequence[str] = ()


class Secrets(NamedTuple):
    """What was made for a principal, to be shown once: the file has hashes only."""

    token: NewToken | None = None
    api_key: str | None = None


def add(
    file: Path,
    entry: Entry,
    *,
    password: str | None = None,
    with_api_key: bool = False,
    with_token: bool = True,
    expires: datetime | None = None,
) -> Secrets:
    """Add a principal, and make the file if there is none. `expires` is of its token.

    Raises `PrincipalExists`, `InvalidPrincipals` and `OSError`.
    """
    api_key = new_api_key() if with_api_key else None
    token = new_token() if with_token else None
    row = _entry_row(entry)
    if password is not None:
        row["password"] = passwords.hashed(password)
    if api_key is not None:
        row["api_key"] = api_key.hash
    if token is not None:
        row[_TOKENS] = [_token_row(token, expires)]
    with edited(file, make=True) as document:
        if entry.name in _names(document):
            raise PrincipalExists(file, entry.name)
        tables.append(document, _PRINCIPALS, row)
    return Secrets(token, api_key and api_key.secret_text)


def remove(file: Path, name: str) -> None:
    """Remove a principal. Raises `UnknownPrincipal`, `InvalidPrincipals` and `OSError`."""
    with edited(file) as document:
        tables.remove(document, _PRINCIPALS, _index(document, file, name))


def add_token(file: Path, name: str, expires: datetime | None = None) -> NewToken:
    """Give a principal a further token. Raises as `remove` does."""
    token = new_token()
    with edited(file) as document:
        principal = _principal(document, file, name)
        tables.append(principal, _TOKENS, _token_row(token, expires))
    return token


def revoke(file: Path, token: str) -> str:
    """Remove a token, named by its id or as a whole, and return whose it was.

    Raises `UnknownToken`, `InvalidPrincipals` and `OSError`.
    """
    known = parts(token)
    token_id = known.id if known else token
    with edited(file) as document:
        for principal in tables.rows(document, _PRINCIPALS):
            for at, one in enumerate(tables.rows(principal, _TOKENS)):
                if one["id"] == token_id:
                    tables.remove(principal, _TOKENS, at)
                    return str(principal["name"])
    raise UnknownToken(file, token_id)


def set_password(file: Path, name: str, password: str) -> None:
    """Give a principal a password, in place of the one it has. Raises as `remove` does."""
    kept = passwords.hashed(password)
    with edited(file) as document:
        tables.put(_principal(document, file, name), "password", kept)


def _principal(document: TOMLDocument, file: Path, name: str) -> tables.Row:
    return tables.rows(document, _PRINCIPALS)[_index(document, file, name)]


def _index(document: TOMLDocument, file: Path, name: str) -> int:
    names = _names(document)
    if name not in names:
        raise UnknownPrincipal(file, name, names)
    return names.index(name)


def _names(document: TOMLDocument) -> list[str]:
    return [str(one["name"]) for one in tables.rows(document, _PRINCIPALS)]


def _token_row(token: NewToken, expires: datetime | None) -> dict[str, Any]:
    row = {"id": token.id, "hash": token.hash, "created": _to_seconds(datetime.now(UTC))}
    return row if expires is None else {**row, "expires": _to_seconds(expires)}


def _to_seconds(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(microsecond=0)


def _entry_row(entry: Entry) -> dict[str, Any]:
    """Return what is said of a principal, as TOML knows it."""
    values = inline_table()
    for name, permitted in entry.values.items():
        values.append(name, list(permitted))
    row: dict[str, Any] = {
        "name": entry.name,
        "roles": list(entry.roles),
        "tenants": list(entry.tenants),
        "actions": list(entry.actions),
        "queues": list(entry.queues),
        "values": values,
        "delivery": entry.delivery,
        "stream": entry.stream,
        "go_between": entry.go_between,
        "certificates": list(entry.certificates),
    }
    return {key: value for key, value in row.items() if value}
