"""What an action raises to say how its work failed, and what the SDK itself finds wrong.

ActionError                 the work failed; another attempt may succeed
├── PermanentError          … and will fail again
│   └── InvalidArguments    the arguments are none that the function takes
NotJson                     a value that cannot be a result
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar, NamedTuple, Self

from grpc import StatusCode


class ActionError(Exception):
    """The work failed, in words for the people who asked for it.

    Any exception fails an attempt. This one chooses the canonical code, and adds facts for
    programs, of which `http_code` and `description` are known to the gateway. Being said on
    purpose it leaves no traceback in the operation's log. `retry_after` is how long the next
    attempt waits at least, up to a day, if there is one.
    """

    permanent: ClassVar[bool] = False  #: Whether another attempt would be in vain.

    def __init__(
        self,
        message: str,
        *,
        code: StatusCode = StatusCode.INTERNAL,
        metadata: Mapping[str, str] | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after


class PermanentError(ActionError):
    """The work failed and would fail again: it is not tried another time."""

    permanent = True


class Violation(NamedTuple):
    """One fault of the arguments: where, what, and a `ViolationReason` without its prefix."""

    field: str
    description: str
    reason: str


class InvalidArguments(PermanentError):
    """The arguments are none that the function takes."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        first = violations[0]
        super().__init__(
            "; ".join(f"{one.field}: {one.description}" for one in violations),
            code=StatusCode.INVALID_ARGUMENT,
            metadata={"field": first.field},
        )
        self.violations = tuple(violations)


class NotJson(ValueError):
    """A value, or a part of it, is no JSON; `where` is the way to the part."""

    def __init__(self, description: str, where: tuple[str, ...] = ()) -> None:
        path = ".".join(where)
        super().__init__(f"{path} {description}" if path else description)
        self.description = description
        self.where = where

    def inside(self, name: str) -> Self:
        """Return the same fault as seen from the object or list around it."""
        return type(self)(self.description, (name, *self.where))
