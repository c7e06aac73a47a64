"""How answers are shown: lines and sheets to people, JSON to programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

import click
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

#: What would move the cursor or ring the bell, shown as its picture instead.
_CONTROLS = {code: 0x2400 + code for code in range(32)} | {127: 0x2421, 0x9B: 0x241B}
_LINE_CONTROLS = {code: picture for code, picture in _CONTROLS.items() if chr(code) != "\t"}


def is_terminal() -> bool:
    return sys.stdout.isatty()


def printable(text: str, indent: int = 4) -> str:
    """Return a text that cannot steer a terminal; a new line stays one, indented."""
    lines = text.rstrip("\n").split("\n")
    return f"\n{' ' * indent}".join(line.translate(_LINE_CONTROLS) for line in lines)


def on_one_line(text: str) -> str:
    """Return a text that neither steers a terminal nor ends a line or a cell."""
    return text.translate(_CONTROLS)


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    click.echo(text)
    sys.stdout.flush()


def say_json(message: Message) -> None:
    """Print a message as one line of JSON, with the contract's own names."""
    say(to_json(message))


def to_json(message: Message) -> str:
    return json.dumps(as_dict(message), ensure_ascii=False)


def as_dict(message: Message) -> dict[str, Any]:
    """Return proto3 JSON, but with the names of the .proto files.

    Of a detail whose type nobody here knows, as workers may add them to errors, its type.
    """
    types: Any = _Types()
    return MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=types)


class _Types:
    """The types of all messages that are known here; all others are taken for empty ones."""

    def FindMessageTypeByName(self, name: str) -> Descriptor:
        try:
            return Default().FindMessageTypeByName(name)
        except KeyError:
            return Empty.DESCRIPTOR


def say_sheet(rows: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one below the other; what has no value is left out."""
    filled = [(name, value) for name, value in rows if value]
    width = max((len(name) for name, _ in filled), default=0)
    for name, value in filled:
        say(f"{name:{width}}  {printable(value, indent=width + 2)}")
