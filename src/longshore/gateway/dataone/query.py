"""Queries: what a list is asked by, compiled to Longshore's filters and orders."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.json_schema import SkipJsonSchema

from longshore.gateway.dataone.shapes import STATUSES, Shape, Status
from longshore.v1.operation_pb2 import State

_MOST: Final = 1_000
_LONG: Final = 2**63

#: Bounds are of this span, whatever their offset makes of them: "for ever" is one as well.
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(microsecond=999_000, tzinfo=UTC)

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,19}")

#: What a `+` before an offset becomes in a query that nobody has encoded.
_SPACED_OFFSET: Final = re.compile(r"(?<=\d) (?=\d{2}(?::?\d{2})?$)")

#: What nothing is: jobs count from 1.
_NOTHING: Final = 'number < "0"'

_SORTED: Final = MappingProxyType(
    {
        "id": "number",
        "status": "state",
        "queue": "queue",
        "contract": "contract",
        "workflowTemplateId": "template_id",
        "workflowTemplateName": "template_name",
        "workflowTemplateRevision": "template_revision",
        "submittedBy": "submitter",
        "createdAt": "create_time",
        "updatedAt": "update_time",
    }
)

_EQUAL: Final = MappingProxyType(
    {
        "id": "number",
        "workflow_template_id": "template_id",
        "workflow_template_revision": "template_revision",
        "queue": "queue",
        "contract": "contract",
        "workflow_template_name": "template_name",
        "ext_ipid": "external_id",
        "submitted_by": "submitter",
        "lcid": "lcid",
        "actor": "actor",
        "contract_action": "action",
        "contract_type": "contract_type",
        "contract_action_trigger": "trigger",
    }
)

_TIMES: Final = MappingProxyType(
    {
        "created_at_from": "create_time",
        "created_at_to": "create_time",
        "updated_at_from": "update_time",
        "updated_at_to": "update_time",
    }
)

#: What a list is not compared by.
_MANNER: Final = frozenset({"max_items", "sort", "cursor"})


def _whole(value: object) -> int:
    if isinstance(value, int):
        return value
    if not isinstance(value, str) or not _WHOLE.fullmatch(value.strip(" ")):
        raise ValueError("a whole number is needed")
    return int(value)


def _moment(value: object) -> datetime:
    """Read a time of ISO 8601 with an offset, whose `+` may have become a space."""
    written = _SPACED_OFFSET.sub("+", str(value)).replace("z", "Z")
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise ValueError("ISO 8601 is needed, such as 2024-03-26T13:30:30+01:00") from None
    if moment.tzinfo is None:
        raise ValueError("an offset is needed, such as +01:00 or Z")
    try:
        return min(moment.astimezone(UTC), _LAST)
    except OverflowError:
        return _FIRST if moment.year == _FIRST.year else _LAST


def _sort(text: str) -> str:
    """Check a sort; a `+` that nobody has encoded comes as a space."""
    if text[:1] in ("+", "-", " "):
        sign, field = text[0].replace(" ", "+"), text[1:]
    else:
        sign, field = "+", text
    if field not in _SORTED:
        raise ValueError(f"+ or - is needed, and one of {', '.join(_SORTED)}")
    return sign + field


def meant(name: str, text: str) -> str:
    """Return a parameter as it was meant: the `+` of a date or a sort may come as a space."""
    if name in _DATES:
        return _SPACED_OFFSET.sub("+", text)
    return text.replace(" ", "+") if name == "sort" else text


_Long = Annotated[int, Field(ge=-_LONG, lt=_LONG), BeforeValidator(_whole)]
_Moment = Annotated[datetime, BeforeValidator(_moment)]
_Unset = SkipJsonSchema[None]


class ListQuery(Shape):
    """The parameters of a list. All match exactly."""

    max_items: Annotated[
        int,
        Field(ge=1, le=_MOST, description="How many jobs a page has at most."),
        BeforeValidator(_whole),
    ] = 100
    sort: Annotated[
        str,
        AfterValidator(_sort),
        Field(
            description="A field after `+`, ascending, or `-`, descending.",
            json_schema_extra={"pattern": f"^[+ -]?({'|'.join(_SORTED)})$"},
        ),
    ] = "-id"
    cursor: Annotated[str, Field(description="Where a page begins, as `next` says.")] = ""
    id: _Long | _Unset = None
    status: Status | _Unset = None
    queue: str | _Unset = None
    contract: str | _Unset = None
    workflow_template_id: _Long | _Unset = None
    workflow_template_name: str | _Unset = None
    workflow_template_revision: _Long | _Unset = None
    created_at_from: _Moment | _Unset = None
    created_at_to: _Moment | _Unset = None
    updated_at_from: _Moment | _Unset = None
    updated_at_to: _Moment | _Unset = None
    ext_ipid: str | _Unset = None
    submitted_by: str | _Unset = None
    dfiid: str | _Unset = None
    lcid: str | _Unset = None
    actor: str | _Unset = None
    contract_action: str | _Unset = None
    contract_type: str | _Unset = None
    contract_action_trigger: str | _Unset = None

    @property
    def filter(self) -> str:
        """The query as Longshore's filter."""
        values: dict[str, Any] = dict(self)
        return " AND ".join(
            _compared(name, value)
            for name, value in values.items()
            if value is not None and name not in _MANNER
        )

    @property
    def order_by(self) -> str:
        """The sort as Longshore's order; ties go by id, the same way."""
        down = self.sort.startswith("-")
        field = _SORTED[self.sort[1:]]
        number = "number desc" if down else "number"
        if field == "number":
            return number
        # States go the other way round than their names here.
        return f"{field} desc, {number}" if down != (field == "state") else f"{field}, {number}"


_DATES: Final = frozenset(ListQuery.model_fields[name].alias for name in _TIMES)

_STATES: Final = {
    status: State.Name(state).removeprefix("STATE_") for state, status in STATUSES.items()
}


def _compared(name: str, value: Any) -> str:
    match name:
        case "status":
            return f"state = {_STATES[value]}"
        case "dfiid":
            return _is("dfiid", value) if _is_uuid(value) else _NOTHING
        case "created_at_from" | "updated_at_from":
            return f"{_TIMES[name]} >= {_from(value)}"
        case "created_at_to" | "updated_at_to":
            return f"{_TIMES[name]} <= {_to(value)}"
        case _:
            return _is(_EQUAL[name], str(value))


def _is(field: str, text: str) -> str:
    """Return what finds a value; what is shown as empty is not set."""
    escaped = re.sub(r'([\\"*])', r"\\\1", text)
    return f'{field} = "{escaped}"' if text else f"NOT {field}:*"


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text  # Exactly: as they are shown.
    except ValueError:
        return False


def _from(moment: datetime) -> str:
    """Return a lower bound; times are kept to the millisecond, so it may be the next."""
    return _to(moment + timedelta(microseconds=-moment.microsecond % 1_000))


def _to(moment: datetime) -> str:
    return f'"{moment.isoformat(timespec="milliseconds")}"'
