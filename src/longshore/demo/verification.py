"""Verification: whether a bag still is what was packed."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import bagit  # type: ignore[import-untyped]
from grpc import StatusCode

from longshore.demo.folders import FoundFile, Tree, Unreadable, shown
from longshore.demo.meter import Meter
from longshore.worker import Context, PermanentError

_bagit: Any = bagit  # comes without types

Fault: TypeAlias = Literal["changed", "missing", "unexpected", "unreadable"]

_FAULTS: Final[tuple[Fault, ...]] = ("changed", "missing", "unexpected", "unreadable")


def verify_bag(tree: Tree, context: Context) -> dict[str, Any]:
    """Read all files of a bag again, and compare them with its manifests.

    Each fault is an error in the log; their numbers become properties. Raises
    `PermanentError` if there is no bag, or any fault.
    """
    bag = _opened(tree)
    context.log(f"verifying {shown(bag.path)}, {', '.join(bag.algorithms)}", "progress")
    found: Counter[Fault] = Counter()

    def fault(kind: Fault, name: str) -> None:
        found[kind] += 1
        context.error(f"{kind}: {shown(name)}")

    missing, unexpected = bag.compare_manifests_with_fs()
    for name in sorted(missing):
        fault("missing", name)
    for name in sorted(unexpected):
        fault("unexpected", name)
    listed = _listed(bag)
    meter = Meter(sum(file.size for file, _ in listed), context)
    for file, digests in listed:
        try:
            if _digests(tree, file, digests, meter) != digests:
                fault("changed", file.name)
        except Unreadable:
            fault("unreadable", file.name)
    for kind in _FAULTS:
        context.property(kind, str(found[kind]))
    if found:
        raise _spoiled(bag.path, found)
    context.log(f"{len(listed)} files are what was packed")
    return {"path": bag.path, "files": len(listed), "bytes": meter.done}


def _opened(tree: Tree) -> Any:
    """Return the bag with its manifests. Raises `PermanentError`."""
    try:
        bag = _bagit.Bag(str(tree.root))
        complete = any(bag.manifest_files())
    except (_bagit.BagError, OSError, ValueError) as error:
        raise _no_bag(tree, str(error)) from None
    if not complete:
        raise _no_bag(tree, "it has no manifest")
    return bag


def _no_bag(tree: Tree, why: str) -> PermanentError:
    return PermanentError(
        f"{shown(str(tree.root))!r} is no bag: {shown(why)}",
        code=StatusCode.FAILED_PRECONDITION,
    )


def _listed(bag: Any) -> list[tuple[FoundFile, dict[str, str]]]:
    """Return the files of all manifests that are there, with their digests by algorithm."""
    listed: list[tuple[FoundFile, dict[str, str]]] = []
    for name, digests in bag.entries.items():
        # Systems differ in how they compose the characters of a name.
        there = bag.normalized_filesystem_names.get(_bagit.normalize_unicode(name), name)
        path = Path(bag.path, there)
        if path.is_file():
            lowered = {algorithm: digest.lower() for algorithm, digest in digests.items()}
            listed.append((FoundFile(path, name, path.stat().st_size), lowered))
    return listed


def _digests(
    tree: Tree, file: FoundFile, wanted: dict[str, str], meter: Meter
) -> dict[str, str]:
    """Return a file's digests by the same algorithms. Raises `Unreadable`."""
    hashers = {name: hashlib.new(name, usedforsecurity=False) for name in wanted}
    for block in tree.blocks(file):
        for hasher in hashers.values():
            hasher.update(block)
        meter.add(len(block), shown(file.name))
    return {name: hasher.hexdigest() for name, hasher in hashers.items()}


def _spoiled(path: str, found: Counter[Fault]) -> PermanentError:
    counts = {str(kind): str(count) for kind, count in found.items()}
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return PermanentError(
        f"the bag {shown(path)!r} is not what was packed: {told}",
        code=StatusCode.DATA_LOSS,
        metadata=counts,
    )
