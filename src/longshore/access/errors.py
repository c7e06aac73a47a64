"""What can be wrong with the principals of a file, and with what callers show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class InvalidPrincipals(ValueError):
    """A file of principals cannot be used; each problem names table and key, never a secret."""

    def __init__(self, file: Path, problems: Sequence[str]) -> None:
        super().__init__(f"{file.name}: {'; '.join(problems)}")
        self.file = file
        self.problems = tuple(problems)


class Refused(Exception):
    """A credential does not fit. The reason is for the log: whoever calls learns none."""

    def __init__(self, reason: str, principal: str = "") -> None:
        super().__init__(reason)
        self.reason = reason  #: Such as `expired`.
        self.principal = principal  #: Whom it was about, if there is such a principal.
