"""Forms: what is sent, by name. What is empty counts as not sent, as in every HTML form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NoReturn, TypeAlias
from urllib.parse import parse_qsl

from starlette.requests import Request

from longshore.gateway.asapi.errors import Problem, Refused, invalid, missing
from longshore.gateway.dialects import is_id
from longshore.gateway.faults import TooLarge, UnsupportedMedia
from longshore.gateway.requests import body_of
from longshore.gateway.settings import Limits

Form: TypeAlias = Mapping[str, Sequence[str]]
"""By name all values that are not empty; a name may be sent again and again."""

#: More than ids may be sent one by one, and still quick to read.
_MOST_FIELDS: Final = 100_000

_MOST_IDS: Final = 10_000


async def form_of(request: Request, limits: Limits) -> Form:
    """Return the fields of a URL-encoded form; none if there is no body.

    Raises `Fault`s, and `Refused` if it cannot be read.
    """
    body = await body_of(request, limits.body_bytes)
    if not body:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise UnsupportedMedia("the body has to be application/x-www-form-urlencoded")
    if body.count(b"&") >= _MOST_FIELDS:
        raise TooLarge(f"the form has more than {_MOST_FIELDS} fields")
    try:
        pairs = parse_qsl(body.decode(), errors="strict")
    except UnicodeDecodeError:
        raise invalid("The form is not UTF-8") from None
    form: dict[str, list[str]] = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


def value_of(form: Form, name: str) -> str:
    """Return the first value of a name. Raises `Refused` if it is missing."""
    if name not in form:
        raise Refused({name: [missing(name)]})
    return form[name][0]


def ids_of(form: Form) -> list[str]:
    """Return the ids of `task_ids`, each once, as they were sent: one by one, with commas, or
    both. Raises `Refused`.
    """
    parts = [part.strip() for value in form.get("task_ids", ()) for part in value.split(",")]
    ids = [part for part in parts if part]
    if len(ids) > _MOST_IDS:
        _refuse(f"Too many task ids submitted, limit is {_MOST_IDS}", "limit_exceeded")
    if not ids:
        _refuse("No task_id value", "invalid")
    wrong = next((one for one in ids if not is_id(one)), None)
    if wrong is not None:
        _refuse(f"Invalid task_id value: {wrong[:100]}", "invalid")
    return list(dict.fromkeys(ids))


def _refuse(message: str, code: str) -> NoReturn:
    raise Refused({"task_ids": [Problem(message, code)]})
