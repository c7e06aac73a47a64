"""What workers noted about their work, independent of any server."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple


class Note(NamedTuple):
    """One line of a journal: `start`, `end` or `stop` of an execution."""

    word: str
    operation_id: str
    attempt: int
    pid: int
    step: int


def read_journal(path: Path) -> list[Note]:
    if not path.exists():
        return []
    notes: list[Note] = []
    # What comes after the last end of a line is being written.
    for line in path.read_text().split("\n")[:-1]:
        word, operation_id, attempt, pid, step = line.split()
        notes.append(Note(word, operation_id, int(attempt), int(pid), int(step)))
    return notes


def noted(path: Path, word: str, operation_id: str = "") -> list[Note]:
    """Return the notes of one sort, of one operation or of all."""
    return [
        note
        for note in read_journal(path)
        if note.word == word and operation_id in ("", note.operation_id)
    ]


def check_nothing_ran_twice(path: Path) -> None:
    """No operation was begun more than once."""
    starts = Counter(note.operation_id for note in noted(path, "start"))
    twice = {operation_id: count for operation_id, count in starts.items() if count > 1}
    assert not twice, f"begun more than once: {twice}"


def check_nothing_overlapped(path: Path, dead: frozenset[int] = frozenset()) -> None:
    """No operation ran in two places at once; what ran in processes that died has ended."""
    running: dict[str, Note] = {}
    for note in read_journal(path):
        if note.word == "start":
            earlier = running.get(note.operation_id)
            assert earlier is None or earlier.pid in dead, f"{note} began during {earlier}"
            running[note.operation_id] = note
        elif running.get(note.operation_id, note).pid == note.pid:
            running.pop(note.operation_id, None)
