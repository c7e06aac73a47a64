from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from longshore.access import tokens
from longshore.access.errors import InvalidPrincipals
from longshore.access.keeper import Keeper
from longshore.core.access import Access, Certificate, Identity
from longshore.core.errors import RateLimited, Unauthenticated
from longshore.core.principals import Principal, Role
from tests.tools.issuer import NOW, Signer, Time, key_server, key_set

HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
TOKEN, OTHER = tokens.new_token(), tokens.new_token()
API_KEY = tokens.new_api_key()
SIGNER = Signer()

PRINCIPALS = f"""
[[principals]]
name = "ada"
roles = ["submitter"]
password = "{HASHER.hash("swordfish")}"
certificates = ["CN=press,O=Longshore", "press.example.org"]
api_key = "{API_KEY.hash}"

[[principals.tokens]]
id = "{TOKEN.id}"
hash = "{TOKEN.hash}"
created = 2026-11-23T08:00:00Z
expires = {datetime.fromtimestamp(NOW + 600, UTC).isoformat()}

[[principals]]
name = "bob"
roles = ["viewer"]
"""

ISSUER = """
[[issuers]]
name = "corp"
issuer = "https://id.example.org"
audience = "longshore"
keys = "KEYS"
role_claim = "roles"
roles = { users = "submitter" }
"""

CERTIFICATE = Certificate("CN=press,O=Longshore", ())


def bearer(token: str) -> str:
    return f"Bearer {token}"


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def replace(file: Path, content: bytes) -> None:
    """Put another file in the place of one: times alone may be too coarse to tell them apart."""
    written = file.with_suffix(".new")
    written.write_bytes(content)
    written.replace(file)


class World:
    """A keeper that looks at its file only when it is told to."""

    def __init__(self, folder: Path, text: str = PRINCIPALS) -> None:
        self.file = folder / "principals.toml"
        self.file.write_text(text)
        self.time = Time()
        self.keeper = Keeper(
            self.file, poll_seconds=3_600, clock=self.time, monotonic=self.time
        )

    async def change(self, old: str, new: str) -> None:
        before = self.file.read_text()
        assert old in before
        await self.write(before.replace(old, new))

    async def write(self, text: str) -> None:
        replace(self.file, text.encode())
        await self.keeper.look()

    async def identify(self, presented: str | Certificate) -> Identity:
        return await self.keeper.identify(presented, "192.0.2.1")

    async def refused(self, presented: str | Certificate, address: str = "192.0.2.1") -> Any:
        """Show what is refused, and return what is logged of it."""
        with capture_logs() as logged, pytest.raises(Unauthenticated):
            await self.keeper.identify(presented, address)
        (entry,) = (one for one in logged if one.pop("event") == "authentication_failed")
        return entry


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "jwks.json").write_bytes(key_set(SIGNER))
    world = World(tmp_path, PRINCIPALS + ISSUER.replace("KEYS", "jwks.json"))
    async with world.keeper:
        yield world


ALL: dict[str, str | Certificate] = {
    "token": bearer(TOKEN.secret_text),
    "password": basic("ada", "swordfish"),
    "certificate": CERTIFICATE,
    "jwt": bearer(SIGNER.sign()),
}

every_credential = pytest.mark.parametrize("presented", ALL.values(), ids=ALL.keys())


def test_a_keeper_is_access(tmp_path: Path) -> None:
    access: Access = Keeper(tmp_path / "principals.toml")
    assert access.generation == 0


@every_credential
async def test_a_credential_is_checked_once_and_then_known(
    world: World, presented: str | Certificate
) -> None:
    assert world.keeper.known(presented) is None
    identity = await world.identify(presented)
    assert identity.principal.name in ("ada", "corp:ada")
    assert world.keeper.known(presented) == identity
    assert world.keeper.still(identity) == identity.principal


@every_credential
async def test_nothing_of_a_secret_is_in_the_name_of_a_credential(
    world: World, presented: str | Certificate
) -> None:
    named = (await world.identify(presented)).credential
    secret = tokens.parts(TOKEN.secret_text)
    assert secret is not None
    for text in ("swordfish", secret.secret, TOKEN.hash, SIGNER.sign()):
        assert text not in named


@pytest.mark.parametrize(
    "certificate",
    [
        CERTIFICATE,
        Certificate("CN=else", ("press.example.org",)),
        Certificate("", ("x", "press.example.org")),
        Certificate("no=subject=at all", ("press.example.org",)),
    ],
)
async def test_a_certificate_is_known_by_its_subject_or_a_name_of_it(
    world: World, certificate: Certificate
) -> None:
    assert (await world.identify(certificate)).principal.name == "ada"


@pytest.mark.parametrize(
    "presented, scheme, reason, principal",
    [
        ("", "none", "missing", None),
        ("Digest x", "other", "unknown_scheme", None),
        ("Bearer x", "bearer", "malformed", None),
        (bearer(OTHER.secret_text), "bearer", "unknown_token", None),
        (
            bearer(OTHER.secret_text.replace(OTHER.id, TOKEN.id)),
            "bearer",
            "wrong_secret",
            "ada",
        ),
        (basic("ada", "x"), "basic", "wrong_password", "ada"),
        (basic("bob", "x"), "basic", "unknown_principal", None),
        (basic("eve", "x"), "basic", "unknown_principal", None),
        (bearer(SIGNER.sign(iss="https://x")), "bearer", "unknown_issuer", None),
        (bearer(SIGNER.sign(aud="x")), "bearer", "unknown_issuer", None),
        (bearer(Signer("two").sign()), "bearer", "unknown_key", None),
        (bearer(SIGNER.sign(exp=1)), "bearer", "expired", None),
        (Certificate("CN=else", ("else",)), "certificate", "unknown_certificate", None),
        (Certificate("", ()), "certificate", "unknown_certificate", None),
    ],
    ids=count(),  # What is made anew with each run is no name of a test.
)
async def test_who_is_refused_is_logged_without_the_credential(
    world: World,
    presented: str | Certificate,
    scheme: str,
    reason: str,
    principal: str | None,
) -> None:
    logged = await world.refused(presented)
    expected = {"address": "192.0.2.1", "scheme": scheme, "reason": reason}
    if principal:
        expected["principal"] = principal
    assert logged == {**expected, "log_level": "warning"}


TEXT = st.text(alphabet=st.characters(exclude_categories=()))
HEADERS = st.one_of(
    TEXT,
    TEXT.map(lambda text: f"Bearer {text}"),
    TEXT.map(lambda text: f"Bearer lsk_{TOKEN.id}_{text}"),
    st.binary().map(lambda text: f"Basic {base64.b64encode(text).decode()}"),
    st.lists(st.binary(min_size=1), min_size=3, max_size=3).map(
        lambda parts: (
            "Bearer " + ".".join(base64.urlsafe_b64encode(one).decode() for one in parts)
        )
    ),
    st.integers(1, 9_000).map(lambda size: "Bearer " + size * "["),
)


@given(HEADERS | st.builds(Certificate, TEXT, st.lists(TEXT).map(tuple)))
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_whatever_a_stranger_shows_is_refused(
    world: World, presented: str | Certificate
) -> None:
    world.time.now += 60
    assert world.keeper.known(presented) is None
    with capture_logs(), pytest.raises((Unauthenticated, RateLimited)):
        await world.identify(presented)


async def test_who_guesses_too_fast_is_told_when_to_try_again(world: World) -> None:
    guesses = [
        asyncio.create_task(world.identify(basic("ada", f"guess {one}"))) for one in range(20)
    ]
    with capture_logs():
        ended, waiting = await asyncio.wait(guesses, return_when=asyncio.FIRST_COMPLETED)
        while len(waiting) > 7:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            ended |= done
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    refused = [end for one in ended if isinstance(end := one.exception(), RateLimited)]
    assert len(refused) == 10
    assert all(one.retry_after > 10 for one in refused)


@every_credential
async def test_what_is_known_is_never_delayed(
    world: World, presented: str | Certificate
) -> None:
    await world.identify(presented)
    guesses = [world.identify(basic("ada", f"guess {one}")) for one in range(20)]
    with capture_logs():
        asked = asyncio.gather(*guesses, return_exceptions=True)
        assert await world.identify(presented)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)


async def test_a_right_token_is_not_delayed_by_guesses(world: World) -> None:
    guesses = [world.identify(f"Bearer {one}") for one in range(20)]
    with capture_logs():
        asked = asyncio.gather(*guesses, return_exceptions=True)
        await asyncio.sleep(0)
        assert await world.identify(ALL["token"])
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    assert world.keeper.known(ALL["token"])


async def test_a_token_is_over_when_it_expires(world: World) -> None:
    identity = await world.identify(ALL["token"])
    assert identity.expires == NOW + 600
    world.time.now += 600
    assert world.keeper.known(ALL["token"]) is None
    assert world.keeper.still(identity) is None
    assert (await world.refused(ALL["token"]))["reason"] == "expired"


async def test_a_signed_token_is_over_when_it_expires(world: World) -> None:
    identity = await world.identify(ALL["jwt"])
    world.time.now += 629
    assert world.keeper.known(ALL["jwt"])
    world.time.now += 1
    assert world.keeper.known(ALL["jwt"]) is None
    assert world.keeper.still(identity) is None


@pytest.mark.parametrize(
    "kind, old, new",
    [
        ("token", TOKEN.id, OTHER.id),
        ("token", TOKEN.hash, OTHER.hash),
        ("token", datetime.fromtimestamp(NOW + 600, UTC).isoformat(), "2020-01-01T00:00:00Z"),
        ("token", 'name = "ada"', 'name = "eve"'),
        ("password", "password =", "stream ="),
        ("password", "$argon2id", HASHER.hash("x") + '" #'),
        ("certificate", "CN=press,O=Longshore", "CN=else"),
        ("jwt", 'name = "corp"', 'name = "others"'),
        ("jwt", 'users = "submitter"', 'users = "viewer"'),
        ("jwt", 'longshore"\nkeys', 'x"\nkeys'),
    ],
    ids=count(),  # What is made anew with each run is no name of a test.
)
async def test_what_is_revoked_is_forgotten(
    world: World, kind: str, old: str, new: str
) -> None:
    identity = await world.identify(ALL[kind])
    generation = world.keeper.generation
    if kind == "password" and new == "stream =":
        new = 'stream = "x" #'
    await world.change(old, new)
    assert world.keeper.generation == generation + 1
    assert world.keeper.known(ALL[kind]) is None
    assert world.keeper.still(identity) is None


@every_credential
async def test_other_changes_leave_a_credential_as_it_is(
    world: World, presented: str | Certificate
) -> None:
    identity = await world.identify(presented)
    await world.change('name = "bob"', 'name = "eve"')
    assert world.keeper.still(identity) == identity.principal
    assert await world.identify(presented) == identity


async def test_a_principal_is_what_the_file_says_now(world: World) -> None:
    identity = await world.identify(ALL["token"])
    await world.change('["submitter"]', '["viewer"]')
    principal = world.keeper.still(identity)
    assert principal is not None
    assert principal.roles == {Role.VIEWER}
    assert (await world.identify(ALL["token"])).principal == principal


async def test_a_file_that_says_the_same_changes_nothing(world: World) -> None:
    await world.identify(ALL["token"])
    generation = world.keeper.generation
    await world.write("# The same.\n" + world.file.read_text())
    assert world.keeper.generation == generation
    assert world.keeper.known(ALL["token"])


async def test_a_key_that_is_taken_from_a_file_signs_no_longer(world: World) -> None:
    identity = await world.identify(ALL["jwt"])
    replace(world.file.parent / "jwks.json", key_set(Signer("two")))
    await world.keeper.look()
    assert world.keeper.known(ALL["jwt"]) is None
    assert world.keeper.still(identity) is None
    assert (await world.refused(ALL["jwt"]))["reason"] == "unknown_key"
    assert await world.identify(bearer(Signer("two").sign()))


@pytest.mark.parametrize("file", ["principals.toml", "jwks.json"])
@pytest.mark.parametrize("broken", ["[[principals", None])
async def test_a_file_that_cannot_be_used_changes_nothing_and_is_complained_about_once(
    world: World, file: str, broken: str | None
) -> None:
    changed = world.file.parent / file
    good = changed.read_text()
    identity = await world.identify(ALL["jwt"])
    with capture_logs() as logged:
        changed.unlink() if broken is None else changed.write_text(broken)
        for _ in range(3):
            await world.keeper.look()
        assert world.keeper.known(ALL["jwt"]) == identity
        assert world.keeper.still(identity)
        changed.write_text(good)
        await world.keeper.look()
    assert [(one["event"], one["log_level"]) for one in logged] == [
        ("principals_unchanged", "error")
    ]
    assert file in logged[0]["problem"]
    await world.change('name = "ada"', 'name = "eve"')
    assert (await world.identify(ALL["token"])).principal.name == "eve"


async def test_a_file_of_keys_that_comes_later_is_found(world: World) -> None:
    with capture_logs() as logged:
        await world.change("jwks.json", "later.json")
        assert [one["event"] for one in logged] == ["principals_unchanged"]
        (world.file.parent / "later.json").write_bytes(key_set(Signer("two")))
        await world.keeper.look()
    assert await world.identify(bearer(Signer("two").sign()))


@pytest.mark.parametrize("text", ["[[principals", "", None])
async def test_a_server_does_not_start_with_a_file_that_cannot_be_used(
    tmp_path: Path, text: str | None
) -> None:
    world = World(tmp_path, ISSUER.replace("KEYS", "jwks.json"))
    if text == "":
        (tmp_path / "jwks.json").write_text(text)
    elif text:
        world.file.write_text(text)
    else:
        world.file.unlink()
    with pytest.raises(InvalidPrincipals):
        await world.keeper.__aenter__()


async def test_a_change_is_noticed_by_itself(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with Keeper(world.file, poll_seconds=0.01, clock=world.time) as keeper:
        identity = await keeper.identify(ALL["token"], "192.0.2.1")
        replace(world.file, PRINCIPALS.replace(TOKEN.id, OTHER.id).encode())
        async with asyncio.timeout(45):
            while keeper.known(ALL["token"]):
                await asyncio.sleep(0.01)
        assert keeper.still(identity) is None


async def test_what_is_revoked_while_it_is_checked_is_not_let_in(tmp_path: Path) -> None:
    with key_server(SIGNER) as server:
        server.answering.clear()
        world = World(tmp_path, ISSUER.replace("KEYS", server.url))
        async with world.keeper:
            checked = asyncio.create_task(world.refused(ALL["jwt"]))
            await asyncio.sleep(0)
            await world.change('users = "submitter"', 'users = "viewer"')
            server.answering.set()
            assert (await checked)["reason"] == "revoked"
            assert world.keeper.known(ALL["jwt"]) is None
            assert (await world.identify(ALL["jwt"])).principal.roles == {Role.VIEWER}


async def test_a_token_made_for_the_server_itself_is_in_no_file_and_stays(world: World) -> None:
    own = Principal("longshore.demo", frozenset({Role.WORKER}))
    token = world.keeper.with_token(own)
    identity = await world.identify(bearer(token))
    assert identity.principal == own
    await world.change('name = "bob"', 'name = "eve"')
    assert world.keeper.still(identity) == own
    assert await world.identify(bearer(token)) == identity
    assert "longshore.demo" not in world.file.read_text()


async def test_an_api_key_is_the_principals_own(world: World) -> None:
    ada = (await world.identify(ALL["token"])).principal
    assert world.keeper.matches_api_key(ada, API_KEY.secret_text) is True
    assert world.keeper.matches_api_key(ada, "x\ud800") is False
    assert world.keeper.matches_api_key(Principal("bob", frozenset()), "x") is None


async def test_of_too_many_that_are_known_the_oldest_is_forgotten(world: World) -> None:
    first, *others = (Certificate("CN=press,O=Longshore", (str(n),)) for n in range(10_001))
    await world.identify(first)
    for one in others[:-1]:
        await world.identify(one)
    assert world.keeper.known(first)
    await world.identify(others[-1])
    assert world.keeper.known(first) is None
    assert world.keeper.known(others[-1])


async def test_an_issuers_keys_come_from_its_server_and_go_with_it(tmp_path: Path) -> None:
    with key_server(SIGNER) as server:
        world = World(tmp_path, ISSUER.replace("KEYS", server.url))
        async with world.keeper:
            identity = await world.identify(ALL["jwt"])
            assert identity.principal.name == "corp:ada"
            server.show(Signer("two"))
            world.time.now += 10
            assert await world.identify(bearer(Signer("two").sign()))
            assert world.keeper.known(ALL["jwt"]) is None
            assert world.keeper.still(identity) is None
            await world.write(PRINCIPALS)
            assert (await world.refused(bearer(Signer("two").sign())))["reason"] == (
                "unknown_issuer"
            )


async def test_without_keys_nobody_is_let_in(tmp_path: Path) -> None:
    with key_server() as server:
        world = World(tmp_path, ISSUER.replace("KEYS", server.url))
        with capture_logs() as logged:
            async with world.keeper:
                with pytest.raises(Unauthenticated):
                    await world.identify(ALL["jwt"])
        reasons = [one["reason"] for one in logged if one["event"] == "authentication_failed"]
        assert reasons == ["keys_unavailable"]


async def test_passwords_shown_at_once_are_checked_once(world: World) -> None:
    asked = await asyncio.gather(*(world.identify(ALL["password"]) for _ in range(20)))
    assert all(one is asked[0] for one in asked)
