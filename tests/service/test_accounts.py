"""Accounts: registered with services, each principal's own, named by tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from longshore.v1 import catalog_service_pb2 as pb
from longshore.v1.catalog_service_pb2 import Service, ServiceAction
from tests.service.harness import World, call, publish, refused, serving, submission


async def register(world: World, service: str, username: str, **metadata: str) -> pb.Account:
    response = await world.catalog.RegisterAccount(
        pb.RegisterAccountRequest(service=service, username=username),
        metadata=tuple(metadata.items()),
    )
    account: pb.Account = response.account
    return account


async def deregister(world: World, service: str, username: str) -> None:
    request = pb.DeregisterAccountRequest(service=service, username=username)
    await world.catalog.DeregisterAccount(request)


async def accounts(world: World, **fields: Any) -> tuple[list[tuple[str, str]], str]:
    response = await world.catalog.ListAccounts(pb.ListAccountsRequest(**fields))
    found = [(one.service, one.username) for one in response.accounts]
    return found, response.next_page_token


SERVICES = tuple(
    Service(slug=slug, actions=[ServiceAction(slug=f"{slug}-work")]) for slug in ("b", "a")
)


async def test_an_account_is_registered_once_and_listed(world: World) -> None:
    await publish(world)
    before = world.engine.clock.now()
    account = await register(world, "archive", "ada")
    assert (account.service, account.username) == ("archive", "ada")
    created = account.create_time.ToMilliseconds()
    assert before <= created <= world.engine.clock.now()
    response = await world.catalog.ListAccounts(pb.ListAccountsRequest())
    assert list(response.accounts) == [account]
    refusal = await refused(register(world, "archive", "ada"))
    assert (refusal.code, refusal.reason) == (StatusCode.ALREADY_EXISTS, "ACCOUNT_EXISTS")
    assert (refusal.metadata["service"], refusal.metadata["username"]) == ("archive", "ada")


async def test_an_account_with_an_unknown_service_is_not_found(world: World) -> None:
    refusal = await refused(register(world, "archive", "ada"))
    assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")
    assert refusal.fields == {"service": "UNKNOWN"}


@pytest.mark.parametrize(
    "service, username, fields",
    [
        ("", "", {"service": "MISSING", "username": "MISSING"}),
        ("archive", "", {"username": "MISSING"}),
        ("archive", "a\x00b", {"username": "INVALID"}),
    ],
)
async def test_a_wrong_account_is_refused(
    world: World, service: str, username: str, fields: dict[str, str]
) -> None:
    await publish(world)
    refusal = await refused(register(world, service, username))
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert refusal.fields == fields


async def test_a_username_has_at_most_256_characters(world: World) -> None:
    await publish(world)
    assert await register(world, "archive", "ü" * 256)
    refusal = await refused(register(world, "archive", "x" * 257))
    assert (refusal.reason, refusal.fields) == ("LIMIT_EXCEEDED", {"username": "INVALID"})


async def test_a_deregistered_account_is_gone(world: World) -> None:
    await publish(world)
    await register(world, "archive", "ada")
    await deregister(world, "archive", "ada")
    assert await accounts(world) == ([], "")
    refusal = await refused(deregister(world, "archive", "ada"))
    assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
    assert refusal.fields == {"username": "UNKNOWN"}
    assert await register(world, "archive", "ada")


async def test_accounts_are_listed_by_service_and_username_page_by_page(world: World) -> None:
    await publish(world, SERVICES)
    for service, username in (("b", "ada"), ("a", "zoe"), ("a", "ada"), ("b", "Zoe")):
        await register(world, service, username)
    page, token = await accounts(world, page_size=3)
    assert page == [("a", "ada"), ("a", "zoe"), ("b", "Zoe")]
    assert await accounts(world, page_size=3, page_token=token) == ([("b", "ada")], "")


async def test_wrong_pages_are_refused(world: World) -> None:
    refusal = await refused(accounts(world, page_size=1_001))
    assert (refusal.reason, refusal.fields) == ("LIMIT_EXCEEDED", {"page_size": "INVALID"})
    refusal = await refused(accounts(world, page_token="x"))
    assert (refusal.reason, refusal.fields) == ("INVALID_PAGE_TOKEN", {"page_token": "INVALID"})


async def test_tenants_have_accounts_of_their_own(world: World) -> None:
    await publish(world)
    refusal = await refused(register(world, "archive", "ada", **{"x-tenant-id": "acme"}))
    assert refusal.reason == "SERVICE_NOT_FOUND"
    await register(world, "archive", "ada")
    listed = await world.catalog.ListAccounts(
        pb.ListAccountsRequest(), metadata=(("x-tenant-id", "acme"),)
    )
    assert not listed.accounts


async def test_a_task_names_an_account_that_is_registered(world: World) -> None:
    await publish(world)
    wanted = submission(call("digest", {"path": "a"}), service="archive", account="ada")
    refusal = await refused(world.submit(wanted))
    assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
    assert refusal.fields == {"spec.account": "UNKNOWN"}
    await register(world, "archive", "ada")
    task = await world.submit(wanted)
    await deregister(world, "archive", "ada")
    assert (await world.get(task.metadata.id)).spec.account == "ada"


async def test_accounts_survive_a_restart(tmp_path: Path) -> None:
    store = tmp_path / "longshore.db"
    async with serving(store) as world:
        await publish(world)
        await register(world, "archive", "ada")
    async with serving(store) as world:
        assert await accounts(world) == ([("archive", "ada")], "")
        assert (await refused(register(world, "archive", "ada"))).reason == "ACCOUNT_EXISTS"
