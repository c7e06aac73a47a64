"""Parameters: what an action takes, compiled once, and arguments checked against it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from google.protobuf.struct_pb2 import Value

from longshore.core.errors import Violation
from longshore.core.ids import named_file
from longshore.server.checks import is_web_url
from longshore.server.confined import FREE, Confined, is_whole, not_permitted, outside
from longshore.server.structs import flaw_of
from longshore.v1.catalog_service_pb2 import Parameter, ParameterType, ServiceAction

_FILE: Final = ParameterType.PARAMETER_TYPE_FILE

#: The other forms of ISO 8601 are read in several ways: `20170102` is Unix time to workers.
_DATE: Final = re.compile(
    r"\d{4}-\d\d-\d\d"
    r"(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:[0-5]\d)?)?",
    re.ASCII,
)


def _anything(_value: Value) -> bool:
    return True


def _is_finite(value: Value) -> bool:
    return math.isfinite(value.number_value)


def _is_whole(value: Value) -> bool:
    return is_whole(value.number_value)


def _is_date(value: Value) -> bool:
    text = value.string_value
    if not _DATE.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_file(value: Value) -> bool:
    text = value.string_value
    return named_file(text) is not None or is_web_url(text)


class _Type(NamedTuple):
    """How values of a type look in a Struct."""

    kind: str  #: As `Value.WhichOneof` says; empty: any.
    words: str
    accepts: Callable[[Value], bool] = _anything


_ANY: Final = _Type("", "anything")
_TYPES: Final = {
    ParameterType.PARAMETER_TYPE_STRING: _Type("string_value", "a string"),
    ParameterType.PARAMETER_TYPE_INTEGER: _Type(
        "number_value", "a whole number up to 2^53 either way", _is_whole
    ),
    ParameterType.PARAMETER_TYPE_NUMBER: _Type("number_value", "a finite number", _is_finite),
    ParameterType.PARAMETER_TYPE_BOOLEAN: _Type("bool_value", "true or false"),
    ParameterType.PARAMETER_TYPE_DATE: _Type(
        "string_value", "a date, 2026-01-31, or date and time, 2026-01-31T12:00:00Z", _is_date
    ),
    ParameterType.PARAMETER_TYPE_LIST: _Type("list_value", "a list"),
    ParameterType.PARAMETER_TYPE_OBJECT: _Type("struct_value", "an object"),
    _FILE: _Type(
        "string_value", "the id of a file, files/ID, or an http or https URL", _is_file
    ),
}
_SCALARS: Final = frozenset({"string_value", "number_value", "bool_value"})


class _Parameter(NamedTuple):
    type: _Type
    required: bool
    values: frozenset[str] | None  #: All that may be sent, as text; None: any.
    scalar: str  #: The kind of its values, if that and `accepts` are all there is to check.
    accepts: Callable[[Value], bool]


class Table:
    """What one action takes, from somebody who may send but some values, if they are confined."""

    def __init__(self, action: ServiceAction, confined: Confined = FREE) -> None:
        self._parameters = {
            one.slug: _compiled(one, confined.get(one.slug)) for one in action.parameters
        }
        self._confined = confined
        self._required = frozenset(one.slug for one in action.parameters if not one.optional)
        #: Parameters whose values are shown to workers only.
        self.passwords = frozenset(one.slug for one in action.parameters if one.password)
        #: Parameters whose values name files.
        self.files = frozenset(one.slug for one in action.parameters if one.type == _FILE)

    def violations(
        self, arguments: Mapping[str, Value], from_paths: Collection[str], path: str
    ) -> list[Violation]:
        """Return what is wrong with the arguments of the action call at `path`.

        Arguments read `from_paths` are there, whatever they will be.
        """
        found: list[Violation] = []
        needed = len(self._required)
        for name, value in arguments.items():
            parameter = self._parameters.get(name)
            kind = value.WhichOneof("kind")
            if parameter is not None:
                needed -= parameter.required
                if kind == parameter.scalar and parameter.accepts(value):
                    continue  # The common case, in which nothing else can be wrong.
            wrong = self._violation(name, value, kind)
            if wrong is not None:
                found.append(wrong._replace(field=f"{path}.arguments.{wrong.field}"))
        if from_paths:
            found += self._not_from_paths(from_paths, path)
        if needed:
            found += _missing(self._required.difference(arguments, from_paths), path)
        return found

    def _violation(self, name: str, value: Value, kind: str | None) -> Violation | None:
        parameter = self._parameters.get(name)
        if parameter is None:
            known = ", ".join(self._parameters) or "none"
            return Violation(name, f"no such parameter; there are: {known}", "UNKNOWN")
        return _flaw(name, value, kind) or _mismatch(name, value, kind, parameter)

    def _not_from_paths(self, from_paths: Collection[str], path: str) -> Iterator[Violation]:
        for name in from_paths:
            if name not in self._parameters:
                known = ", ".join(self._parameters) or "none"
                described = f"no such parameter; there are: {known}"
                yield Violation(f"{path}.argument_paths[{name}]", described, "UNKNOWN")
        yield from not_permitted({}, from_paths, self._confined, path)


def _missing(names: Collection[str], path: str) -> Iterator[Violation]:
    for name in sorted(names):
        yield Violation(f"{path}.arguments.{name}", "this argument is needed", "MISSING")


def _compiled(parameter: Parameter, confined: frozenset[str] | None) -> _Parameter:
    expected = _TYPES.get(parameter.type, _ANY)
    values = frozenset(parameter.values) if parameter.values else None
    if confined is not None:
        values = confined if values is None else values & confined
    scalar = expected.kind if expected.kind in _SCALARS and values is None else ""
    return _Parameter(expected, not parameter.optional, values, scalar, expected.accepts)


def _flaw(name: str, value: Value, kind: str | None) -> Violation | None:
    flaw = flaw_of(value, kind)
    return flaw and Violation(name + flaw.where, flaw.description)


def _mismatch(
    name: str, value: Value, kind: str | None, parameter: _Parameter
) -> Violation | None:
    if kind == "null_value" and not parameter.required:
        return None
    expected = parameter.type
    if expected.kind and (kind != expected.kind or not expected.accepts(value)):
        return Violation(name, f"expected {expected.words}")
    values = parameter.values
    return None if values is None else outside(name, value, kind, values)
