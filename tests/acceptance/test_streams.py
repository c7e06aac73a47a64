from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
import pytest

from longshore.v1.operation_pb2 import State
from longshore.v1.worker_service_pb2 import StopReason
from tests.acceptance.checkers import check_everything
from tests.acceptance.office import Office, reason_of
from tests.acceptance.processes import Server
from tests.acceptance.stevedore import Stevedore, completed, stopped


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with Server(tmp_path_factory.mktemp("streams") / "longshore.db") as running:
        yield running


@pytest.fixture
async def office(server: Server) -> AsyncIterator[Office]:
    async with Office(server.address) as caller:
        before = await caller.revision()
        yield caller
        check_everything(await caller.history(after=before), most_attempts=2)


@pytest.fixture
async def far(server: Server) -> AsyncIterator[Office]:
    """A second connection, as of a worker that comes back."""
    async with Office(server.address) as caller:
        yield caller


async def test_of_two_streams_of_one_session_the_older_ends(
    office: Office, far: Office
) -> None:
    async with Stevedore(office) as older:
        task = await office.submit("lift")
        lease = await older.assigned()
        async with Stevedore(
            far, session_id=older.welcome.session_id, leases=(lease,)
        ) as younger:
            assert younger.welcome.session_id == older.welcome.session_id
            assert younger.welcome.epoch == older.welcome.epoch + 1
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await older.listen_until(lambda: False, "the end of the older stream")
            assert ended.value.code() == grpc.StatusCode.ABORTED
            assert reason_of(ended.value) == "SESSION_TAKEN_OVER"
            held = await office.get(task.metadata.id)
            assert held.status.state == State.STATE_RUNNING
            acknowledgement = await younger.report(completed(lease))
            assert not acknowledgement.HasField("error")
            done = await office.get(task.metadata.id)
            assert (done.status.state, done.status.attempt) == (State.STATE_SUCCEEDED, 1)


async def test_a_report_that_is_sent_again_is_applied_once(office: Office, far: Office) -> None:
    async with Stevedore(office) as first:
        task = await office.submit("lift")
        lease = await first.assigned()
        await first.report(completed(lease))
        done = await office.get(task.metadata.id)
    async with Stevedore(far, session_id=first.welcome.session_id, leases=(lease,)) as second:
        acknowledgement = await second.report(completed(lease))
        assert acknowledgement.sequence == 1
        assert not acknowledgement.HasField("error")
        assert await office.get(task.metadata.id) == done
        # The slot that the worker thought to need is free again.
        await office.submit("lift")
        await second.report(completed(await second.assigned()))


async def test_a_report_under_a_lost_lease_changes_nothing(office: Office) -> None:
    async with Stevedore(office) as worker:
        task = await office.submit("lift")
        lease = await worker.assigned()
        await office.cancel(task.metadata.id, force=True)
        await worker.listen_until(lambda: bool(worker.stops), "a stop order")
        assert worker.stops[0].lease_token == lease.lease_token
        assert worker.stops[0].reason == StopReason.STOP_REASON_LEASE_LOST
        before = await office.get(task.metadata.id)
        acknowledgement = await worker.report(completed(lease))
        assert acknowledgement.error.code == grpc.StatusCode.ABORTED.value[0]
        assert await office.get(task.metadata.id) == before
        await office.submit("lift")
        await worker.report(completed(await worker.assigned(2)))


async def test_a_lease_that_the_worker_lacks_is_sent_again_under_its_token(
    office: Office, far: Office
) -> None:
    async with Stevedore(office) as first:
        task = await office.submit("lift")
        lease = await first.assigned()
    async with Stevedore(far, session_id=first.welcome.session_id) as second:
        again = await second.assigned()
        assert (again.number, again.lease_token) == (lease.number, lease.lease_token)
        await second.report(completed(again))
        assert (await office.get(task.metadata.id)).status.attempt == 1


async def test_a_lease_that_is_not_the_workers_is_stopped(office: Office, far: Office) -> None:
    async with Stevedore(office) as first:
        await office.submit("lift")
        lease = await first.assigned()
        async with Stevedore(far, leases=(lease,)) as stranger:
            assert stranger.welcome.session_id != first.welcome.session_id
            await stranger.listen_until(lambda: bool(stranger.stops), "a stop order")
            await stranger.report(stopped(lease.number, lease.lease_token))
        acknowledgement = await first.report(completed(lease))
        assert not acknowledgement.HasField("error")


async def test_a_worker_that_drains_when_it_says_hello_is_given_nothing(
    office: Office, far: Office
) -> None:
    async with Stevedore(office, draining=True) as leaving:
        await office.submit("lift")
        async with Stevedore(far) as staying:
            await staying.report(completed(await staying.assigned()))
        assert leaving.assignments == []


async def test_a_draining_worker_whose_stream_ends_keeps_what_it_holds(
    office: Office, far: Office
) -> None:
    async with Stevedore(office) as first:
        task = await office.submit("lift")
        lease = await first.assigned()
        await first.drain()
        # What arrives of a broken connection can look like this.
        await first.stream.done_writing()
        await first.listen_until(lambda: first.ended, "the end of the stream")
    held = await office.get(task.metadata.id)
    assert held.status.state == State.STATE_RUNNING
    async with Stevedore(
        far, session_id=first.welcome.session_id, leases=(lease,), draining=True
    ) as second:
        await second.report(completed(lease))
    done = await office.get(task.metadata.id)
    assert (done.status.state, done.status.attempt) == (State.STATE_SUCCEEDED, 1)
