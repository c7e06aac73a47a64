"""The file that says who may call: read as a whole, or refused with all that is wrong.

It is a file of its own, or the same tables inside a configuration file of other things.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Self, cast

from pydantic import BaseModel, ValidationError, model_validator
from pydantic_core import ErrorDetails

from longshore.access.entries import ConfiguredPrincipal, ConfiguredToken, Section
from longshore.access.errors import InvalidPrincipals
from longshore.access.issuers import Issuer

#: What pydantic says of Python's types, as people say it of TOML's.
_WORDS: Final = {
    "bool_type": "must be true or false",
    "datetime_type": "must be a time, such as 2026-11-23T08:00:00Z",
    "dict_type": "must be a table",
    "missing": "is missing",
    "model_type": "must be a table",
    "string_type": "must be a string",
    "timezone_aware": "needs a time zone, such as the Z of 2026-11-23T08:00:00Z",
    "too_short": "must not be empty",
    "tuple_type": "must be a list",
}


class Configuration(Section):
    """Who may call, as a file says it; frozen, and equal to another that says the same."""

    principals: tuple[ConfiguredPrincipal, ...] = ()
    issuers: tuple[Issuer, ...] = ()

    @model_validator(mode="after")
    def _unique(self) -> Self:
        problems = [
            *_repeated("principals", "name", (one.name for one in self.principals)),
            *_repeated("tokens", "id", (one.id for one in _tokens(self.principals))),
            *_repeated("principals", "certificates", _certificates(self.principals)),
            *_repeated("principals", "stream", _streams(self.principals)),
            *_repeated("issuers", "name", (one.name for one in self.issuers)),
            *_repeated("issuers", "issuer and audience", (one.speaks for one in self.issuers)),
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self


def read(file: Path) -> Configuration:
    """Return what a file says of principals and issuers; other tables are none of our business.

    Raises `InvalidPrincipals`. Reads only this file, not those that it names.
    """
    table = _parsed(file)
    ours = {name: table[name] for name in Configuration.model_fields if name in table}
    try:
        configuration = Configuration.model_validate(ours, context={"folder": file.parent})
    except ValidationError as error:
        raise InvalidPrincipals(file, [*_strays(table), *_problems(error)]) from None
    if strays := [*_strays(table)]:
        raise InvalidPrincipals(file, strays)
    return configuration


def _parsed(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise InvalidPrincipals(file, [f"cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise InvalidPrincipals(file, ["is not UTF-8"]) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidPrincipals(file, [f"is no TOML: {error}"]) from None


def _strays(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was meant for us and stands in the wrong place or is misspelt.

    Nobody else has arrays of tables, and a key of ours above all tables would be lost silently.
    """
    ours = Configuration.model_fields
    inner = {*ConfiguredPrincipal.model_fields, *Issuer.model_fields}
    for name, value in table.items():
        rows = cast("list[object]", value) if isinstance(value, list) else []
        tables = any(isinstance(row, dict) for row in rows)
        misspelt = tables or get_close_matches(name, ours, cutoff=0.8)
        if name not in ours and (misspelt or (name in inner and not isinstance(value, dict))):
            yield f"{name}: unknown key; known are {', '.join(ours)}"


def _problems(error: ValidationError) -> Iterator[str]:
    details = error.errors(include_url=False, include_input=False)
    places = [one["loc"] for one in details]
    for one in details:
        # A list whose items are all wrong is not empty as well.
        inner = any(place[:-1] == one["loc"] for place in places if place)
        if not (one["type"] == "too_short" and inner):
            yield _problem(one)


def _problem(error: ErrorDetails) -> str:
    """Return where what is wrong. Values are not repeated: they may be secrets."""
    place = _place(error["loc"])
    kind = error["type"]
    if kind == "extra_forbidden":
        what = f"unknown key; known are {', '.join(_section(error['loc']).model_fields)}"
    elif kind == "value_error":
        what = str(error["ctx"]["error"]) if "ctx" in error else error["msg"]
    else:
        what = _WORDS.get(kind) or error["msg"].replace("Input should", "must")
    return f"{place}: {what}" if place else what


def _place(location: Iterable[int | str]) -> str:
    """Return a place as people write it: `principals[2].tokens[0].hash`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "".join(steps).lstrip(".").replace(".[key]", "")


def _section(location: tuple[int | str, ...]) -> type[BaseModel]:
    if "tokens" in location[:-1]:
        return ConfiguredToken
    sections: dict[int | str, type[BaseModel]] = {
        "principals": ConfiguredPrincipal,
        "issuers": Issuer,
    }
    return sections[location[0]]


def _repeated(table: str, key: str, names: Iterable[str]) -> Iterator[str]:
    for name, times in Counter(names).items():
        if times > 1:
            yield f"{table}: {key} {name!r} is there {times} times"


def _tokens(principals: Iterable[ConfiguredPrincipal]) -> Iterator[ConfiguredToken]:
    return (token for principal in principals for token in principal.tokens)


def _streams(principals: Iterable[ConfiguredPrincipal]) -> Iterator[str]:
    """Yield the streams of results by all their ids: the name of a principal is always one."""
    for principal in {one.name: one for one in principals}.values():
        yield from {principal.name, principal.stream or principal.name}


def _certificates(principals: Iterable[ConfiguredPrincipal]) -> Iterator[str]:
    return (name for principal in principals for name in principal.certificates)
