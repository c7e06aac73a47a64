"""Naming rules: whether files could keep their names on every system they may be taken to."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, Final, Literal, TypeAlias, get_args

from grpc import StatusCode
from pathvalidate import ErrorReason, FileNameValidator, ValidationError

from longshore.demo.folders import Tree, shown
from longshore.worker import Context, PermanentError

Rule: TypeAlias = Literal["characters", "reserved", "length", "path", "unicode", "twins"]

RULES: Final[tuple[Rule, ...]] = get_args(Rule)

_NAME_BYTES: Final = 255  #: Of one name in UTF-8, on nearly all file systems.

_portable: Final = FileNameValidator(platform="universal", max_len=_NAME_BYTES)

_REASONS: Final[dict[ErrorReason, tuple[Rule, str]]] = {
    ErrorReason.RESERVED_NAME: ("reserved", "is a reserved name on some systems"),
    ErrorReason.INVALID_LENGTH: ("length", f"has more than {_NAME_BYTES} bytes"),
}
_CHARACTERS: Final[tuple[Rule, str]] = (
    "characters",
    "has characters, or begins or ends with one, that some systems refuse",
)


def check_tree(
    tree: Tree, rules: Collection[Rule], longest_path: int, context: Context
) -> dict[str, Any]:
    """Hold the names of all files and folders below a folder against rules.

    Each finding is a warning; their numbers by rule become properties. Raises
    `PermanentError` if there is no folder.
    """
    if not tree.is_folder:
        raise PermanentError(
            f"{shown(str(tree.root))!r} is no folder", code=StatusCode.INVALID_ARGUMENT
        )
    context.log(f"checking {shown(str(tree.root))}: {', '.join(rules)}", "progress")
    names = 0
    found: Counter[Rule] = Counter()
    for prefix, listed in tree.listings():
        names += len(listed)
        for name, rule, why in _findings(prefix, listed, longest_path):
            if rule in rules:
                found[rule] += 1
                context.warning(f"{rule}: {shown(prefix + name)!r} {why}")
        context.progress(names, unit="names", message=shown(prefix))
    for rule in rules:
        context.property(rule, str(found[rule]))
    context.log(f"{names} names, {found.total()} findings")
    return {
        "root": str(tree.root),
        "names": names,
        "findings": found.total(),
        "rules": {rule: found[rule] for rule in rules},
        "skipped": tree.skipped,
    }


def _findings(
    prefix: str, names: list[str], longest_path: int
) -> Iterator[tuple[str, Rule, str]]:
    """Yield the faults of the names in one folder: which, the rule, and why."""
    seen: dict[str, str] = {}
    for name in names:
        if fault := _fault(name):
            yield name, *fault
        if len(prefix) + len(name) > longest_path:
            yield name, "path", f"has a path of more than {longest_path} characters"
        folded = unicodedata.normalize("NFC", name).casefold()
        twin = seen.setdefault(folded, name)
        if twin is not name:
            yield name, "twins", f"is the same as {shown(twin)!r} where case does not count"


def _fault(name: str) -> tuple[Rule, str] | None:
    """Return what is wrong with a name by itself, None if nothing is."""
    try:
        _portable.validate(name)
    except UnicodeEncodeError:
        return "unicode", "is no Unicode"
    except ValidationError as error:
        return _REASONS.get(error.reason, _CHARACTERS)
    if not unicodedata.is_normalized("NFC", name):
        return "unicode", "is not in the composed form of Unicode"
    return None
