"""YAML 1.2 with the types that JSON has, and messages of the contract written in it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from google.api.field_behavior_pb2 import OUTPUT_ONLY, field_behavior
from google.protobuf.message import Message
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor

from longshore.cli.output import as_dict

M = TypeVar("M", bound=Message)

_NEVER_FOLDED: Final = 1_048_576  #: A text of a contract is one line, however long.


def new_yaml() -> Any:
    """Return what reads and writes YAML 1.2: safely, and never the same key twice."""
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.Constructor = _constructor()
    yaml.sort_base_mapping_type_on_output = False
    return yaml


def to_yaml(message: Message) -> str:
    """Return a message as YAML that can be read again, without what only servers write."""
    yaml = new_yaml()
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = _NEVER_FOLDED
    written = io.StringIO()
    asked_for = _asked_for(message)
    yaml.dump(_in_order(as_dict(asked_for), asked_for.DESCRIPTOR), written)
    return written.getvalue().rstrip("\n")


def _constructor() -> Any:
    """Return what reads the types that JSON has: a date stays the text that it is written as."""
    base: Any = SafeConstructor
    constructor: Any = type("JsonConstructor", (SafeConstructor,), {})
    constructor.add_constructor("tag:yaml.org,2002:timestamp", base.construct_yaml_str)
    return constructor


def _asked_for(message: M) -> M:
    """Return a copy of a message without the fields that only servers write."""
    copy = type(message)()
    copy.CopyFrom(message)
    _clear_output(copy)
    return copy


def _clear_output(message: Message) -> None:
    behavior: Any = field_behavior
    for field, value in message.ListFields():
        if OUTPUT_ONLY in field.GetOptions().Extensions[behavior]:
            message.ClearField(field.name)
        elif field.message_type and not field.message_type.GetOptions().map_entry:
            for one in value if field.is_repeated else (value,):
                _clear_output(one)


def _in_order(content: Any, kind: Any) -> Any:
    """Return a message's JSON with the keys of its maps sorted; its fields keep their order."""
    if isinstance(content, list):
        return [_in_order(one, kind) for one in cast("Sequence[Any]", content)]
    if not isinstance(content, dict):
        return content
    held = cast("Mapping[str, Any]", content)
    if kind is None or kind.GetOptions().map_entry or kind.file.package == "google.protobuf":
        return {name: _in_order(held[name], None) for name in sorted(held)}
    fields = kind.fields_by_name
    return {name: _in_order(one, fields[name].message_type) for name, one in held.items()}
