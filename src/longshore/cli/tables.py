"""Tables: fitted to a terminal for people, lines with tabs into a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeVar

from google.protobuf.message import Message
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from longshore.cli.output import is_terminal, on_one_line, say, say_json

M = TypeVar("M", bound=Message)

_GAP: Final = 2  #: Cells between two columns.

#: So much of a column that may be cut is worth more than a column that may be left out.
_READABLE: Final = 12


class Fit(Enum):
    """What becomes of a column where there is little room."""

    WHOLE = "never cut: it is for pasting"
    CUT = "cut, with an ellipsis"
    SPARE = "whole or not at all: another column tells it as well"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its head, what becomes of it in little room, styles for some of its cells."""

    head: str
    fit: Fit = Fit.WHOLE
    styles: Mapping[str, str] = field(default_factory=dict[str, str])


def say_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; into a pipe, lines with tabs and all columns."""
    clean = [[on_one_line(cell) for cell in row] for row in rows]
    if is_terminal():
        draw(columns, clean, Console(highlight=False))
        return
    for row in [[column.head for column in columns], *clean]:
        say("\t".join(row))


def say_list(
    messages: Sequence[M],
    columns: Sequence[Column],
    row: Callable[[M], Sequence[str]],
    *,
    as_json: bool,
) -> None:
    """Print messages: each a row of a table, or a line of JSON."""
    if as_json:
        for message in messages:
            say_json(message)
    else:
        say_table(columns, map(row, messages))


def draw(columns: Sequence[Column], rows: Sequence[Sequence[str]], console: Console) -> None:
    """Draw a table no wider than the console, unless what is never cut is wider."""
    filled = [_Filled(column, [row[at] for row in rows]) for at, column in enumerate(columns)]
    shown = _fitting(filled, console.width)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for one in shown:
        table.add_column(
            one.column.head,
            justify="right" if one.counts else "left",
            no_wrap=one.column.fit is not Fit.CUT,
        )
    for cells in zip(*(one.texts() for one in shown), strict=True):
        table.add_row(*cells)
    # What does not fit even so is wrapped by the terminal, which knows it for one line.
    console.print(table, width=max(console.width, _least(shown)), crop=False)


@dataclass(frozen=True, slots=True)
class _Filled:
    """A column with what stands in it."""

    column: Column
    cells: Sequence[str]

    @property
    def counts(self) -> bool:
        """Whether it has nothing but numbers."""
        return bool(self.cells) and all(map(str.isdecimal, self.cells))

    @property
    def least(self) -> int:
        """The width that it must have."""
        widest = max(map(cell_len, (self.column.head, *self.cells)))
        return min(widest, _READABLE) if self.column.fit is Fit.CUT else widest

    def texts(self) -> Iterable[Text]:
        for cell in self.cells:
            style = self.column.styles.get(cell, "")
            yield Text(cell, style, no_wrap=True, overflow="ellipsis")


def _fitting(filled: Sequence[_Filled], width: int) -> Sequence[_Filled]:
    """Return the columns that there is room for; of those to spare the last go first."""
    shown = list(filled)
    spare = [one for one in filled if one.column.fit is Fit.SPARE]
    while spare and _least(shown) > width:
        shown.remove(spare.pop())
    return shown


def _least(filled: Sequence[_Filled]) -> int:
    return sum(one.least + _GAP for one in filled) - _GAP
