"""Files: uploaded, taken and made; and of their blobs none that nobody knows of."""

from __future__ import annotations

import json

import pytest

from longshore.core import limits
from longshore.core.callers import Caller
from longshore.core.changes import Cancel, Compact, Delete, Resubmit, Wake
from longshore.core.errors import (
    FileNotFound,
    InvalidFields,
    LeaseLost,
    LimitExceeded,
    StoreUnavailable,
    UploadGivenUp,
    WrongState,
)
from longshore.core.events import EventKind
from longshore.core.file_changes import DeleteFile, ForgetBlobs, OpenBlob, SweepFiles
from longshore.core.files import File, described
from longshore.core.operations import Operation, Part, State
from longshore.core.policies import Policy
from longshore.core.reports import Released
from tests.conformance.codec import plan_request, step
from tests.conformance.keeping import (
    kept,
    new_blob,
    refused_save,
    save,
    save_changes,
    sweep,
    sweep_up,
    upload,
    upload_changes,
)
from tests.conformance.world import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    World,
    done,
    failed,
    new_id,
    report_change,
    submit_change,
)

ME = Caller("default", "ada")
SOON = Policy(initial_backoff=SECOND)


async def shown(world: World, operation: Operation) -> list[str]:
    """Return the paths of the files that readers are shown of an operation."""
    document = (await world.record(operation, Part.FILES)).documents.get(Part.FILES, b"[]")
    return [one["path"] for one in json.loads(document)]


# Uploaded.


async def test_an_uploaded_file_is_found_until_it_expires(world: World) -> None:
    file = await upload(world, b"bytes", path="in.csv", expire_after=MINUTE)
    assert (file.path, file.size) == ("in.csv", 5)
    assert (file.create_time, file.expire_time) == (NOON, NOON + MINUTE)
    assert await kept(world, file) == [True]
    world.pass_time(MINUTE)
    assert await kept(world, file) == [False]


async def test_files_are_found_in_the_order_asked_for(world: World) -> None:
    first, second = await upload(world), await upload(world)
    found = await world.store.files(
        "default", [second.id, new_id(), first.id, second.id], world.now
    )
    assert found == [second, None, first, second]
    assert await world.store.files("default", [], world.now) == []


async def test_a_tenant_finds_its_own_files_only(world: World) -> None:
    file = await upload(world, tenant="other")
    assert await world.store.files("default", [file.id], world.now) == [None]
    assert await world.store.files("other", [file.id], world.now) == [file]


async def test_a_file_without_a_time_is_kept_for_ever(world: World) -> None:
    file = await upload(world, expire_after=None)
    world.pass_time(1_000 * DAY)
    assert await sweep(world) == []
    assert await kept(world, file) == [True]


async def test_files_are_known_after_a_restart(world: World) -> None:
    file, blob = await upload(world), new_blob()
    await world.do(OpenBlob(blob))
    await world.reopen()
    assert await kept(world, file) == [True]
    world.pass_time(DAY)
    assert await sweep_up(world) == {file.blob, blob}


async def test_a_blob_becomes_one_file_only(world: World) -> None:
    opening, keeping = upload_changes()
    assert isinstance(await world.refused(keeping), UploadGivenUp)
    await world.do(opening)
    file = await world.do(keeping)
    again = keeping._replace(file=keeping.file._replace(id=new_id()))
    assert isinstance(await world.refused(again), UploadGivenUp)
    assert await kept(world, file) == [True]


async def test_new_bytes_take_the_place_of_a_file(world: World) -> None:
    first = await upload(world, b"first")
    second = await upload(world, b"second", replaced=first)
    assert second.id == first.id
    assert await kept(world, second) == [True]
    assert await sweep_up(world) == {first.blob}


async def test_only_a_file_of_ones_own_can_be_replaced(world: World) -> None:
    file = await upload(world, expire_after=MINUTE)
    for tenant, replaced in (("other", file), ("default", file._replace(id=new_id()))):
        opening, keeping = upload_changes(tenant=tenant, replaced=replaced)
        await world.do(opening)
        assert isinstance(await world.refused(keeping), FileNotFound)
    world.pass_time(MINUTE)
    opening, keeping = upload_changes(replaced=file)
    await world.do(opening)
    assert isinstance(await world.refused(keeping), FileNotFound)


async def test_a_deleted_file_is_gone_with_its_blob(world: World) -> None:
    file = await upload(world)
    assert await world.do(DeleteFile(ME, file.id)) is None
    assert await kept(world, file) == [False]
    assert isinstance(await world.refused(DeleteFile(ME, file.id)), FileNotFound)
    assert await sweep_up(world) == {file.blob}


async def test_what_is_not_ones_own_cannot_be_deleted(world: World) -> None:
    file = await upload(world, tenant="other")
    for file_id in (file.id, new_id()):
        assert isinstance(await world.refused(DeleteFile(ME, file_id)), FileNotFound)


# Blobs.


async def test_what_was_announced_is_swept_up_after_its_time(world: World) -> None:
    blob = new_blob()
    assert await world.do(OpenBlob(blob)) is True
    world.pass_time(limits.BLOB_WRITTEN_WITHIN_MS - 1)
    assert await sweep(world) == []
    world.pass_time(1)
    assert await sweep(world) == [blob]


async def test_a_blob_that_takes_long_is_given_more_time(world: World) -> None:
    opening, keeping = upload_changes()
    await world.do(opening)
    for _ in range(3):
        world.pass_time(limits.BLOB_WRITTEN_WITHIN_MS - 1)
        assert await sweep(world) == []
        assert await world.do(opening._replace(again=True)) is True
    file = await world.do(keeping)
    assert await kept(world, file) == [True]


async def test_a_blob_that_was_given_up_cannot_be_kept(world: World) -> None:
    opening, keeping = upload_changes()
    await world.do(opening)
    world.pass_time(limits.BLOB_WRITTEN_WITHIN_MS)
    assert await sweep(world) == [opening.blob]
    for _ in range(2):  # Until it is forgotten, and ever after.
        assert await world.do(opening._replace(again=True)) is False
        assert isinstance(await world.refused(keeping), UploadGivenUp)
        await world.do(ForgetBlobs((opening.blob,)))


async def test_a_blob_is_swept_until_it_is_forgotten(world: World) -> None:
    file = await upload(world)
    await world.do(DeleteFile(ME, file.id))
    for _ in range(2):
        assert await sweep(world) == [file.blob]
        await world.reopen()
    await world.do(ForgetBlobs((file.blob,)))
    assert await sweep(world) == []


async def test_blobs_are_swept_a_few_at_a_time(world: World) -> None:
    files = [await upload(world) for _ in range(5)]
    world.pass_time(DAY)
    removed: list[bytes] = []
    for count in (2, 2, 1, 0):
        blobs = await sweep(world, limit=2)
        assert len(blobs) == count
        removed += blobs
        await world.do(ForgetBlobs(tuple(blobs)))
    assert sorted(removed) == sorted(file.blob for file in files)


async def test_files_and_blobs_are_no_events(world: World) -> None:
    file = await upload(world)
    await world.do(DeleteFile(ME, file.id))
    await sweep_up(world)
    assert world.revision == 0


# Taken.


async def test_a_file_that_is_taken_stays_until_the_end(world: World) -> None:
    file = await upload(world, expire_after=MINUTE)
    operation = await world.submit(files=(file.id, file.id))
    session = await world.open_session()
    assignment = await world.lease_one(session)
    world.pass_time(DAY)
    await world.reopen()
    assert await sweep(world) == []
    assert await kept(world, file) == [True]
    refusal = await world.refused(DeleteFile(ME, file.id))
    assert isinstance(refusal, WrongState)
    assert refusal.facts["state"] == "RUNNING"
    await world.report(session, assignment, done())
    assert await kept(world, file) == [False]
    assert await sweep_up(world) == {file.blob}
    assert (await world.see(operation)).state == State.SUCCEEDED


async def test_a_file_stays_until_the_end_of_all_that_take_it(world: World) -> None:
    file = await upload(world, expire_after=MINUTE)
    first, second = [await world.submit(files=(file.id,)) for _ in range(2)]
    world.pass_time(DAY)
    await world.do(Cancel(ME, first.id))
    assert await kept(world, file) == [True]
    await world.do(Cancel(ME, second.id))
    assert await kept(world, file) == [False]


async def test_what_is_not_there_cannot_be_taken(world: World) -> None:
    short, foreign = await upload(world, expire_after=MINUTE), await upload(world, tenant="b")
    world.pass_time(MINUTE)
    for file_id in (short.id, foreign.id, new_id()):
        assert isinstance(await world.refused(submit_change(files=(file_id,))), FileNotFound)
    assert await world.store.get("default", [1]) == [None]


async def test_a_repeated_submit_is_found_although_its_file_is_gone(world: World) -> None:
    file = await upload(world)
    operation = await world.submit(files=(file.id,), key="k")
    await world.do(Cancel(ME, operation.id))
    await world.do(DeleteFile(ME, file.id))
    again = await world.submit(files=(file.id,), key="k")
    assert again.number == operation.number


async def test_what_is_resubmitted_takes_the_same_files(world: World) -> None:
    file = await upload(world, expire_after=HOUR)
    operation = await world.submit(files=(file.id,))
    await world.do(Cancel(ME, operation.id))
    await world.reopen()
    again = (await world.do(Resubmit(ME, operation.id, new_id()))).operation
    world.pass_time(DAY)
    assert await kept(world, file) == [True]
    await world.do(Cancel(ME, again.id))
    refusal = await world.refused(Resubmit(ME, again.id, new_id()))
    assert isinstance(refusal, FileNotFound)


async def test_who_expires_takes_nothing_any_more(world: World) -> None:
    file = await upload(world)
    operation = await world.submit(files=(file.id,))
    await world.apply(Cancel(ME, operation.id), Delete(ME, operation.id))
    await world.do(DeleteFile(ME, file.id))
    assert await sweep_up(world) == {file.blob}


# Several changes of one batch.


async def test_a_file_can_be_kept_and_taken_in_one_batch(world: World) -> None:
    opening, keeping = upload_changes(expire_after=MINUTE)
    submit = submit_change(files=(keeping.file.id,))
    applied = await world.apply(opening, keeping, submit)
    file = applied.outcomes[1]
    assert isinstance(file, File)
    world.pass_time(DAY)
    assert await kept(world, file) == [True]


async def test_a_file_can_be_kept_and_deleted_in_one_batch(world: World) -> None:
    opening, keeping = upload_changes()
    deleting = DeleteFile(ME, keeping.file.id)
    applied = await world.apply(opening, keeping, deleting, SweepFiles(10), keeping)
    assert applied.outcomes[3] == [opening.blob]
    assert isinstance(applied.outcomes[4], UploadGivenUp)
    assert await kept(world, keeping.file) == [False]
    assert await sweep_up(world) == {opening.blob}


async def test_of_taking_and_deleting_in_one_batch_the_first_wins(world: World) -> None:
    file = await upload(world)
    submit, deleting = submit_change(files=(file.id,)), DeleteFile(ME, file.id)
    applied = await world.apply(submit, deleting)
    assert isinstance(applied.outcomes[1], WrongState)
    await world.do(Cancel(ME, submit.id))
    applied = await world.apply(deleting, submit_change(files=(file.id,)))
    assert applied.outcomes[0] is None
    assert isinstance(applied.outcomes[1], FileNotFound)


async def test_of_taking_and_expiring_in_one_batch_the_first_wins(world: World) -> None:
    file = await upload(world, expire_after=MINUTE)
    operation = await world.submit(files=(file.id,))
    world.pass_time(MINUTE)
    submit = submit_change(files=(file.id,))
    await world.apply(submit, Cancel(ME, operation.id), SweepFiles(10))
    assert await kept(world, file) == [True]
    late = submit_change(files=(file.id,))
    applied = await world.apply(Cancel(ME, submit.id), late, SweepFiles(10))
    assert isinstance(applied.outcomes[1], FileNotFound)
    assert await sweep_up(world) == {file.blob}


async def test_a_blob_can_be_forgotten_and_announced_in_one_batch(world: World) -> None:
    blob = new_blob()
    await world.apply(OpenBlob(blob), ForgetBlobs((blob,)))
    assert await world.do(OpenBlob(blob, again=True)) is False
    await world.apply(ForgetBlobs((blob,)), OpenBlob(blob))
    assert await world.do(OpenBlob(blob, again=True)) is True


async def test_a_file_is_replaced_twice_in_one_batch(world: World) -> None:
    first = await upload(world)
    changes = [one for _ in range(2) for one in upload_changes(replaced=first)]
    applied = await world.apply(*changes)
    second, third = applied.outcomes[1], applied.outcomes[3]
    assert isinstance(second, File)
    assert isinstance(third, File)
    assert await kept(world, third) == [True]
    assert await sweep_up(world) == {first.blob, second.blob}


async def test_nothing_is_left_of_what_ends_and_expires_in_the_batch_of_its_submit(
    world: World,
) -> None:
    file = await upload(world)
    submit = submit_change(files=(file.id,), key="k")
    await world.apply(submit, Cancel(ME, submit.id), Delete(ME, submit.id))
    again = await world.submit(key="k")
    assert again.number == 2
    await world.do(DeleteFile(ME, file.id))


# Made by work.


async def test_a_file_that_is_made_is_told_and_shown(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    opening, keeping = save_changes(assignment, "a/b.txt", b"made")
    applied = await world.apply(opening, keeping)
    file = applied.outcomes[1]
    assert isinstance(file, File)
    assert (file.number, file.step, file.token) == (1, 0, assignment.operation.token)
    assert file.expire_time is None
    (event,) = applied.events
    assert (event.kind, event.state) == (EventKind.FILE_ADDED, State.RUNNING)
    assert event.detail is not None
    assert json.loads(event.detail) == described(file)
    record = await world.record(operation, Part.FILES)
    assert record.operation.revision == event.revision
    assert json.loads(record.documents[Part.FILES]) == [described(file)]
    await world.report(session, assignment, done())
    world.pass_time(DAY)
    assert await kept(world, file) == [True]


async def test_files_are_shown_in_the_order_in_which_they_were_made(world: World) -> None:
    operation = await world.submit()
    assignment = await world.lease_one(await world.open_session())
    for path in ("z", "a", "m/n"):
        await save(world, assignment, path)
    assert await shown(world, operation) == ["z", "a", "m/n"]


async def test_the_same_bytes_under_the_same_path_are_a_repeat(world: World) -> None:
    await world.submit()
    assignment = await world.lease_one(await world.open_session())
    first = await save(world, assignment)
    revision = world.revision
    opening, keeping = save_changes(assignment)
    assert (await world.apply(opening, keeping)).outcomes[1] == first
    assert world.revision == revision
    assert await sweep_up(world) == {opening.blob}
    assert await kept(world, first) == [True]


async def test_other_bytes_under_the_same_path_are_refused(world: World) -> None:
    operation = await world.submit()
    assignment = await world.lease_one(await world.open_session())
    first = await save(world, assignment)
    refusal = await refused_save(world, assignment, content=b"other")
    assert isinstance(refusal, InvalidFields)
    assert refusal.violations[0].field == "header.path"
    assert await kept(world, first) == [True]
    assert await shown(world, operation) == ["out.txt"]


@pytest.mark.parametrize("first, second", [("a", "a/b"), ("a/b/c", "a/b"), ("a/b/c", "a")])
async def test_no_file_is_the_folder_of_another(world: World, first: str, second: str) -> None:
    operation = await world.submit()
    assignment = await world.lease_one(await world.open_session())
    await save(world, assignment, first)
    assert isinstance(await refused_save(world, assignment, second), InvalidFields)
    await save(world, assignment, "other")
    assert await shown(world, operation) == [first, "other"]


async def test_two_files_of_one_path_in_one_batch_are_told_apart(world: World) -> None:
    await world.submit()
    assignment = await world.lease_one(await world.open_session())
    changes = [
        change
        for content in (b"one", b"one", b"two")
        for change in save_changes(assignment, content=content)
    ]
    applied = await world.apply(*changes)
    assert applied.outcomes[1] == applied.outcomes[3]
    assert isinstance(applied.outcomes[5], InvalidFields)
    assert len(applied.events) == 1


async def test_only_who_has_the_lease_makes_files(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    held = assignment.operation
    strangers = [
        held._replace(token=held.token + 1),
        held._replace(number=9),
        held._replace(tenant="other"),
    ]
    for stranger in strangers:
        refusal = await refused_save(world, assignment._replace(operation=stranger))
        assert isinstance(refusal, LeaseLost)
    await world.report(session, assignment, done())
    assert isinstance(await refused_save(world, assignment), LeaseLost)
    assert await shown(world, operation) == []


async def test_of_a_save_and_the_end_in_one_batch_the_first_wins(world: World) -> None:
    session = await world.open_session(slots=2)
    for _ in range(2):
        await world.submit()
    first, second = await world.lease(session, free=2)
    opening, keeping = save_changes(first)
    applied = await world.apply(opening, keeping, report_change(session, first, done()))
    assert isinstance(applied.outcomes[1], File)
    opening, keeping = save_changes(second)
    applied = await world.apply(opening, report_change(session, second, done()), keeping)
    assert isinstance(applied.outcomes[2], LeaseLost)


async def test_an_operation_makes_so_many_files_and_no_more(world: World) -> None:
    operation = await world.submit()
    assignment = await world.lease_one(await world.open_session())
    most = limits.FILES_PER_OPERATION
    for start in (0, most // 2):
        paths = range(start, start + most // 2)
        changes = [one for path in paths for one in save_changes(assignment, str(path))]
        applied = await world.apply(*changes)
        assert not any(isinstance(outcome, Exception) for outcome in applied.outcomes)
    assert isinstance(await refused_save(world, assignment, "more"), LimitExceeded)
    assert len(await shown(world, operation)) == most


async def test_files_of_an_operation_are_neither_replaced_nor_deleted(world: World) -> None:
    await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    file = await save(world, assignment)
    for _ in range(2):  # While it runs, and after its end.
        assert isinstance(await world.refused(DeleteFile(ME, file.id)), WrongState)
        opening, keeping = upload_changes(replaced=file)
        await world.do(opening)
        assert isinstance(await world.refused(keeping), WrongState)
        if (await world.see(assignment)).state == State.RUNNING:
            await world.report(session, assignment, done())


async def test_files_of_a_failed_attempt_go_when_the_next_begins(world: World) -> None:
    operation = await world.submit(policy=SOON)
    session = await world.open_session()
    first = await world.lease_one(session)
    file = await save(world, first)
    await world.report(session, first, failed())
    world.pass_time(SECOND)
    await world.wake()
    assert await shown(world, operation) == ["out.txt"]
    second = await world.lease_one(session)
    assert await shown(world, operation) == []
    assert await kept(world, file) == [False]
    assert await sweep_up(world) == {file.blob}
    again = await save(world, second, content=b"other")
    assert await kept(world, again) == [True]


async def test_files_of_an_attempt_that_was_handed_back_go_as_well(world: World) -> None:
    await world.submit()
    session = await world.open_session()
    first = await world.lease_one(session)
    await save(world, first)
    await world.report(session, first, Released())
    second = await world.lease_one(session)
    assert second.operation.attempt == 1
    file = await save(world, second, content=b"other")
    assert await kept(world, file) == [True]


async def test_a_failed_attempt_the_next_lease_and_its_file_share_a_batch(world: World) -> None:
    operation = await world.submit(policy=Policy(initial_backoff=0))
    session = await world.open_session()
    first = await world.lease_one(session)
    opening, keeping = save_changes(first)
    await world.apply(opening, keeping, report_change(session, first, failed()), Wake())
    (second,) = await world.lease(session)
    assert await shown(world, operation) == []
    await save(world, second)
    assert await shown(world, operation) == ["out.txt"]
    assert await sweep_up(world) == {opening.blob}


async def two_steps(world: World, **more: object) -> Operation:
    request = plan_request(step("scan"), step("scan"))
    return await world.submit(steps=2, request=request, policy=SOON, **more)


async def test_files_of_steps_that_ended_stay(world: World) -> None:
    operation = await two_steps(world)
    session = await world.open_session()
    lease = await world.lease_one(session)
    first = await save(world, lease, "first")
    reported = await world.report(session, lease, done())
    assert reported.next is not None
    second = await save(world, lease, "second")
    assert (first.step, second.step) == (0, 1)
    await world.report(session, lease, failed(), 2)
    world.pass_time(SECOND)
    await world.wake()
    lease = await world.lease_one(session)
    assert await shown(world, operation) == ["first"]
    assert await kept(world, first, second) == [True, False]
    taken = await refused_save(world, lease, "first")
    assert isinstance(taken, InvalidFields)  # Also the same bytes: it is not its own.


async def test_what_comes_late_from_a_step_belongs_to_the_one_that_is_under_way(
    world: World,
) -> None:
    operation = await two_steps(world)
    session = await world.open_session()
    lease = await world.lease_one(session)
    first = await save(world, lease, "first")
    opening, keeping = save_changes(lease, "late")
    await world.apply(opening, report_change(session, lease, done()), keeping)
    assert await save(world, lease, "first") == first  # The answer was lost: a repeat.
    await world.report(session, lease, failed(), 2)
    world.pass_time(SECOND)
    await world.wake()
    await world.lease_one(session)
    assert await shown(world, operation) == ["first"]


async def test_what_goes_on_from_a_failed_action_takes_what_was_made_before(
    world: World,
) -> None:
    operation = await two_steps(world)
    session = await world.open_session()
    lease = await world.lease_one(session)
    first = await save(world, lease, "first")
    await world.report(session, lease, done())
    second = await save(world, lease, "second")
    await world.report(session, lease, failed(permanent=True), 2)
    again = (await world.do(Resubmit(ME, operation.id, new_id(), from_failed=True))).operation
    await world.do(Delete(ME, operation.id))
    assert await kept(world, first._replace(number=None, expire_time=world.now), second) == [
        True,
        False,
    ]
    await world.do(Cancel(ME, again.id))
    assert await sweep_up(world) == {first.blob, second.blob}


async def made_and_taken(world: World) -> tuple[Operation, File, Operation]:
    """Return an operation that has ended, the file that it made, and one that takes that."""
    maker = await world.submit(policy=Policy(expire_after=DAY))
    session = await world.open_session()
    lease = await world.lease_one(session)
    file = await save(world, lease)
    await world.report(session, lease, done())
    return maker, file, await world.submit(files=(file.id,))


@pytest.mark.parametrize("at_once", [False, True])
async def test_what_expires_takes_its_files_along_but_for_those_that_are_taken(
    world: World, at_once: bool
) -> None:
    maker, file, taker = await made_and_taken(world)
    if at_once:
        await world.do(Delete(ME, maker.id))
    else:
        world.pass_time(DAY)
        await world.wake()
    assert await world.store.get("default", [maker.id]) == [None]
    orphan = file._replace(number=None, expire_time=world.now)
    assert await kept(world, orphan) == [True]
    assert await sweep(world) == []
    assert isinstance(await world.refused(DeleteFile(ME, file.id)), WrongState)
    await world.do(Cancel(ME, taker.id))
    assert await kept(world, orphan) == [False]
    assert await sweep_up(world) == {file.blob}


async def test_what_expires_takes_along_files_that_nobody_takes_any_more(world: World) -> None:
    maker, file, taker = await made_and_taken(world)
    await world.apply(Cancel(ME, taker.id), Delete(ME, maker.id))
    assert await kept(world, file) == [False]
    assert await sweep_up(world) == {file.blob}


async def test_a_file_is_taken_in_the_batch_in_which_its_maker_expires(world: World) -> None:
    maker, file, _ = await made_and_taken(world)
    submit = submit_change(files=(file.id,))
    await world.apply(submit, Cancel(ME, 2), Delete(ME, maker.id))
    orphan = file._replace(number=None, expire_time=world.now)
    assert await kept(world, orphan) == [True]
    await world.apply(Cancel(ME, submit.id))
    late = submit_change(files=(file.id,))
    assert isinstance(await world.refused(late), FileNotFound)


async def test_a_file_that_others_take_survives_a_failed_attempt(world: World) -> None:
    operation = await world.submit(policy=SOON)
    session = await world.open_session()
    lease = await world.lease_one(session)
    file = await save(world, lease)
    taker = await world.submit(files=(file.id,), queue="night")
    await world.report(session, lease, failed())
    world.pass_time(SECOND)
    await world.wake()
    await world.lease_one(session)
    assert await shown(world, operation) == []
    assert await kept(world, file._replace(number=None, expire_time=world.now)) == [True]
    await world.do(Cancel(ME, taker.id))
    assert await sweep_up(world) == {file.blob}


async def test_many_that_expire_at_once_take_all_their_files_along(world: World) -> None:
    session = await world.open_session(slots=50)
    await world.apply(*(submit_change(policy=Policy(expire_after=DAY)) for _ in range(50)))
    leased = await world.lease(session, free=50)
    changes = [one for lease in leased for one in save_changes(lease)]
    await world.apply(*changes)
    await world.apply(*(report_change(session, lease, done()) for lease in leased))
    world.pass_time(DAY)
    await world.wake()
    blobs = {change.blob for change in changes if isinstance(change, OpenBlob)}
    assert await sweep_up(world) == blobs


async def test_compaction_leaves_nothing_of_files(world: World) -> None:
    maker, file, taker = await made_and_taken(world)
    await world.apply(Delete(ME, maker.id), Cancel(ME, taker.id), Delete(ME, taker.id))
    world.pass_time(HOUR)
    assert await world.do(Compact(world.now)) == 2
    assert await sweep_up(world) == {file.blob}
    assert await world.events(numbers=frozenset({maker.number, taker.number})) == []


# When the disk is full.


async def test_a_file_that_does_not_fit_into_the_store_is_not_kept(world: World) -> None:
    opening, keeping = upload_changes()
    await world.do(opening)
    large = keeping._replace(file=keeping.file._replace(content_type="x" * 500_000))
    with world.disk_full(), pytest.raises(StoreUnavailable):
        await world.store.apply([large])
    assert await kept(world, large.file) == [False]
    file = await world.do(keeping)
    assert await kept(world, file) == [True]
