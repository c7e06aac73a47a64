"""Inventories: what lies below a path, as a table that is too long to be a result."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from longshore.demo.folders import Tree, shown
from longshore.worker import Context


def save_inventory(tree: Tree, context: Context) -> None:
    """Save the paths and sizes of all files as `inventory.csv`, however many there are."""
    context.save_file("inventory.csv", _rows(tree))


def _rows(tree: Tree) -> Iterator[bytes]:
    yield _row("path", "bytes")
    for file in tree.files():
        yield _row(shown(file.name), str(file.size))


def _row(*cells: str) -> bytes:
    line = io.StringIO(newline="")
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()
