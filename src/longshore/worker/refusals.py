"""Refusals: what an action is told when a file cannot be saved or got."""

from __future__ import annotations

from grpc import StatusCode

from longshore.client.errors import CallError, InvalidArgument
from longshore.worker.errors import ActionError, PermanentError


def refusal(error: CallError, what: str) -> ActionError:
    """Return a server's refusal as an action may raise it.

    What was wrong with the request is wrong with the action, and will be so next time; but a
    digest that does not fit tells of bytes that were changed on their way.
    """
    for_ever = isinstance(error, InvalidArgument) and not _is_digest(error)
    kind = PermanentError if for_ever else ActionError
    return kind(f"{what}: {error}", code=error.code, metadata=error.metadata)


def _is_digest(error: InvalidArgument) -> bool:
    return any(one.field.endswith("sha256") for one in error.violations)


def stopped() -> ActionError:
    """Return what ends an action's calls when its work is over."""
    return ActionError("the work was stopped", code=StatusCode.CANCELLED)


def broken(path: str) -> ActionError:
    """Return what becomes of a file that was drawn only in part, and cannot be drawn again."""
    return ActionError(
        f"the connection broke while {path!r} was saved, and what yields its bytes cannot "
        "begin again: bytes, or a file by its path, would have been sent once more",
        code=StatusCode.UNAVAILABLE,
    )
