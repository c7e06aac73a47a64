"""Confined parameters: those of which somebody may send some values only."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeAlias

from google.protobuf.struct_pb2 import Value

from longshore.core.errors import Violation
from longshore.core.principals import ParameterName

Confined: TypeAlias = Mapping[str, frozenset[str]]
"""What may be sent, as text, by the names of an action's parameters."""

#: As `Grants` has them.
Values: TypeAlias = tuple[tuple[ParameterName, frozenset[str]], ...]

FREE: Final[Confined] = MappingProxyType({})

_WHOLE: Final = 2**53


@lru_cache(maxsize=4_096)
def confined(service: str, action: str, granted: Values) -> Confined:
    """Return what somebody may send to an action.

    What is asked for without its service may be done by any, and what is said of an action
    without its service is said of all: both count, and so do both together.
    """
    found: dict[str, frozenset[str]] = {}
    for name, values in granted:
        if name.action == action and (not service or name.service in (service, "")):
            found[name.parameter] = found.get(name.parameter, values) & values
    return MappingProxyType(found) if found else FREE


def not_permitted(
    arguments: Mapping[str, Value],
    from_paths: Collection[str],
    confined_to: Confined,
    path: str,
) -> Iterator[Violation]:
    """Yield what somebody may not send in the action call at `path`.

    What is read from a path cannot be sent at all: nobody knows yet what it will be.
    """
    for name, values in confined_to.items():
        value = arguments.get(name)
        kind = None if value is None else value.WhichOneof("kind")
        if value is not None and kind != "null_value":
            wrong = outside(name, value, kind, values)
            if wrong is not None:
                yield wrong._replace(field=f"{path}.arguments.{name}")
        if name in from_paths:
            written = "you may send some values only: write the one that you mean"
            yield Violation(f"{path}.argument_paths[{name}]", written, "NOT_PERMITTED")


def outside(
    name: str, value: Value, kind: str | None, values: frozenset[str]
) -> Violation | None:
    """Return what is wrong with a value that is not among those that may be sent."""
    if values.issuperset(_texts(value, kind)):
        return None
    allowed = ", ".join(sorted(values)) or "none"
    return Violation(name, f"only these may be sent: {allowed}", "NOT_PERMITTED")


def is_whole(number: float) -> bool:
    """Tell whether a number is a whole one that is kept exactly."""
    return number.is_integer() and -_WHOLE <= number <= _WHOLE


def _texts(value: Value, kind: str | None) -> Iterator[str]:
    """Yield the texts that must be among the values."""
    match kind:
        case "list_value":
            for element in value.list_value.values:
                yield from _texts(element, element.WhichOneof("kind"))
        case "string_value":
            yield value.string_value
        case "bool_value":
            yield "true" if value.bool_value else "false"
        case "number_value":
            number = value.number_value
            yield str(int(number)) if is_whole(number) else repr(number)
        case _:
            yield ""
