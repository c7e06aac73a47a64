"""Parameters: the texts of a form as the values that an action takes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from longshore.gateway.asapi.errors import Problem, Refused, missing, not_allowed
from longshore.gateway.asapi.forms import Form
from longshore.gateway.faults import Malformed
from longshore.gateway.requests import parsed_object
from longshore.v1.catalog_service_pb2 import Parameter, ParameterType, ServiceAction

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,16}")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
#: As servers take it, and no other form of ISO 8601.
_DATE: Final = re.compile(
    r"\d{4}-\d\d-\d\d"
    r"(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:[0-5]\d)?)?",
    re.ASCII,
)
_TRUTHS: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}


def arguments_of(action: ServiceAction, form: Form) -> dict[str, Any]:
    """Return the arguments of an action, of the fields that it has parameters for.

    What the texts mean is for the server to judge, but they have to be what they say they are,
    and among the permitted values: so all that is wrong can be told, as the server is not asked
    if anything is. Raises `Refused` with all that are missing or cannot be taken.
    """
    arguments: dict[str, Any] = {}
    problems: dict[str, list[Problem]] = {}
    for parameter in action.parameters:
        slug = parameter.slug
        texts = _texts(parameter, form.get(slug, ()))
        if not texts:
            if not parameter.optional:
                problems[slug] = [missing(slug)]
            continue
        try:
            arguments[slug] = _value(parameter, texts)
        except ValueError as error:
            problems[slug] = [not_allowed(slug, str(error))]
    if problems:
        raise Refused(problems)
    return arguments


def _texts(parameter: Parameter, sent: Sequence[str]) -> Sequence[str]:
    """Return what was sent; of a list each value, whether one by one or with commas."""
    if parameter.type != ParameterType.PARAMETER_TYPE_LIST:
        return sent
    parts = [part.strip() for text in sent for part in text.split(",")]
    return [part for part in parts if part]


def _value(parameter: Parameter, texts: Sequence[str]) -> Any:
    """Return what texts stand for. Raises `ValueError`."""
    if parameter.type == ParameterType.PARAMETER_TYPE_LIST:
        return _permitted(parameter, texts)
    if len(texts) > 1:
        raise ValueError("it was sent more than once")
    read = _READERS.get(parameter.type)
    return read(texts[0]) if read else _permitted(parameter, texts)[0]


def _permitted(parameter: Parameter, texts: Sequence[str]) -> Sequence[str]:
    """Return texts that may be sent. Raises `ValueError` if one of them may not."""
    if parameter.values and not set(parameter.values).issuperset(texts):
        allowed = ", ".join(sorted(parameter.values))
        raise ValueError(f"only these may be sent: {allowed}")
    return texts


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text.strip()):
        raise ValueError("a whole number is needed")
    return int(text)


def _number(text: str) -> float:
    number = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
    if not math.isfinite(number):
        raise ValueError("a number is needed")
    return number


def _truth(text: str) -> bool:
    truth = _TRUTHS.get(text.strip().lower())
    if truth is None:
        raise ValueError("true or false is needed")
    return truth


def _date(text: str) -> str:
    """Return the text of a date, or of a date and time (contract 2b.14)."""
    needed = ValueError("a date is needed, 2026-01-31, or date and time, 2026-01-31T12:00:00Z")
    if not _DATE.fullmatch(text):
        raise needed
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise needed from None
    return text


def _object(text: str) -> dict[str, Any]:
    try:
        return parsed_object(text.encode())
    except Malformed:
        raise ValueError("a JSON object is needed") from None


_READERS: Final[Mapping[ParameterType.ValueType, Callable[[str], Any]]] = {
    ParameterType.PARAMETER_TYPE_INTEGER: _whole,
    ParameterType.PARAMETER_TYPE_NUMBER: _number,
    ParameterType.PARAMETER_TYPE_BOOLEAN: _truth,
    ParameterType.PARAMETER_TYPE_DATE: _date,
    ParameterType.PARAMETER_TYPE_OBJECT: _object,
}
