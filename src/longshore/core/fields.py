"""What lists and watches can be filtered and ordered by, per kind of operation."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from longshore.core.operations import Kind


class FieldType(enum.Enum):
    """What a field holds, in words for error messages, and how its values are represented."""

    TEXT = "a text"  #: str, compared by code point.
    ID = "an id (UUID)"  #: str, the UUID in lower case; compared for equality only.
    INT = "a whole number"  #: int of 64 bits.
    TIME = "a time such as 2026-01-31T12:00:00Z"  #: int, milliseconds since 1970.
    BOOL = "true or false"  #: bool, compared for equality only.
    STATE = "a state"  #: int of `State`, in its order.
    KIND = "a kind"  #: int of `Kind`, compared for equality only.


class Field(NamedTuple):
    """A name that filters may use."""

    type: FieldType
    sortable: bool = False  #: Lists can be ordered by it.
    changes: bool = False  #: It changes while an operation lives, so watches refuse it.


LABEL_PREFIX: Final = "labels."  #: `labels.KEY` is a text field for every KEY.

_LABEL: Final = Field(FieldType.TEXT)

_COMMON: Final = {
    "id": Field(FieldType.ID),
    "number": Field(FieldType.INT, sortable=True),
    "submitter": Field(FieldType.TEXT, sortable=True),
    "request_id": Field(FieldType.TEXT),
    "create_time": Field(FieldType.TIME, sortable=True),
    "state": Field(FieldType.STATE, sortable=True, changes=True),
    "queue": Field(FieldType.TEXT, sortable=True, changes=True),
    "priority": Field(FieldType.INT, sortable=True, changes=True),
    "cancel_requested": Field(FieldType.BOOL, changes=True),
    "update_time": Field(FieldType.TIME, sortable=True, changes=True),
    "start_time": Field(FieldType.TIME, changes=True),
    "end_time": Field(FieldType.TIME, changes=True),
    "expire_time": Field(FieldType.TIME, changes=True),
}

_TASK: Final = {
    "name": Field(FieldType.TEXT, sortable=True),
    "service": Field(FieldType.TEXT, sortable=True),
    "account": Field(FieldType.TEXT, sortable=True),
}

_JOB: Final = {
    "contract": Field(FieldType.TEXT, sortable=True),
    "action": Field(FieldType.TEXT),
    "trigger": Field(FieldType.TEXT),
    "contract_type": Field(FieldType.TEXT),
    "actor": Field(FieldType.TEXT),
    "external_id": Field(FieldType.TEXT),
    "template_id": Field(FieldType.INT, sortable=True),
    "template_name": Field(FieldType.TEXT, sortable=True),
    "template_revision": Field(FieldType.INT, sortable=True),
    "dfiid": Field(FieldType.ID),
    "lcid": Field(FieldType.TEXT),
}

_LAUNCH: Final = {"service": Field(FieldType.TEXT, sortable=True)}

FIELDS: Final[Mapping[Kind | None, Mapping[str, Field]]] = MappingProxyType(
    {
        None: {**_COMMON, "kind": Field(FieldType.KIND)},
        Kind.TASK: {**_COMMON, **_TASK},
        Kind.JOB: {**_COMMON, **_JOB},
        Kind.LAUNCH: {**_COMMON, **_LAUNCH},
    }
)
"""The fields of each kind; `None` is a question about operations of any kind.

A name means the same field wherever it appears. Labels are not listed: see `find_field`.
"""

#: What some lists are ordered by, although nobody can ask for it.
_INTERNAL: Final = {
    "position": Field(FieldType.INT, sortable=True, changes=True),
    "running": Field(FieldType.INT, sortable=True, changes=True),
}

_ANYWHERE: Final = _INTERNAL | {
    name: field for fields in FIELDS.values() for name, field in fields.items()
}


def find_field(name: str, kind: Kind | None) -> Field | None:
    """Return the field of this name that operations of the kind have, if there is one."""
    return _LABEL if _is_label(name) else FIELDS[kind].get(name)


def field_named(name: str) -> Field:
    """Return the field of this name, whatever the kind. Raises `KeyError`."""
    return _LABEL if _is_label(name) else _ANYWHERE[name]


def filterable(kind: Kind | None) -> list[str]:
    """Return the names that a filter may use, for an error message."""
    return sorted([*FIELDS[kind], f"{LABEL_PREFIX}KEY"])


def sortable(kind: Kind | None) -> list[str]:
    """Return the names that a list can be ordered by, for an error message."""
    return sorted(name for name, field in FIELDS[kind].items() if field.sortable)


def _is_label(name: str) -> bool:
    return len(name) > len(LABEL_PREFIX) and name.startswith(LABEL_PREFIX)
