"""Digests: of a file that was sent, or of all files of a folder."""

from __future__ import annotations

import hashlib
from typing import Any, Final, Literal

from longshore.demo.folders import FoundFile, Tree, Unreadable, shown
from longshore.demo.meter import Meter
from longshore.worker import Context, File

Algorithm = Literal["md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b"]

_LISTED: Final = 1_000


def digest_tree(tree: Tree, algorithm: Algorithm, context: Context) -> dict[str, Any]:
    """Digest every file, and all of them together.

    The digest over all is that of the lines `<digest>  <path>` in the order of the files, as
    `sha256sum` prints them.
    """
    found = list(tree.files())
    meter = Meter(sum(file.size for file in found), context)
    overall = hashlib.new(algorithm, usedforsecurity=False)
    digests: list[dict[str, Any]] = []
    files = 0
    for file in found:
        try:
            value = _digest(tree, file, algorithm, meter)
        except Unreadable as error:
            tree.skip(file.path, error)
            continue
        files += 1
        overall.update(f"{value}  {file.name}\n".encode(errors="surrogateescape"))
        if files <= _LISTED:
            digests.append({"path": shown(file.name), "size": file.size, "digest": value})
    return {
        "root": str(tree.root),
        "algorithm": algorithm,
        "files": files,
        "bytes": meter.done,
        "overall": overall.hexdigest(),
        "digests": digests,
        "truncated": files > _LISTED,
        "skipped": tree.skipped,
    }


def digest_file(file: File, algorithm: Algorithm) -> dict[str, Any]:
    """Digest a file that was uploaded or made, piece by piece."""
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    for piece in file.chunks():
        hasher.update(piece)
    info = file.info()
    return {
        "path": info.path,
        "bytes": info.size,
        "algorithm": algorithm,
        "digest": hasher.hexdigest(),
    }


def _digest(tree: Tree, file: FoundFile, algorithm: Algorithm, meter: Meter) -> str:
    """Return a file's digest in hexadecimal digits. Raises `Unreadable`."""
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    for block in tree.blocks(file):
        hasher.update(block)
        meter.add(len(block), shown(file.name))
    return hasher.hexdigest()
