"""Random changes to files, in random batches: of blobs none is lost, and none has two owners."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
)

from longshore.core.callers import Caller
from longshore.core.changes import Cancel, Change, Delete, Submitted
from longshore.core.file_changes import DeleteFile, ForgetBlobs, KeepFile, OpenBlob, SweepFiles
from longshore.core.files import File
from longshore.core.limits import BLOB_WRITTEN_WITHIN_MS
from longshore.core.reports import Body, Released
from tests.conformance.books import Books, Work
from tests.conformance.candidates import CANDIDATES
from tests.conformance.codec import plan_request, step
from tests.conformance.keeping import save_changes, sweep_up, upload_changes
from tests.conformance.stateful import StatefulTest, play
from tests.conformance.world import (
    DAY,
    MINUTE,
    done,
    failed,
    new_id,
    report_change,
    submit_change,
)

ME = Caller("default", "ada")
STEPS = 2

some = st.integers(0, 1_000)
contents = st.sampled_from([b"one", b"two"])


class FileMachine(StatefulTest):
    """A store and its books."""

    def __init__(self) -> None:
        super().__init__()
        self.books = Books(self.world.now)
        self.keeping: list[tuple[KeepFile, bytes]] = []
        self.ids: list[bytes] = [new_id()]

    def last_look(self) -> None:
        self.commit()
        self.nothing_is_left_behind()

    def nothing_is_left_behind(self) -> None:
        """Sweep once everything has ended: what remains are the files that are kept."""
        books = self.books
        books.now += DAY
        self.world.pass_time(DAY)
        removed = self.run(sweep_up(self.world))
        due = {file_id for file_id in books.files if books.due(file_id)}
        assert removed == books.free.keys() | {books.files[one].blob for one in due}
        owned = [file.blob for file_id, file in books.files.items() if file_id not in due]
        assert len(set(owned)) == len(owned)
        assert books.forgotten.isdisjoint(owned)

    def ask(self, change: Change, expected: object) -> None:
        self.changes.append(change)
        self.expected.append(expected)

    @rule()
    def commit(self) -> None:
        self.committed()

    def committed(self) -> list[object]:
        """Commit and return the outcomes, which must be as expected; `...` is any."""
        changes, expected = self.changes, self.expected
        self.changes, self.expected = [], []
        outcomes = self.run(self.world.apply(*changes)).outcomes
        for outcome, wanted in zip(outcomes, expected, strict=True):
            assert wanted is Ellipsis or outline(outcome) == wanted, changes
        return outcomes

    @initialize()
    def begin(self) -> None:
        self.session = self.run(self.world.open_session("scan", slots=100))
        for content in (b"one", b"two"):
            self.upload(content, 0, replace=False, close=True)
        self.submit([1])
        self.lease()
        self.save(0, "a", b"one", stale=False, close=True)

    def any_id(self, pick: int) -> bytes:
        return self.ids[pick % len(self.ids)]

    def likely_id(self, pick: int) -> bytes:
        """Return the id of a file that is kept, now and then another."""
        files = sorted(self.books.files)
        return files[pick % len(files)] if files and pick % 5 else self.any_id(pick)

    def any_work(self, pick: int) -> Work:
        return self.books.work[pick % len(self.books.work)]

    # Uploads.

    @rule(content=contents, pick=some, replace=st.booleans(), close=st.booleans())
    def upload(self, content: bytes, pick: int, replace: bool, close: bool) -> None:
        opening, keeping = upload_changes(content, expire_after=MINUTE)
        if replace:
            file = keeping.file._replace(id=self.likely_id(pick))
            keeping = KeepFile(ME, file, MINUTE, replace=True)
        self.ids.append(keeping.file.id)
        self.announced(opening, keeping, content, close)

    def announced(
        self, opening: OpenBlob, keeping: KeepFile, content: bytes, close: bool
    ) -> None:
        """Open a blob; write it at once, or some time later."""
        self.books.free[opening.blob] = self.books.now + BLOB_WRITTEN_WITHIN_MS
        self.ask(opening, True)
        self.keeping.append((keeping, content))
        if close:
            self.keep(0)

    @precondition(lambda self: self.keeping)
    @rule(pick=some)
    def keep(self, pick: int) -> None:
        """Keep what was announced, now and then a second time."""
        keeping, content = self.keeping[-1 - pick % min(3, len(self.keeping))]
        self.ask(keeping, self.books.keep(keeping, content))

    @precondition(lambda self: self.keeping)
    @rule(pick=some)
    def renew(self, pick: int) -> None:
        blob = self.keeping[pick % len(self.keeping)][0].file.blob
        writable = self.books.free.get(blob, 0) != 0
        if writable:
            self.books.free[blob] = self.books.now + BLOB_WRITTEN_WITHIN_MS
        self.ask(OpenBlob(blob, again=True), writable)

    @precondition(lambda self: self.books.free)
    @rule(picks=st.lists(some, min_size=1, max_size=3))
    def forget(self, picks: list[int]) -> None:
        """Forget what was removed, or broken off."""
        blobs = {sorted(self.books.free)[pick % len(self.books.free)] for pick in picks}
        for blob in blobs:
            del self.books.free[blob]
        self.books.forgotten |= blobs
        self.ask(ForgetBlobs(tuple(blobs)), None)

    @rule(pick=some)
    def delete_file(self, pick: int) -> None:
        file_id = self.likely_id(pick)
        self.ask(DeleteFile(ME, file_id), self.books.delete(file_id))

    @rule()
    def sweep(self) -> None:
        """Sweep last in a batch: what became due in it may be left for the next."""
        alone = not self.changes
        self.ask(SweepFiles(1_000), ...)
        swept = set(cast("list[bytes]", self.committed()[-1]))
        books = self.books
        due = {one.blob: file_id for file_id, one in books.files.items() if books.due(file_id)}
        late = {blob for blob, until in books.free.items() if until <= books.now}
        assert late <= swept <= late | due.keys()
        assert not alone or swept == late | due.keys()
        for blob in swept & due.keys():
            books.drop(due[blob])
        books.free.update(dict.fromkeys(swept, 0))

    # Work.

    @rule(picks=st.lists(some, max_size=3))
    def submit(self, picks: list[int]) -> None:
        self.take(*(self.likely_id(pick) for pick in picks))

    def take(self, *files: bytes) -> None:
        request = plan_request(*[step("scan")] * STEPS)
        change = submit_change(steps=STEPS, request=request, files=files)
        self.ask(change, self.books.submit(set(files)))

    @rule()
    def lease(self) -> None:
        self.commit()
        waiting = [one for one in self.books.work if one.state == "queued"]
        leases = self.run(self.world.lease(self.session, free=len(waiting)))
        assert [lease.operation.number for lease in leases] == [one.number for one in waiting]
        for work, lease in zip(waiting, leases, strict=True):
            work.state, work.lease, work.reports = "running", lease, 0
            self.books.disown(work, work.step)

    @property
    def leased(self) -> list[Work]:
        return [one for one in self.books.work if one.lease]

    @precondition(lambda self: self.leased)
    @rule(
        pick=some,
        path=st.sampled_from(["a", "b"]),
        content=contents,
        stale=st.sampled_from([False] * 7 + [True]),
        close=st.booleans(),
    )
    def save(self, pick: int, path: str, content: bytes, stale: bool, close: bool) -> None:
        running = [one for one in self.books.work if one.state == "running"]
        lease = (running or self.leased)[pick % len(running or self.leased)].lease
        assert lease is not None
        if stale:
            earlier = lease.operation._replace(token=lease.operation.token - 1)
            lease = lease._replace(operation=earlier)
        opening, keeping = save_changes(lease, path, content)
        self.ids.append(keeping.file.id)
        self.announced(opening, keeping, content, close)

    @precondition(lambda self: any(one.state == "running" for one in self.books.work))
    @rule(pick=some, how=st.sampled_from(["done", "done", "released", "failed"]))
    def report(self, pick: int, how: str) -> None:
        running = [one for one in self.books.work if one.state == "running"]
        work = running[pick % len(running)]
        self.tell(work, how)

    def tell(self, work: Work, how: str) -> None:
        assert work.lease is not None
        bodies: dict[str, Body] = {
            "done": done(),
            "released": Released(),
            "failed": failed(permanent=True),
        }
        work.reports += 1
        change = report_change(self.session, work.lease, bodies[how], work.reports)
        self.ask(change, ...)
        work.step += how == "done"
        if how == "released":
            work.state = "queued"
        elif how == "failed" or work.step == STEPS:
            work.state = "ended"

    @rule(take=st.booleans(), content=contents)
    def try_again(self, take: bool, content: bytes) -> None:
        """Let work make a file, and others take it or not, before it begins once more."""
        self.take()
        self.lease()
        work = self.books.work[-1]
        self.save(-1, "a", b"one", stale=False, close=True)
        self.save(-1, "a", content, stale=False, close=True)
        if take:
            self.take(self.ids[-2])
        self.tell(work, "released")
        self.lease()

    @precondition(lambda self: self.books.work)
    @rule(pick=some)
    def cancel(self, pick: int) -> None:
        work = self.any_work(pick)
        refusal = "OperationNotFound" if work.state == "expired" else "WrongState"
        self.ask(Cancel(ME, work.number, force=True), work.number if work.takes_on else refusal)
        if work.takes_on:
            work.state = "ended"

    @precondition(lambda self: self.books.work)
    @rule(pick=some)
    def delete(self, pick: int) -> None:
        work = self.any_work(pick)
        refusal = "OperationNotFound" if work.state == "expired" else "WrongState"
        self.ask(Delete(ME, work.number), None if work.state == "ended" else refusal)
        if work.state == "ended":
            work.state = "expired"
            self.books.disown(work, 0)

    # What time does.

    @rule(span=st.sampled_from([MINUTE, BLOB_WRITTEN_WITHIN_MS]), restart=st.booleans())
    def pass_time(self, span: int, restart: bool) -> None:
        self.commit()
        self.world.pass_time(span)
        self.books.now = self.world.now
        if restart:
            self.run(self.world.reopen())

    @invariant()
    def files_are_as_the_books_say(self) -> None:
        if self.changes:
            return
        books = self.books
        found = self.run(self.world.store.files("default", self.ids, books.now))
        seen = {one.id: (one.blob, one.expire_time, one.number) for one in found if one}
        there = {file_id: one for file_id, one in books.files.items() if books.there(file_id)}
        assert seen == {
            file_id: (one.blob, one.expire_time, one.maker) for file_id, one in there.items()
        }
        assert books.free.keys().isdisjoint(one.blob for one in books.files.values())


def outline(outcome: object) -> object:
    """Return an outcome in the words of the books."""
    match outcome:
        case File():
            return outcome.id
        case Submitted():
            return outcome.operation.number
        case Exception():
            return type(outcome).__name__
        case _:
            return getattr(outcome, "number", outcome)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CANDIDATES)
def test_any_sequence_of_changes_to_files_leaves_no_blob_unknown(name: str) -> None:
    play(FileMachine, name)
