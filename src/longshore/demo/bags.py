"""Bags: folders packed for keeping, as BagIt (RFC 8493) says.

The library changes the working folder of its process while it works, which is why this runs
in a process of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any, Final

import bagit  # type: ignore[import-untyped]
from grpc import StatusCode

from longshore.demo.folders import FoundFile, Tree, Unreadable, shown
from longshore.demo.meter import Meter
from longshore.worker import Context, PermanentError

_bagit: Any = bagit  # comes without types

_ALGORITHMS: Final = ["sha256"]
_OPERATION: Final = "Internal-Sender-Identifier"  #: A tag: the operation that made a bag.


def make_bag(tree: Tree, target: str, context: Context) -> dict[str, Any]:
    """Copy a file or folder into a new bag. What it was made from stays as it is.

    The bag appears at the target when it is complete. A later attempt of the same operation
    finds what an earlier one had finished. Raises `PermanentError` if the target is taken.
    """
    place = _place(tree, target)
    before = _made_before(place, context)
    if before is not None:
        return {"path": str(place), **_described(before), "skipped": 0}
    workshop = place.with_name(f".{place.name}.{context.operation_id}")
    shutil.rmtree(workshop, ignore_errors=True)  # an earlier attempt's
    try:
        workshop.mkdir(parents=True)
        found = list(tree.files())
        meter = Meter(sum(file.size for file in found), context)
        _copy(tree, workshop, meter, found)
        made = _pack(tree, workshop, meter, context)
        with contextlib.suppress(FileNotFoundError):
            place.rmdir()
        workshop.rename(place)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return {"path": str(place), **made, "skipped": tree.skipped}


def _place(tree: Tree, target: str) -> Path:
    """Return where the bag is to be. Raises `PermanentError`."""
    if not target or "\0" in target:
        raise PermanentError("the target is no path", code=StatusCode.INVALID_ARGUMENT)
    place = Path(target).resolve()
    if place.is_relative_to(tree.root):
        raise PermanentError(
            f"the target {target!r} lies inside of what is to be packed",
            code=StatusCode.INVALID_ARGUMENT,
        )
    return place


def _made_before(place: Path, context: Context) -> Any:
    """Return the bag that an earlier attempt left, None if the place is free."""
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return None
    with contextlib.suppress(_bagit.BagError):
        bag = _bagit.Bag(str(place))
        if bag.info.get(_OPERATION) == context.operation_id:
            return bag
    raise PermanentError(
        f"the target {str(place)!r} exists and is not empty", code=StatusCode.ALREADY_EXISTS
    )


def _copy(tree: Tree, workshop: Path, meter: Meter, found: list[FoundFile]) -> None:
    for file in found:
        tree.check()
        copy = workshop / file.name
        try:
            file.name.encode()
            _copy_file(tree, file, copy, meter)
        except (Unreadable, UnicodeEncodeError) as error:
            copy.unlink(missing_ok=True)
            tree.skip(file.path, error)


def _copy_file(tree: Tree, file: FoundFile, copy: Path, meter: Meter) -> None:
    """Copy a file's content and its time of change. Raises `Unreadable`."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    with copy.open("xb") as stream:
        for block in tree.blocks(file):
            stream.write(block)
            meter.add(len(block), f"copying {shown(file.name)}")
    with contextlib.suppress(OSError):
        changed = file.path.stat().st_mtime_ns
        os.utime(copy, ns=(changed, changed))


def _pack(tree: Tree, workshop: Path, meter: Meter, context: Context) -> dict[str, Any]:
    """Make a bag of the copies where they are, and check it."""
    tree.check()
    if not any(one.is_file() for one in workshop.rglob("*")):
        raise PermanentError("there is no file to pack", code=StatusCode.FAILED_PRECONDITION)
    meter.add(0, "writing the manifests")
    info = {_OPERATION: context.operation_id}
    bag = _bagit.make_bag(str(workshop), info, checksums=_ALGORITHMS)
    tree.check()
    meter.add(0, "checking the bag")
    made = _described(bag)
    if not made["valid"]:
        raise RuntimeError("the new bag is not valid: the copies are not what was read")
    return made


def _described(bag: Any) -> dict[str, Any]:
    size, _, files = bag.info["Payload-Oxum"].partition(".")
    return {"bytes": int(size), "files": int(files), "valid": bag.is_valid()}
