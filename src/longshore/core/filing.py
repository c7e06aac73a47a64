"""Filing: how files come to be kept, and how nothing of them is left behind.

A blob is announced before its first byte is written, and is nobody's until a file has it. So
whatever a crash leaves behind is known by name, and is removed once its time has come.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from longshore.core import limits
from longshore.core.batch import Batch
from longshore.core.errors import (
    FileNotFound,
    InvalidFields,
    LeaseLost,
    LimitExceeded,
    UploadGivenUp,
    Violation,
    WrongState,
)
from longshore.core.events import EventKind
from longshore.core.file_changes import DeleteFile, ForgetBlobs, KeepFile, OpenBlob, SweepFiles
from longshore.core.file_ledger import DOOMED
from longshore.core.files import File, described
from longshore.core.ids import text_of
from longshore.core.operations import Operation, Part, State

_PATH: Final = "header.path"


def open_blob(change: OpenBlob, batch: Batch) -> bool:
    """Announce a blob that is about to be written, or give it more time."""
    blob = change.blob
    if change.again and not batch.files.writable(blob):
        return False
    batch.files.blobs[blob] = batch.now + limits.BLOB_WRITTEN_WITHIN_MS
    return True


def keep_file(change: KeepFile, batch: Batch) -> File:
    """Give a blob that was written to a file: one that is new, replaced, or made by work."""
    file = change.file._replace(create_time=batch.now)
    if not batch.files.writable(file.blob):
        raise UploadGivenUp
    if file.number is not None:
        return _keep_made(file, change.caller.principal, batch)
    if change.replace:
        earlier = batch.files.found(file.id, file.tenant, batch.now)
        if earlier is None:
            raise FileNotFound(text_of(file.id))
        _refuse_made(earlier, batch)
        batch.files.drop(earlier)
    expire_after = change.expire_after
    expire_time = None if expire_after is None else batch.now + expire_after
    kept = file._replace(expire_time=expire_time)
    batch.files.keep(kept)
    return kept


def _keep_made(file: File, worker: str, batch: Batch) -> File:
    """Add a file to what an operation has made. The same again is a repeat."""
    number = file.number or 0
    operation = batch.operation(number)
    if operation is None or not _holds(operation, file, worker, batch):
        raise LeaseLost(number, file.token)
    made = {earlier.path: earlier for earlier in batch.files.made_by(number)}
    if file.path in made:
        return _repeated(made[file.path], file, batch)
    _refuse_within_each_other(file.path, made)
    if len(made) >= limits.FILES_PER_OPERATION:
        raise LimitExceeded("files", limits.FILES_PER_OPERATION, len(made) + 1)
    kept = file._replace(expire_time=None, step=operation.step)
    batch.files.keep(kept)
    told = _encoded(described(kept))
    _show_one_more(told, number, batch)
    revision = batch.emit(operation, EventKind.FILE_ADDED, operation.state, told)
    batch.put(operation._replace(update_time=batch.now, revision=revision))
    return kept


def _refuse_within_each_other(path: str, others: Iterable[str]) -> None:
    """Raise `InvalidFields` if one path would have to be a file and a folder as well."""
    for other in others:
        shorter, longer = sorted((path, other), key=len)
        if longer.startswith(f"{shorter}/"):
            raise InvalidFields([Violation(_PATH, f"there is a file {other!r} already")])


def _holds(operation: Operation, file: File, worker: str, batch: Batch) -> bool:
    """Whether a file is made under the operation's lease, by the principal that has it."""
    session = None if operation.session is None else batch.session(operation.session)
    return (
        operation.tenant == file.tenant
        and operation.state == State.RUNNING
        and operation.token == file.token
        and not operation.publishing
        and session is not None
        and session.belongs_to(worker)
    )


def _repeated(earlier: File, file: File, batch: Batch) -> File:
    if (earlier.token, earlier.sha256) != (file.token, file.sha256):
        raise InvalidFields([Violation(_PATH, f"there is a file {file.path!r} already")])
    batch.files.blobs[file.blob] = DOOMED
    return earlier


def _refuse_made(file: File, batch: Batch) -> None:
    """Raise `WrongState` for a file that is an operation's own."""
    operation = None if file.number is None else batch.operation(file.number)
    if operation is not None:
        state = State(operation.state).name
        raise WrongState(text_of(operation.id), state, "to expire, with the files it has made")


def _show(made: list[File], operation: Operation, batch: Batch) -> None:
    """Write what readers are shown of an operation's files."""
    if made:
        document = _encoded([described(one) for one in made]).encode()
        batch.documents[operation.number, Part.FILES] = document
    else:
        batch.drop(operation.number, Part.FILES)


def _show_one_more(told: str, number: int, batch: Batch) -> None:
    """Append to what is shown, which may be long, without reading what is in it."""
    shown = batch.document(number, Part.FILES)
    start = b"[" if shown is None else shown[:-1] + b","
    batch.documents[number, Part.FILES] = start + told.encode() + b"]"


def _encoded(shown: object) -> str:
    return json.dumps(shown, separators=(",", ":"), ensure_ascii=False)


def drop_unfinished(operation: Operation, batch: Batch) -> None:
    """Forget what earlier attempts have made in the step that now begins again."""
    made = batch.files.made_by(operation.number)
    kept = [one for one in made if one.step < operation.step]
    if len(kept) == len(made):
        return
    for file in made:
        if file not in kept:
            batch.files.disown(file, batch.now)
    _show(kept, operation, batch)


def let_go(operation: Operation, batch: Batch) -> None:
    """Forget the files that an operation has made."""
    made = batch.files.made_by(operation.number)
    for file in made:
        batch.files.disown(file, batch.now)
    if made:
        batch.drop(operation.number, Part.FILES)


def take(number: int, files: tuple[bytes, ...], batch: Batch) -> None:
    """Note that an operation takes files. `refuse_missing` comes first."""
    batch.files.uses[number] = list(dict.fromkeys(files))


def refuse_missing(files: tuple[bytes, ...], tenant: str, batch: Batch) -> None:
    """Raise `FileNotFound` for the first file that is not there to be taken."""
    for file_id in files:
        if batch.files.found(file_id, tenant, batch.now) is None:
            raise FileNotFound(text_of(file_id))


def delete_file(change: DeleteFile, batch: Batch) -> None:
    """Forget an uploaded file that nobody takes."""
    file = batch.files.found(change.file_id, change.caller.tenant, batch.now)
    if file is None:
        raise FileNotFound(text_of(change.file_id))
    _refuse_made(file, batch)
    for number in batch.files.taken_by(file.id):
        operation = batch.operation(number)
        if operation is not None:
            state = State(operation.state).name
            raise WrongState(text_of(operation.id), state, "to end: it takes the file")
    batch.files.drop(file)


def sweep_files(change: SweepFiles, batch: Batch) -> list[bytes]:
    """Forget files that have expired; return blobs that nobody will have any more."""
    for file in batch.files.due_files(batch.now, change.limit):
        batch.files.drop(file)
    due = batch.files.due_blobs(batch.now, change.limit)
    batch.files.blobs.update(dict.fromkeys(due, DOOMED))
    return due


def forget_blobs(change: ForgetBlobs, batch: Batch) -> None:
    """Forget blobs that were removed."""
    batch.files.blobs.update(dict.fromkeys(change.blobs))
