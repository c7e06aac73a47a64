"""Short words for files: uploaded, made by work, found again and swept up."""

from __future__ import annotations

import hashlib
import itertools
from typing import cast

from longshore.core.callers import Caller
from longshore.core.changes import Change
from longshore.core.file_changes import ForgetBlobs, KeepFile, OpenBlob, SweepFiles
from longshore.core.files import File
from longshore.core.reports import Assignment
from tests.conformance.world import MINUTE, World, new_id

_BLOBS = itertools.count(1)


def new_blob() -> bytes:
    return next(_BLOBS).to_bytes(16)


def upload_changes(
    content: bytes = b"content",
    *,
    path: str = "",
    tenant: str = "default",
    expire_after: int | None = 30 * MINUTE,
    replaced: File | None = None,
) -> tuple[OpenBlob, KeepFile]:
    """Return the changes of an upload, the first before its first byte."""
    file_id = new_id() if replaced is None else replaced.id
    file = _file(file_id, content, path)._replace(tenant=tenant)
    keeping = KeepFile(Caller(tenant, "ada"), file, expire_after, replace=replaced is not None)
    return OpenBlob(file.blob), keeping


def save_changes(
    assignment: Assignment, path: str = "out.txt", content: bytes = b"content"
) -> tuple[OpenBlob, KeepFile]:
    """Return the changes of a file that a worker saves under its lease."""
    operation = assignment.operation
    file = _file(new_id(), content, path)._replace(
        tenant=operation.tenant, number=operation.number, token=operation.token
    )
    return OpenBlob(file.blob), KeepFile(Caller(operation.tenant, "worker"), file, None)


def _file(file_id: bytes, content: bytes, path: str) -> File:
    digest = hashlib.sha256(content).digest()
    return File(
        file_id,
        "default",
        new_blob(),
        path,
        len(content),
        digest,
        "text/plain",
        "",
        "",
        0,
        None,
    )


async def upload(
    world: World,
    content: bytes = b"content",
    *,
    path: str = "",
    tenant: str = "default",
    expire_after: int | None = 30 * MINUTE,
    replaced: File | None = None,
) -> File:
    opening, keeping = upload_changes(
        content, path=path, tenant=tenant, expire_after=expire_after, replaced=replaced
    )
    await world.do(opening)
    return cast("File", await world.do(keeping))


async def save(
    world: World, assignment: Assignment, path: str = "out.txt", content: bytes = b"content"
) -> File:
    opening, keeping = save_changes(assignment, path, content)
    await world.do(opening)
    return cast("File", await world.do(keeping))


async def refused_save(
    world: World, assignment: Assignment, path: str = "out.txt", content: bytes = b"content"
) -> Exception:
    """Return what refuses a file that a worker saves."""
    opening, keeping = save_changes(assignment, path, content)
    await world.do(opening)
    return await world.refused(keeping)


async def kept(world: World, *files: File) -> list[bool]:
    """Tell of each file whether it is there, as it was told."""
    found = await world.store.files("default", [file.id for file in files], world.now)
    return [one == file for one, file in zip(found, files, strict=True)]


async def sweep(world: World, limit: int = 100) -> list[bytes]:
    """Return the blobs that are to be removed now."""
    return cast("list[bytes]", await world.do(SweepFiles(limit)))


async def sweep_up(world: World) -> set[bytes]:
    """Remove all that is to be removed now, as the engine does."""
    removed: set[bytes] = set()
    while blobs := await sweep(world):
        removed.update(blobs)
        forget: Change = ForgetBlobs(tuple(blobs))
        await world.do(forget)
    return removed
