"""Changes to the whole installation: its mode, and how far back its log goes."""

from __future__ import annotations

from longshore.core.batch import Batch
from longshore.core.changes import Compact, OpenStream, SetMode
from longshore.core.events import EventKind, detail


def open_stream(change: OpenStream, batch: Batch) -> int:
    """Announce a listener to a stream of results, so that older ones end wherever they are."""
    told = detail(principal=change.caller.principal, stream=change.stream)
    return batch.announce(EventKind.STREAM, change.caller.tenant, told)


def set_mode(change: SetMode, batch: Batch) -> None:
    """Change the mode; a repeat changes nothing."""
    if (change.mode, change.resume_on_restart) == (batch.mode, batch.resume_on_restart):
        return
    batch.mode, batch.resume_on_restart = change.mode, change.resume_on_restart
    told = detail(mode=change.mode.name, resume_on_restart=change.resume_on_restart)
    batch.announce(EventKind.MODE, change.caller.tenant, told)


def compact(change: Compact, batch: Batch) -> int:
    """Raise the oldest watchable revision by age, then remove expired operations below it."""
    kept = batch.rows.first_revision_since(change.before)
    # Without a younger event everything that is stored may be compacted.
    reached = batch.head.revision if kept is None else kept - 1
    batch.compacted = max(batch.compacted, reached)
    found = batch.rows.removable(batch.compacted, change.limit + len(batch.removed))
    removed = [number for number in found if number not in batch.removed][: change.limit]
    batch.removed += removed
    return len(removed)
