"""Principals of a test: the file that says who may call, and the tokens of those in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomlkit

from longshore.access import tokens
from longshore.core.principals import Role

#: Call metadata.
Said = tuple[tuple[str, str], ...]

EVERY_ROLE = tuple(role.value for role in Role)


class Principals:
    """A file of principals, written anew as a whole with every change."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.tokens: dict[str, str] = {}  #: By the principal's name: what it shows.
        self._entries: dict[str, dict[str, Any]] = {}
        self._issuers: list[dict[str, Any]] = []
        self._write()

    def add(
        self, name: str, *roles: str, expires: datetime | None = None, **fields: Any
    ) -> Said:
        """Add a principal with a token, and return what it says."""
        self._entries[name] = {"name": name, "roles": roles or EVERY_ROLE, **fields}
        self.renew(name, expires)
        return self.says(name)

    def renew(self, name: str, expires: datetime | None = None) -> None:
        """Give a principal another token in the place of the one that it has."""
        token = tokens.new_token()
        self.tokens[name] = token.secret_text
        entry = {"id": token.id, "hash": token.hash, "created": datetime.now(UTC)}
        if expires is not None:
            entry["expires"] = expires
        self.change(name, tokens=[entry])

    def change(self, name: str, **fields: Any) -> None:
        """Change what the file says of a principal."""
        self._entries[name].update(fields)
        self._write()

    def remove(self, name: str) -> None:
        """Remove a principal, with all its credentials."""
        del self._entries[name]
        self._write()

    def trust(self, name: str, **fields: Any) -> None:
        """Add an issuer, as `tests.tools.issuer` signs unless fields say otherwise."""
        usual = {"issuer": "https://id.example.org", "audience": "longshore"}
        self._issuers.append({"name": name, **usual, "role_claim": "roles", **fields})
        self._write()

    def says(self, name: str, tenant: str = "") -> Said:
        """Return what a principal says with its calls."""
        shown = ("authorization", f"Bearer {self.tokens[name]}")
        return (shown, ("x-tenant-id", tenant)) if tenant else (shown,)

    def _write(self) -> None:
        beside = self.file.with_suffix(".new")
        tables = {"principals": list(self._entries.values()), "issuers": self._issuers}
        beside.write_text(tomlkit.dumps(tables))
        beside.replace(self.file)
