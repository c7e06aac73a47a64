"""Schemas: types of messages as JSON Schema, as canonical JSON has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from longshore.gateway.documents.comments import comment

Schema = dict[str, Any]

_PREFIX: Final = "#/components/schemas/"

_KNOWN: Final[Mapping[str, Schema]] = {
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string", "description": "The type of the rest."}},
        "additionalProperties": True,
    },
    "google.protobuf.Duration": {
        "type": "string",
        "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$",
        "examples": ["1.5s"],
    },
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Value": {},
}

_SCALARS: Final[Mapping[int, Schema]] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_INT64: {
        "type": "string",
        "format": "int64",
        "pattern": "^-?[0-9]{1,18}$",
    },
    FieldDescriptor.TYPE_STRING: {"type": "string"},
}


class Schemas:
    """Gathers the schemas of all types that are referred to."""

    def __init__(self) -> None:
        self.found: dict[str, Schema] = {}

    def of(self, kind: Descriptor) -> Schema:
        """Return what refers to a type, which is described once."""
        name = kind.full_name
        if name not in self.found:
            self.found[name] = {}  # It may contain itself.
            self.found[name] = _KNOWN.get(name) or self._object(kind)
        return {"$ref": f"{_PREFIX}{name}"}

    def without(self, kind: Descriptor, fields: frozenset[str]) -> Schema:
        """Return a type less some of its fields, which are said elsewhere."""
        return self._object(kind, fields) if fields else self.of(kind)

    def field(self, field: FieldDescriptor) -> Schema:
        """Return the schema of a field, with what the contract says of it."""
        described: Schema = {"description": said} if (said := comment(field.full_name)) else {}
        behavior = _behavior(field)
        if field_behavior_pb2.OUTPUT_ONLY in behavior:
            described["readOnly"] = True
        return {**self._shape(field), **described}

    def single(self, field: FieldDescriptor) -> Schema:
        """Return the schema of one value of a field."""
        if field.message_type is not None:
            return self.of(field.message_type)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        return dict(_SCALARS[field.type])

    def _shape(self, field: FieldDescriptor) -> Schema:
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            value = self.single(kind.fields_by_name["value"])
            return {"type": "object", "additionalProperties": value}
        single = self.single(field)
        return {"type": "array", "items": single} if field.is_repeated else single

    def _enum(self, kind: EnumDescriptor) -> Schema:
        name = kind.full_name
        if name not in self.found:
            self.found[name] = {
                "type": "string",
                "enum": [value.name for value in kind.values],
                "description": _values(kind),
            }
        return {"$ref": f"{_PREFIX}{name}"}

    def _object(self, kind: Descriptor, left_out: frozenset[str] = frozenset()) -> Schema:
        fields = [field for field in kind.fields if field.name not in left_out]
        made: Schema = {
            "type": "object",
            "properties": {field.json_name: self.field(field) for field in fields},
        }
        if required := [field.json_name for field in fields if is_required(field)]:
            made["required"] = required
        if said := comment(kind.full_name):
            made["description"] = said
        return made


def is_required(field: FieldDescriptor) -> bool:
    return field_behavior_pb2.REQUIRED in _behavior(field)


def _behavior(field: FieldDescriptor) -> list[int]:
    extension: Any = field_behavior_pb2.field_behavior
    return list(field.GetOptions().Extensions[extension])


def _values(kind: EnumDescriptor) -> str:
    """Return what an enumeration is, with a line for each value."""
    lines = [comment(kind.full_name), ""]
    for value in kind.values:
        said = comment(f"{kind.full_name}.{value.name}").replace("\n", " ")
        lines.append(f"* `{value.name}`: {said}")
    return "\n".join(lines).strip()
