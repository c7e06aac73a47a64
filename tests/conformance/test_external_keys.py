"""External keys: the first submit with one is found whatever the others ask for."""

from __future__ import annotations

from typing import Any, cast

import pytest

from longshore.core.callers import SERVER, Caller
from longshore.core.changes import Cancel, Mode, Resubmit, SetMode, Submitted, Wake
from longshore.core.errors import RequestIdReused
from longshore.core.operations import Kind
from longshore.core.policies import Policy
from tests.conformance.codec import request_for
from tests.conformance.world import MINUTE, World, new_id, numbers, submit_change

ME = Caller("default", "ada")


def job(external: str = "external:1", *, key: str | None = None, **more: Any) -> Any:
    return submit_change(kind=Kind.JOB, external_key=external, key=key, **more)


async def test_the_first_is_found_whatever_the_body(world: World) -> None:
    first = await world.do(job(request=request_for("scan", path="/a")))
    again = await world.do(job(request=request_for("bag", path="/b"), queue="night"))
    assert (first.created, again.created) == (True, False)
    assert (again.operation, again.facts) == (first.operation, first.facts)
    await world.reopen()
    assert not (await world.do(job())).created
    assert numbers(await world.find()) == [1]


async def test_of_two_in_one_batch_the_second_finds_the_first(world: World) -> None:
    applied = await world.apply(job(), job(), job("external:2"))
    outcomes = cast("list[Submitted]", applied.outcomes)
    assert [one.created for one in outcomes] == [True, False, True]
    assert [one.operation.number for one in outcomes] == [1, 1, 2]
    assert len(applied.events) == 2


async def test_it_is_found_as_it_is_now_even_after_its_end(world: World) -> None:
    operation = (await world.do(job())).operation
    canceled = await world.do(Cancel(ME, operation.id))
    assert (await world.do(job())).operation == canceled


@pytest.mark.parametrize("other", [{"tenant": "acme"}, {"principal": "bob"}])
async def test_it_belongs_to_tenant_and_submitter(world: World, other: dict[str, Any]) -> None:
    await world.do(job())
    assert (await world.do(job(**other))).created


async def test_it_is_free_again_once_its_operation_has_expired(world: World) -> None:
    operation = (await world.do(job(policy=Policy(expire_after=10 * MINUTE)))).operation
    await world.do(Cancel(ME, operation.id))
    world.pass_time(10 * MINUTE)
    applied = await world.apply(Wake(), job(), job())
    _, anew, again = cast("list[Submitted]", applied.outcomes)
    assert (anew.created, again.created) == (True, False)
    assert anew.operation.number == 2
    assert (await world.do(job())).operation == anew.operation


async def test_a_request_id_and_an_external_key_go_together(world: World) -> None:
    first = await world.do(job(key="k"))
    assert not (await world.do(job("external:2", key="k"))).created
    assert not (await world.do(job())).created
    assert not (await world.do(job(key="new"))).created
    refusal = await world.refused(job(key="k", digest=b"another"))
    assert isinstance(refusal, RequestIdReused)
    # What was found by the one makes the other no key of it.
    assert (await world.do(submit_change(key="new"))).created
    assert (await world.do(job("external:2"))).created
    assert first.operation.number == 1


async def test_both_keys_are_free_again_after_the_expiry(world: World) -> None:
    operation = (await world.do(job(key="k", policy=Policy(expire_after=MINUTE)))).operation
    await world.do(Cancel(ME, operation.id))
    world.pass_time(MINUTE)
    await world.wake()
    await world.reopen()
    assert (await world.do(submit_change(key="k"))).created
    assert (await world.do(job())).created


async def test_maintenance_still_finds_the_first(world: World) -> None:
    await world.do(job())
    await world.do(SetMode(SERVER, Mode.MAINTENANCE))
    assert not (await world.do(job())).created


async def test_a_resubmit_has_none(world: World) -> None:
    first = (await world.do(job(attributes={"external_id": "1", "contract": "a"}))).operation
    await world.do(Cancel(ME, first.id))
    again = await world.do(Resubmit(ME, first.id, new_id()))
    assert again.facts.attributes == '{"contract":"a"}'
    assert (await world.do(job())).operation.number == first.number
