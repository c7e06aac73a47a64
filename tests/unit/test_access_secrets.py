from __future__ import annotations

import asyncio
import string
import threading
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from longshore.access import passwords, tokens

KEPT = passwords.hashed("swordfish")


@pytest.fixture
def checks() -> Iterator[passwords.PasswordChecks]:
    checks = passwords.PasswordChecks()
    yield checks
    checks.close()


def test_a_token_has_a_public_id_and_a_secret_part() -> None:
    token = tokens.new_token()
    found = tokens.parts(token.secret_text)
    assert found is not None
    assert token.secret_text == f"lsk_{token.id}_{found.secret}"
    assert (len(found.id), len(found.secret)) == (10, 43)
    assert set(found.id) <= set(string.ascii_lowercase + "234567")


def test_no_two_tokens_are_alike() -> None:
    made = [tokens.new_token() for _ in range(100)]
    assert all(len({one[part] for one in made}) == 100 for part in range(3))


def test_the_hash_of_a_token_fits_its_secret_only() -> None:
    token, other = tokens.new_token(), tokens.new_token()
    found, strange = tokens.parts(token.secret_text), tokens.parts(other.secret_text)
    assert found is not None
    assert strange is not None
    assert tokens.matches(found.secret, token.hash)
    assert not tokens.matches(strange.secret, token.hash)


def test_a_secret_never_has_the_same_hash_twice() -> None:
    assert tokens.hashed("x") != tokens.hashed("x")
    assert "swordfish" not in tokens.hashed("swordfish")


def test_an_api_key_fits_its_hash() -> None:
    made = tokens.new_api_key()
    assert tokens.matches(made.secret_text, made.hash)
    assert not tokens.matches("", made.hash)


@given(st.text(alphabet=st.characters(exclude_categories=())))
@example("\ud800")
def test_any_text_can_be_compared(text: str) -> None:
    assert not tokens.matches(text, tokens.new_api_key().hash)
    assert tokens.matches(text, tokens.hashed(text))


@given(st.text(alphabet="lsk_abc234-é\n"))
@example("lsk_aaaaaaaaaa_" + 44 * "a")
@example("lsk_aaaaaaaaaa_" + 43 * "a" + "\n")
def test_what_is_no_token_has_no_parts(text: str) -> None:
    assert tokens.parts(text) is None


def test_what_is_no_hash_is_compared_with_nothing() -> None:
    assert not tokens.is_hash("swordfish")
    with pytest.raises(ValueError, match="no hash"):
        tokens.matches("swordfish", "swordfish")


async def test_a_password_fits_its_hash_only(checks: passwords.PasswordChecks) -> None:
    assert await checks.matches("swordfish", KEPT)
    assert not await checks.matches("swordfisH", KEPT)
    assert not await checks.matches("\ud800", KEPT)


async def test_nobody_has_a_password(checks: passwords.PasswordChecks) -> None:
    assert not await checks.matches("swordfish", None)
    assert not await checks.matches("", None)


def test_checking_for_nobody_costs_what_checking_for_somebody_does() -> None:
    somebody, nobody = KEPT.split("$"), passwords.NOBODY.split("$")
    assert somebody[:4] == nobody[:4]
    assert [len(one) for one in somebody] == [len(one) for one in nobody]


@pytest.mark.parametrize(
    "text",
    ["", "swordfish", "$argon2id$", KEPT.replace("2id", "2i"), "é"],
    ids=count(),  # What is made anew with each run is no name of a test.
)
def test_only_argon2id_hashes_are_kept(text: str) -> None:
    assert not passwords.is_hash(text)
    assert passwords.is_hash(KEPT)


async def test_who_does_not_wait_for_the_answer_does_not_get_more_checks_at_once(
    checks: passwords.PasswordChecks,
) -> None:
    before = set(threading.enumerate())
    asked = [asyncio.create_task(checks.matches("x", KEPT)) for _ in range(20)]
    await asyncio.sleep(0)
    for one in asked:
        one.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert len(set(threading.enumerate()) - before) <= 2
    assert await checks.matches("swordfish", KEPT)
