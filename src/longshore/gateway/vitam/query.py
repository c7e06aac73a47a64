"""The query language: predicates joined by `&`, made a filter of the list that they are for.

    name='abcdef*'&since>'2015-07-14'

A predicate is a field, an operator (`=` `!=` `<` `<=` `>` `>=`) and a value in single quotes; a
quote in it is written twice. A `*` at both ends of a value, or one within it, stands for anything
and goes with `=` only; alone it asks whether the field is there. Fields are those of an async
status, `name`, which is the step's, and `since`, when the task was submitted. A date alone is its
first moment, in UTC as every time without a zone. An id, a state or a link that nothing has finds
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from types import MappingProxyType
from typing import Final, cast

from longshore.gateway.dialects import is_id
from longshore.gateway.vitam.errors import TYPE, NotMet

QUERY_CHARACTERS: Final = 4_096  #: The longest query.

_PREDICATE: Final = re.compile(
    r"\s*(?P<field>\w+)\s*(?P<operator>!=|<=|>=|=|<|>)\s*'(?P<value>(?:[^']|'')*)'\s*"
)
_PATTERN: Final = re.compile(r"\*?[^*]*\*?|(?P<before>[^*]+)\*(?P<after>[^*]+)")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME: Final = re.compile(_DATE.pattern + r"[Tt][0-9:.]+(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?")
_RESULT: Final = re.compile(r".*/tasks/(?P<id>[^/]+)/result", re.DOTALL)

_NOTHING: Final = "number < 0"
_HAS_RESULT: Final = "state = SUCCEEDED"

#: What the work of other services of the platform is called.
_OTHER_TYPES: Final = (
    *("access", "query", "freeze", "destruction"),
    *("disposal", "audit", "platform", "internal"),
)

_GIVEN_UP: Final = "(state = CANCELED OR (state = RUNNING AND cancel_requested = true))"


def compiled(query: str) -> str:
    """Return the filter that finds what a query asks for. Raises `NotMet`."""
    if len(query) > QUERY_CHARACTERS:
        raise NotMet(f"at most {QUERY_CHARACTERS} characters, got {len(query)}", "query")
    if not query.strip():
        return ""
    return " AND ".join(filter(None, _predicates(query)))


def _predicates(query: str) -> Iterator[str]:
    position = 0
    while True:
        found = _PREDICATE.match(query, position)
        if found is None:
            wanted = "a field, an operator and a value in single quotes"
            raise NotMet(f"expected {wanted} (at {position})", "query")
        yield _predicate(found["field"], found["operator"], found["value"].replace("''", "'"))
        position = found.end()
        if position == len(query):
            return
        if query[position] != "&":
            raise NotMet(f"expected & between two predicates (at {position})", "query")
        position += 1


def _predicate(field: str, operator: str, value: str) -> str:
    compile_ = _FIELDS.get(field)
    if compile_ is None:
        known = ", ".join(_FIELDS)
        raise NotMet(f"unknown field {field!r}; known: {known}", "query")
    if "*" in value and operator != "=":
        raise NotMet(f"{field}: a * goes with = only", "query")
    if _PATTERN.fullmatch(value) is None:
        raise NotMet(f"{field}: a * stands at both ends, or once within", "query")
    return compile_(field, operator, value)


def _text(of: str) -> Callable[[str, str, str], str]:
    """Compare a field that filters have too; patterns are written alike, if at the ends."""

    def compile_(_field: str, operator: str, value: str) -> str:
        pattern = _PATTERN.fullmatch(value)
        if pattern is None or pattern["before"] is None:
            return f"{of} {operator} {_quoted(value)}"
        return _within(of, pattern["before"], pattern["after"])

    return compile_


def _within(of: str, before: str, after: str) -> str:
    """Find what begins and ends so, but not where the end is a part of the beginning."""
    found = [f"{of} = {_quoted(f'{before}*')}", f"{of} = {_quoted(f'*{after}')}"]
    shared = range(1, min(len(before), len(after)) + 1)
    short = [before + after[count:] for count in shared if before.endswith(after[:count])]
    return f"({' AND '.join([*found, *(f'{of} != {_quoted(one)}' for one in short)])})"


def _time(of: str) -> Callable[[str, str, str], str]:
    def compile_(field: str, operator: str, value: str) -> str:
        time = _TIME.fullmatch(value)
        if value != "*" and not ((time or _DATE.fullmatch(value)) and _is_day(value[:10])):
            raise NotMet(
                f"{field}: expected a date, or a time as 2026-01-31T12:00:00Z", "query"
            )
        if _DATE.fullmatch(value):
            value = f"{value}T00:00:00Z"
        elif time is not None and time["zone"] is None:
            value = f"{value}Z"
        return f"{of} {operator} {_quoted(value)}"

    return compile_


def _is_day(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


def _word(words: Mapping[str, str]) -> Callable[[str, str, str], str]:
    """Compare a field that is one of a few words, each found by a filter of its own."""

    def compile_(field: str, operator: str, value: str) -> str:
        if operator not in ("=", "!="):
            raise NotMet(f"{field}: only = and != go with it", "query")
        pattern = re.compile(re.escape(value).replace(r"\*", ".*"), re.DOTALL)
        chosen = [found for word, found in words.items() if pattern.fullmatch(word)]
        return _either(operator, " OR ".join(chosen) or _NOTHING)

    return compile_


def _id(field: str, operator: str, value: str) -> str:
    """Compare ids; what cannot be one is nobody's."""
    if operator in ("=", "!=") and "*" not in value and not is_id(value):
        return _either(operator, _NOTHING)
    return _text(field)(field, operator, value)


def _result_link(field: str, operator: str, value: str) -> str:
    """Find the task whose result is at a link."""
    link = _RESULT.fullmatch(value)
    if "*" in value or operator not in ("=", "!="):
        return _presence(_HAS_RESULT)(field, operator, value)
    found = f'id = "{link["id"]}" AND {_HAS_RESULT}' if link and is_id(link["id"]) else _NOTHING
    return _either(operator, found)


def _either(operator: str, found: str) -> str:
    return f"({found})" if operator == "=" else f"NOT ({found})"


def _presence(there: str) -> Callable[[str, str, str], str]:
    """Ask for what is a document or a link: it is there, or not."""

    def compile_(field: str, _operator: str, value: str) -> str:
        if value != "*":
            raise NotMet(f"{field}: can be compared with '*' only", "query")
        return there

    return compile_


_FIELDS: Final[Mapping[str, Callable[[str, str, str], str]]] = MappingProxyType(
    {
        "name": _text("name"),
        "since": _time("create_time"),
        "id": _id,
        "type": _word({TYPE: "number > 0", **dict.fromkeys(_OTHER_TYPES, _NOTHING)}),
        "state": _word(
            {
                "pending": "state = SUSPENDED OR state = QUEUED",
                "running": "state = RUNNING",
                "done": "state = SUCCEEDED",
                "failed": "state = FAILED",
                "canceled": "state = CANCELED",
            }
        ),
        "task_status": _word(
            {
                "pending": "state = SUSPENDED",
                "commit": f"(NOT state = SUSPENDED AND NOT {_GIVEN_UP})",
                "cancel": _GIVEN_UP,
            }
        ),
        "start_date": _time("start_time"),
        "end_date": _time("end_time"),
        "expiration_date": _time("expire_time"),
        "result_link": _result_link,
        "error": _presence("state = FAILED"),
    }
)


#: What lists can be ordered by, as servers call it.
_ORDERS: Final = {"id": "number", "name": "name", "since": "create_time"}


def ordered(orderby: object) -> str:
    """Return the order that fields stand for: each with 1, upwards, or -1. Raises `NotMet`."""
    if orderby is None:
        return ""
    if not isinstance(orderby, dict):
        raise NotMet("expected an object of fields, each with 1 or -1", "orderby")
    return ",".join(_order(*one) for one in cast("dict[str, object]", orderby).items())


def _order(field: str, direction: object) -> str:
    if field not in _ORDERS:
        raise NotMet(f"unknown field {field!r}; known: {', '.join(_ORDERS)}", "orderby")
    if isinstance(direction, bool) or direction not in (1, -1):
        raise NotMet(f"{field}: expected 1 or -1", "orderby")
    return _ORDERS[field] if direction == 1 else f"{_ORDERS[field]} desc"


def request_filter(request_id: str) -> str:
    """Return the filter that finds the tasks of a request id."""
    plain = _quoted(request_id).replace("*", r"\*")
    return f"request_id = {plain}"


def _quoted(value: str) -> str:
    """Return a text as filters quote it; its stars stand for anything."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
