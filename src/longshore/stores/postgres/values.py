"""How values go into queries and come out of rows."""

from __future__ import annotations

from typing import Final

from longshore.core.operations import Facts, Operation, Record
from longshore.stores.postgres.connections import Row

OPERATION: Final = ", ".join(f"operations.{name}" for name in Operation._fields)
FACTS: Final = ", ".join(f"operations.{name}" for name in Facts._fields)

#: Tells whether an operation is still to be found.
KEPT: Final = "(operations.state < 4 OR operations.wake_time IS NOT NULL)"

_FIELDS: Final = len(Operation._fields)

#: What records share that were read without documents. Nobody writes to it.
NO_DOCUMENTS: Final[dict[int, bytes]] = {}

# PostgreSQL keeps no U+0000. Where it may come, it is written as U+FFFE, which stands for no
# character, and a digit.
_MARK: Final = "\ufffe"
_MARKED_NUL: Final = f"{_MARK}0"
_MARKED_MARK: Final = f"{_MARK}1"


def kept_text(text: str) -> str:
    """Return a text as it is kept."""
    if "\0" in text or _MARK in text:
        return text.replace(_MARK, _MARKED_MARK).replace("\0", _MARKED_NUL)
    return text


def told_text(kept: str) -> str:
    """Return a text as it was given to `kept_text`."""
    if _MARK in kept:
        return kept.replace(_MARKED_NUL, "\0").replace(_MARKED_MARK, _MARK)
    return kept


def operation_of(row: Row) -> Operation:
    """Return the operation of a row that begins with the columns `OPERATION`."""
    operation = Operation._make(row[:_FIELDS])
    message = operation.message
    if message is not None and _MARK in message:
        operation = operation._replace(message=told_text(message))
    return operation


def facts_of(row: Row, start: int = _FIELDS) -> Facts:
    """Return the facts of a row that has the columns `FACTS` from `start` on."""
    facts = Facts._make(row[start : start + len(Facts._fields)])
    if _MARK in facts.request_id:
        facts = facts._replace(request_id=told_text(facts.request_id))
    return facts


def record_of(row: Row, queue: str, documents: dict[int, bytes]) -> Record:
    """Return the record of a row that begins with the columns `OPERATION` and `FACTS`."""
    return Record(operation_of(row), facts_of(row), queue, documents)
