"""Accounts: registered by each principal for itself, and asked for by submits."""

from __future__ import annotations

import json

import pytest

from longshore.core.callers import Account, Caller
from longshore.core.catalog_changes import DeregisterAccount, RegisterAccount
from longshore.core.changes import Cancel, Resubmit
from longshore.core.errors import AccountExists, AccountNotFound
from longshore.core.events import EventKind
from longshore.core.installation import Registered
from tests.conformance.world import NOON, SECOND, World, new_id, submit_change

ADA, BOB = Caller("default", "ada"), Caller("default", "bob")
OCR = Account("ocr", "ada@example.org")


async def test_an_account_is_registered_and_told_without_its_name(world: World) -> None:
    applied = await world.apply(RegisterAccount(ADA, OCR))
    assert applied.outcomes == [NOON]
    (event,) = applied.events
    assert (event.kind, event.number, event.tenant) == (EventKind.ACCOUNT, 0, "default")
    assert json.loads(event.detail or "") == {"service": "ocr"}
    await world.reopen()
    assert await world.store.accounts("default", "ada") == [Registered(*OCR, NOON)]


async def test_accounts_are_listed_by_service_and_username(world: World) -> None:
    for account in (Account("b", "z"), Account("b", "a"), Account("a", "z")):
        await world.do(RegisterAccount(ADA, account))
        world.pass_time(SECOND)
    assert await world.store.accounts("default", "ada") == [
        Registered("a", "z", NOON + 2 * SECOND),
        Registered("b", "a", NOON + SECOND),
        Registered("b", "z", NOON),
    ]


async def test_a_second_registration_is_refused(world: World) -> None:
    await world.do(RegisterAccount(ADA, OCR))
    assert isinstance(await world.refused(RegisterAccount(ADA, OCR)), AccountExists)
    applied = await world.apply(RegisterAccount(BOB, OCR), RegisterAccount(BOB, OCR))
    assert applied.outcomes[0] == NOON
    assert isinstance(applied.outcomes[1], AccountExists)


async def test_every_principal_has_its_own(world: World) -> None:
    await world.apply(
        RegisterAccount(ADA, OCR),
        RegisterAccount(BOB, OCR),
        RegisterAccount(Caller("acme", "ada"), OCR),
    )
    await world.do(DeregisterAccount(BOB, OCR))
    assert await world.store.accounts("default", "bob") == []
    assert await world.store.accounts("default", "ada") == [Registered(*OCR, NOON)]
    assert await world.store.accounts("acme", "ada") == [Registered(*OCR, NOON)]


async def test_what_was_never_registered_cannot_be_deregistered(world: World) -> None:
    assert isinstance(await world.refused(DeregisterAccount(ADA, OCR)), AccountNotFound)
    await world.do(RegisterAccount(ADA, OCR))
    other = Account("ocr", "other")
    assert isinstance(await world.refused(DeregisterAccount(ADA, other)), AccountNotFound)
    applied = await world.apply(DeregisterAccount(ADA, OCR), DeregisterAccount(ADA, OCR))
    assert isinstance(applied.outcomes[1], AccountNotFound)
    assert len(applied.events) == 1


async def test_an_account_can_be_registered_anew(world: World) -> None:
    await world.do(RegisterAccount(ADA, OCR))
    world.pass_time(SECOND)
    await world.apply(DeregisterAccount(ADA, OCR), RegisterAccount(ADA, OCR))
    assert await world.store.accounts("default", "ada") == [Registered(*OCR, NOON + SECOND)]


@pytest.mark.parametrize(
    "other", [{"account": Account("ocr", "bob")}, {"principal": "bob"}, {"tenant": "acme"}]
)
async def test_a_submit_for_an_account_needs_the_callers_registration(
    world: World, other: dict[str, object]
) -> None:
    applied = await world.apply(RegisterAccount(ADA, OCR), submit_change(account=OCR))
    assert not isinstance(applied.outcomes[1], Exception)
    asked: dict[str, object] = {"account": OCR, **other}
    refusal = await world.refused(submit_change(**asked))  # type: ignore[arg-type]
    assert isinstance(refusal, AccountNotFound)


async def test_a_repeated_submit_finds_its_task_without_the_account(world: World) -> None:
    await world.do(RegisterAccount(ADA, OCR))
    await world.submit(account=OCR, key="k")
    await world.do(DeregisterAccount(ADA, OCR))
    assert not (await world.do(submit_change(account=OCR, key="k"))).created


async def test_a_resubmit_needs_the_account_too(world: World) -> None:
    await world.do(RegisterAccount(ADA, OCR))
    attributes = {"service": OCR.service, "account": OCR.username}
    operation = await world.submit(account=OCR, attributes=attributes)
    await world.do(Cancel(ADA, operation.id))
    assert (await world.do(Resubmit(ADA, operation.id, new_id()))).created
    await world.do(DeregisterAccount(ADA, OCR))
    refusal = await world.refused(Resubmit(ADA, operation.id, new_id()))
    assert isinstance(refusal, AccountNotFound)
