"""Filters: which operations a list or a watch shows.

A filter is a tree of `And`, `Or`, `Not`, `Compare` and `Present`, read from text at the edge.
It is two-valued: a comparison with a field that is unset is false, so its negation is true.
What a text may say in two ways is one tree: `a != 1` is `NOT a = 1`, `a:1` is `a = 1`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from longshore.core.errors import FilterFieldChanges
from longshore.core.fields import LABEL_PREFIX, FieldType, field_named
from longshore.core.installation import is_reserved
from longshore.core.operations import Kind, State

Operator: TypeAlias = Literal["=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text with anything before it, after it, or both."""

    text: str
    open_start: bool = False
    open_end: bool = False

    def matches(self, value: str) -> bool:
        if self.open_start and self.open_end:
            return self.text in value
        if self.open_start:
            return value.endswith(self.text)
        return value.startswith(self.text)


@dataclass(frozen=True, slots=True)
class Compare:
    """A field holds a value that compares so; false if it is unset.

    The value is represented as `FieldType` says. A `Pattern` stands after `=` only.
    """

    field: str
    operator: Operator
    value: str | int | Pattern


@dataclass(frozen=True, slots=True)
class Present:
    """A field is set."""

    field: str


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Filter


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold; of no parts: always."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds."""

    parts: tuple[Filter, ...]


Filter: TypeAlias = And | Or | Not | Compare | Present

EVERYTHING: Final[Filter] = And(())  #: The filter that leaves nothing out.
UNFINISHED: Final = Compare("state", "<=", State.RUNNING)  #: What has not ended.

Fact: TypeAlias = Callable[[str], str | int | None]
"""Gives the value of a field by name, represented as `FieldType` says; None if it is unset."""

_COMPARISONS: Final[dict[Operator, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def all_of(parts: Iterable[Filter]) -> Filter:
    """Return the filter that holds where all parts do."""
    flat = tuple(
        inner for part in parts for inner in (part.parts if isinstance(part, And) else (part,))
    )
    return flat[0] if len(flat) == 1 else And(flat)


def any_of(parts: Iterable[Filter]) -> Filter:
    """Return the filter that holds where one of the parts does."""
    flat = tuple(
        inner for part in parts for inner in (part.parts if isinstance(part, Or) else (part,))
    )
    return flat[0] if len(flat) == 1 else Or(flat)


def negation(part: Filter) -> Filter:
    """Return the filter that holds where the part does not."""
    return part.part if isinstance(part, Not) else Not(part)


def matches(wanted: Filter, fact: Fact) -> bool:
    """Tell whether the operation with these facts passes the filter."""
    match wanted:
        case Compare():
            return _holds(wanted, fact(wanted.field))
        case Present(field):
            return fact(field) is not None
        case Not(part):
            return not matches(part, fact)
        case And(parts):
            return all(matches(part, fact) for part in parts)
        case Or(parts):
            return any(matches(part, fact) for part in parts)


def _holds(wanted: Compare, value: str | int | None) -> bool:
    if value is None:
        return False
    if isinstance(wanted.value, Pattern):
        return wanted.value.matches(str(value))
    return _COMPARISONS[wanted.operator](value, wanted.value)


def fields_of(wanted: Filter) -> Iterator[str]:
    """Yield the name of every field that the filter reads, from left to right."""
    match wanted:
        case Compare(field) | Present(field):
            yield field
        case Not(part):
            yield from fields_of(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from fields_of(part)


def refuse_changing_fields(wanted: Filter) -> None:
    """Raise `FilterFieldChanges` if a watch cannot be filtered so."""
    for name in fields_of(wanted):
        if field_named(name).changes:
            raise FilterFieldChanges(name)


def names_reserved_queue(wanted: Filter) -> bool:
    """Tell whether the filter asks for a reserved queue by name, so that a list shows them.

    A name that is only excluded, and a pattern that merely happens to fit, names none.
    """
    return any(_names_reserved(compare) for compare in _required(wanted, negated=False))


def _required(wanted: Filter, *, negated: bool) -> Iterator[Compare]:
    """Yield the comparisons that an operation may pass by holding, not by failing."""
    match wanted:
        case Compare() if not negated:
            yield wanted
        case Not(part):
            yield from _required(part, negated=not negated)
        case And(parts) | Or(parts):
            for part in parts:
                yield from _required(part, negated=negated)
        case _:
            pass


def _names_reserved(compare: Compare) -> bool:
    match compare:
        case Compare("queue", "=", str(text) | Pattern(text, open_start=False)):
            return is_reserved(text)
        case _:
            return False


def canonical(wanted: Filter) -> str:
    """Return the one text of all filters that say the same in other words or spacing."""
    match wanted:
        case Compare():
            return f"{_name(wanted.field)} {wanted.operator} {_value(wanted)}"
        case Present(field):
            return f"{_name(field)}:*"
        case Not(part):
            return f"NOT {_within(part)}"
        case And(parts):
            return " AND ".join(_within(part) for part in parts)
        case Or(parts):
            return " OR ".join(_within(part) for part in parts)


def _within(part: Filter) -> str:
    return f"({canonical(part)})" if isinstance(part, And | Or) else canonical(part)


def _name(field: str) -> str:
    if not field.startswith(LABEL_PREFIX):
        return field
    return LABEL_PREFIX + _quoted(field.removeprefix(LABEL_PREFIX))


def _value(compare: Compare) -> str:
    match compare.value:
        case Pattern(text, open_start, open_end):
            return _quoted(text, "*" * open_start, "*" * open_end)
        case str(text):
            return _quoted(text)
        case int(number):
            return _number(number, field_named(compare.field).type)


def _quoted(text: str, before: str = "", after: str = "") -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("*", "\\*")
    return f'"{before}{escaped}{after}"'


def _number(value: int, kind: FieldType) -> str:
    match kind:
        case FieldType.STATE:
            return State(value).name
        case FieldType.KIND:
            return Kind(value).name
        case FieldType.BOOL:
            return "true" if value else "false"
        case FieldType.TIME:
            time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value)
            return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case _:
            return str(value)
