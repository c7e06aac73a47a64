"""Faults: what an error of the database means for the changes that it met."""

from __future__ import annotations

from typing import Final

import asyncpg

from longshore.core.errors import OutcomeUnknown, StoreUnavailable
from longshore.stores.postgres.connections import DATABASE_ERRORS, said

#: Classes of errors that say what is wrong with a value: too long, twice there, not a number.
_OF_VALUES: Final = ("22", "23", "54")
#: … and that the next statement may not meet: little memory or disk is left, or it is wrong.
_OF_STATEMENTS: Final = (*_OF_VALUES, "42", "53")


def is_of_a_change(error: BaseException) -> bool:
    """Tell whether other changes of the batch may be written although one met this error."""
    if isinstance(error, asyncpg.PostgresError):
        return _class_of(error) in _OF_STATEMENTS
    return not isinstance(error, (*DATABASE_ERRORS, StoreUnavailable))


def outcome_of(error: Exception) -> Exception:
    """Return what a change is told that could not be written, in words of the domain."""
    if isinstance(error, StoreUnavailable) or not isinstance(error, DATABASE_ERRORS):
        return error
    if isinstance(error, asyncpg.PostgresError) and _class_of(error) in _OF_VALUES:
        outcome: Exception = ValueError(f"the change cannot be stored: {said(error)}")
    else:
        outcome = StoreUnavailable(f"the store cannot be written: {said(error)}")
    outcome.__cause__ = error
    return outcome


def outcome_of_commit(error: Exception) -> StoreUnavailable:
    """Return what all changes of a batch are told whose commit failed."""
    if isinstance(error, asyncpg.PostgresError) and error.severity_en == "ERROR":
        outcome = StoreUnavailable(f"the store cannot be written: {said(error)}")
    else:  # It was the last that was heard from the connection, or nothing was.
        outcome = OutcomeUnknown()
    outcome.__cause__ = error
    return outcome


def _class_of(error: asyncpg.PostgresError) -> str:
    return str(error.sqlstate or "")[:2]
