"""How answers are shown: tables and sheets to people, lines to programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Columns of a terminal from which on a table is shown whole.
_WIDE: Final = 110

#: What would move the cursor or ring the bell, shown as its picture instead.
_CONTROLS = {code: 0x2400 + code for code in range(32)} | {127: 0x2421, 0x9B: 0x241B}
_LINE_CONTROLS = {code: picture for code, picture in _CONTROLS.items() if chr(code) != "\t"}


def is_terminal() -> bool:
    return sys.stdout.isatty()


def printable(text: str) -> str:
    """Return a text that cannot steer a terminal; a new line stays one, indented."""
    lines = text.rstrip("\n").split("\n")
    return "\n    ".join(line.translate(_LINE_CONTROLS) for line in lines)


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
    """Return proto3 JSON, but with the names of the .proto files."""
    return MessageToDict(message, preserving_proto_field_name=True)


def say_sheet(rows: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one below the other; what has no value is left out."""
    filled = [(name, printable(value)) for name, value in rows if value]
    width = max((len(name) for name, _ in filled), default=0)
    for name, value in filled:
        say(f"{name:{width}}  {value}")


def say_table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, flexible: Sequence[str] = ()
) -> None:
    """Print a table; into a pipe, lines with tabs.

    On a terminal too narrow for it the `flexible` columns are cut, and the last one, which is
    for copying, is left out.
    """
    if not is_terminal():
        for row in [heads, *rows]:
            say("\t".join(cell.translate(_CONTROLS) for cell in row))
        return
    console = Console()
    shown = len(heads) if console.width >= _WIDE else len(heads) - 1
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads[:shown]:
        table.add_column(Text(head, overflow="ellipsis"), no_wrap=head not in flexible)
    for row in rows:
        cells = (cell.translate(_CONTROLS) for cell in row[:shown])
        table.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in cells))
    console.print(table)
