"""How a store is, told to whoever runs it, also while no server has it open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Condition(NamedTuple):
    """How a store is, of all tenants together."""

    applied: Sequence[str]  #: Changes of its schema, oldest first; none: there are no tables.
    pending: Sequence[str]  #: What this version would change besides.
    size_bytes: int
    revision: int = 0  #: Of the newest event.
    #: How many operations there are, by kind and state; expired ones are left out.
    counts: Mapping[tuple[int, int], int] = {}
    warnings: Sequence[str] = ()  #: What makes it slower and slower, in sentences.
