"""Go-betweens: who asks for others is believed from where they call; nobody else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from longshore.server.go_betweens import is_near, plain
from longshore.server.limits import AccessLimits
from longshore.server.tls import Tls
from longshore.v1 import operation_pb2 as pb
from longshore.v1.operation_service_pb2 import GetHistoryRequest
from longshore.v1.server_service_pb2 import (
    SERVER_MODE_ACTIVE,
    GetCallerRequest,
    GetStatusRequest,
    SetModeRequest,
)
from tests.service.harness import World, guarded, publish, refused, serving, submission
from tests.tools.certificates import Authority
from tests.tools.principals import Principals

ACTIVE = SetModeRequest(mode=SERVER_MODE_ACTIVE)

HERE = "127.0.0.1"
THERE = "203.0.113.9"
ELSEWHERE = "2001:db8::1"

#: An address calls once, and not again while a test runs, however long it takes.
ONCE = AccessLimits(calls_per_address=0.001)

WRONG = f"Bearer lsk_{'a' * 10}_{'x' * 43}"


def says(address: str, proof: str = "") -> tuple[tuple[str, str], ...]:
    """Return what a go-between says of who calls."""
    named = ("x-caller-address", address)
    return (named, ("x-go-between", proof)) if proof else (named,)


@pytest.fixture
def principals(tmp_path: Path) -> Principals:
    found = Principals(tmp_path / "principals.toml")
    found.add("ada")
    found.add("gate", "viewer", go_between=True)
    found.add("plain", "admin")
    return found


@pytest.fixture
async def world(tmp_path: Path, principals: Principals) -> AsyncIterator[World]:
    async with guarded(tmp_path / "longshore.db", principals) as running:
        await publish(running.saying(*principals.says("ada")))
        yield running


@pytest.fixture
async def unforgetting(tmp_path: Path, principals: Principals) -> AsyncIterator[World]:
    """A server for which no time passes since somebody has failed."""
    store = tmp_path / "unforgetting.db"
    async with guarded(store, principals, monotonic=lambda: 0.0) as running:
        yield running


def proof(principals: Principals, name: str = "gate") -> str:
    return f"Bearer {principals.tokens[name]}"


async def origin(world: World) -> pb.Origin:
    """Submit a task and return who did so as its history has it."""
    task = await world.submit(submission())
    page = await world.operations.GetHistory(GetHistoryRequest(id=task.metadata.id))
    found: pb.Origin = page.events[0].origin
    return found


async def who(world: World) -> str:
    answer = await world.servers.GetCaller(GetCallerRequest())
    name: str = answer.principal
    return name


@pytest.mark.parametrize(
    "said, address",
    [
        (THERE, THERE),
        (ELSEWHERE, ELSEWHERE),
        ("2001:DB8:0::0:1", ELSEWHERE),
        (f"::ffff:{THERE}", THERE),
    ],
)
async def test_a_history_has_the_address_that_a_go_between_names(
    world: World, principals: Principals, said: str, address: str
) -> None:
    relayed = world.saying(*principals.says("ada"), *says(said, proof(principals)))
    assert (await origin(relayed)).address == address
    assert (await origin(relayed)).address == address


@pytest.mark.parametrize(
    "said",
    [
        says(THERE),
        says(THERE, WRONG),
        says(THERE, "nonsense"),
        says("", "{gate}"),
        says("localhost", "{gate}"),
        says("127.1", "{gate}"),
        says("203.0.113.9:80", "{gate}"),
        says("fe80::1%eth0", "{gate}"),
        says('fe80::1%"}{', "{gate}"),
        says(f"{THERE}, {THERE}", "{gate}"),
        says("1" * 4_000, "{gate}"),
        says(THERE, "{plain}"),
        says(THERE, "{ada}"),
        (*says(THERE, "{gate}"), *says(ELSEWHERE)),
        (*says(THERE, "{gate}"), ("x-go-between", "{gate}")),
        (*says(THERE, "{gate}"), ("x-go-between", WRONG)),
        (("x-go-between", "{gate}"),),
    ],
    ids=lambda said: repr(said)[:60],
)
async def test_who_is_not_believed_is_served_as_if_nothing_had_been_said(
    world: World, principals: Principals, said: tuple[tuple[str, str], ...]
) -> None:
    shown = {name: proof(principals, name) for name in principals.tokens}
    filled = [
        (name, shown.get(value.strip("{}"), value) if value.startswith("{") else value)
        for name, value in said
    ]
    with capture_logs() as logs:
        assert (await origin(world.saying(*principals.says("ada"), *filled))).address == HERE
    assert not any(token in repr(logs) for token in (*principals.tokens.values(), WRONG))


async def test_who_passes_calls_on_shows_nobodys_credential_but_its_own(
    world: World, principals: Principals
) -> None:
    error = await refused(world.saying(*says(THERE, proof(principals))).submit(submission()))
    assert error.code == StatusCode.UNAUTHENTICATED


async def test_the_audit_log_has_both_addresses(world: World, principals: Principals) -> None:
    with capture_logs() as logs:
        ada = world.saying(*principals.says("ada"), *says(THERE, proof(principals)))
        await ada.servers.SetMode(ACTIVE)
        stranger = world.saying(*says(THERE, proof(principals)))
        await refused(stranger.servers.GetCaller(GetCallerRequest()))
        await world.saying(*principals.says("ada")).servers.SetMode(ACTIVE)
    told: list[Any] = [entry for entry in logs if entry["event"] in ("done", "denied")]
    assert [(one["event"], one["address"], one.get("through")) for one in told] == [
        ("done", THERE, HERE),
        ("denied", THERE, HERE),
        ("done", HERE, None),
    ]
    assert principals.tokens["gate"] not in repr(logs)


async def test_a_go_between_is_forgotten_when_its_token_or_its_right_is_taken(
    world: World, principals: Principals
) -> None:
    relayed = world.saying(*principals.says("ada"), *says(THERE, proof(principals)))
    assert (await origin(relayed)).address == THERE
    principals.change("gate", go_between=False)
    async with asyncio.timeout(20):
        while (await origin(relayed)).address == THERE:
            await asyncio.sleep(0.02)
    principals.change("gate", go_between=True)
    async with asyncio.timeout(20):
        while (await origin(relayed)).address == HERE:
            await asyncio.sleep(0.02)
    principals.renew("gate")
    async with asyncio.timeout(20):
        while (await origin(relayed)).address == THERE:
            await asyncio.sleep(0.02)


async def guess(world: World) -> str:
    """Show a wrong token; return the reason of the refusal."""
    guesser = world.saying(("authorization", WRONG))
    error = await refused(guesser.servers.GetCaller(GetCallerRequest()))
    return str(error.reason)


async def test_who_guesses_through_a_go_between_keeps_nobody_waiting_but_himself(
    unforgetting: World, principals: Principals
) -> None:
    world = unforgetting
    guesser = world.saying(*says(THERE, proof(principals)))
    other = world.saying(*says(ELSEWHERE, proof(principals)))
    guesses = [asyncio.create_task(guess(guesser)) for _ in range(14)]
    reasons = set[str]()
    for first in asyncio.as_completed(guesses):
        reasons.add(await first)
        if reasons == {"UNAUTHENTICATED", "RATE_LIMITED"}:
            break
    assert not all(one.done() for one in guesses)
    assert await who(other.saying(*principals.says("ada"))) == "ada"
    assert await guess(other) == "UNAUTHENTICATED"
    assert await guess(world) == "UNAUTHENTICATED"
    assert not all(one.done() for one in guesses)
    for one in guesses:
        one.cancel()


async def test_who_guesses_proofs_waits_as_who_guesses_credentials(
    unforgetting: World, principals: Principals
) -> None:
    world = unforgetting
    ada = world.saying(*principals.says("ada"))
    assert await who(ada) == "ada"
    proofs = [f"{WRONG[:-3]}{number:03}" for number in range(14)]
    with capture_logs() as logs:
        calls = [asyncio.create_task(who(ada.saying(*says(THERE, one)))) for one in proofs]
        done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 4:  # Those that wait for no turn, and those that would for too long.
            done, waiting = await asyncio.wait(calls, timeout=0.01)
        assert waiting
        assert await guess(world) == "RATE_LIMITED"
        assert await who(ada) == "ada"
        believed = ada.saying(*says(THERE, proof(principals)))
        assert await who(believed) == "ada"
        for one in waiting:
            one.cancel()
    failed = [entry for entry in logs if entry["event"] == "authentication_failed"]
    assert {entry["address"] for entry in failed} == {HERE}
    assert not [one for one in proofs if one in repr(logs)]


async def test_a_proof_that_was_wrong_keeps_nobody_waiting_again(
    world: World, principals: Principals
) -> None:
    was = proof(principals)
    relayed = world.saying(*principals.says("ada"), *says(THERE, was))
    assert (await origin(relayed)).address == THERE
    principals.renew("gate")
    async with asyncio.timeout(20):
        while (await origin(relayed)).address == THERE:
            await asyncio.sleep(0.02)
    with capture_logs() as logs:
        for _ in range(20):
            assert await who(relayed) == "ada"
    assert not [entry for entry in logs if entry["event"] == "authentication_failed"]
    assert was not in repr(logs)
    again = world.saying(*principals.says("ada"), *says(THERE, proof(principals)))
    assert (await origin(again)).address == THERE


async def test_rates_of_addresses_are_those_of_who_calls(
    tmp_path: Path, principals: Principals
) -> None:
    async with guarded(tmp_path / "longshore.db", principals, limits=ONCE) as world:
        relayed = [
            world.saying(*principals.says("ada"), *says(address, proof(principals)))
            for address in (THERE, ELSEWHERE, "198.51.100.1", "198.51.100.2")
        ]
        for one in relayed:
            assert await who(one) == "ada"
        error = await refused(relayed[0].servers.GetStatus(GetStatusRequest()))
        assert error.reason == "RATE_LIMITED"
        assert await who(world.saying(*principals.says("ada"))) == "ada"


async def test_all_addresses_of_a_network_of_version_6_have_one_rate(
    tmp_path: Path, principals: Principals
) -> None:
    async with guarded(tmp_path / "longshore.db", principals, limits=ONCE) as world:

        def calling(address: str) -> World:
            return world.saying(*principals.says("ada"), *says(address, proof(principals)))

        assert await who(calling("2001:db8::1")) == "ada"
        error = await refused(who(calling("2001:db8::2")))
        assert error.reason == "RATE_LIMITED"
        assert await who(calling("2001:db8:0:1::1")) == "ada"


async def test_what_is_open_to_strangers_counts_for_who_calls_too(
    tmp_path: Path, principals: Principals
) -> None:
    async with guarded(tmp_path / "longshore.db", principals, limits=ONCE) as world:
        for address in (THERE, ELSEWHERE):
            said = world.saying(*says(address, proof(principals)))
            health: Any = health_pb2_grpc.HealthStub(said.channel)
            await health.Check(health_pb2.HealthCheckRequest())
            error = await refused(health.Check(health_pb2.HealthCheckRequest()))
            assert error.reason == "RATE_LIMITED"


async def test_where_everybody_may_call_this_machine_is_believed(tmp_path: Path) -> None:
    async with serving(tmp_path / "longshore.db") as world:
        await publish(world)
        assert (await origin(world.saying(*says(THERE)))).address == THERE
        assert (await origin(world.saying(*says("nobody")))).address == HERE
        assert (await origin(world)).address == HERE


@pytest.mark.parametrize(
    "address, near",
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("unix", True),
        ("203.0.113.9", False),
        ("::", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_a_peer_of_this_machine_is_told_from_others(address: str, near: bool) -> None:
    assert is_near(address) is near


def test_no_more_is_made_of_an_address_than_one_has() -> None:
    assert plain("0" * 46) is None
    assert plain("0000:0000:0000:0000:0000:ffff:203.0.113.9") == THERE


async def test_no_call_that_is_passed_on_is_taken_for_that_of_the_connections_certificate(
    tmp_path: Path, principals: Principals
) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("gate.example.org")
    principals.change("gate", certificates=["gate.example.org"])
    tls = Tls(*authority.issue("localhost"), authority.ca)
    shown = grpc.ssl_channel_credentials(
        authority.ca.read_bytes(), pair.key.read_bytes(), pair.certificate.read_bytes()
    )
    async with guarded(tmp_path / "longshore.db", principals, tls=tls) as served:
        address = f"localhost:{served.server.address.rpartition(':')[2]}"
        async with grpc.aio.secure_channel(address, shown) as connection:
            world = served.over(connection)
            assert await who(world) == "gate"
            for said in (says(THERE), says(""), says(THERE, proof(principals))):
                error = await refused(who(world.saying(*said)))
                assert error.code == StatusCode.UNAUTHENTICATED
                assert await who(world.saying(*principals.says("ada"), *said)) == "ada"
