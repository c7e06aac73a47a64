from __future__ import annotations

import base64
import contextlib
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.access import tokens
from longshore.access.credentials import NameAndPassword, SignedToken, parse, scheme
from longshore.access.errors import Refused
from longshore.core.access import Certificate

TOKEN = tokens.new_token()


def basic(text: bytes) -> str:
    return f"Basic {base64.b64encode(text).decode()}"


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER"])
def test_a_token_is_told_by_how_it_begins(word: str) -> None:
    assert parse(f"{word} {TOKEN.secret_text}") == tokens.parts(TOKEN.secret_text)


def test_what_else_has_three_parts_is_a_signed_token() -> None:
    assert parse("Bearer aa.bb.cc") == SignedToken("aa.bb.cc")


@pytest.mark.parametrize(
    "text, name, password",
    [
        (b"ada:swordfish", "ada", "swordfish"),
        (b"ada:sword:fish", "ada", "sword:fish"),
        (b"ada:", "ada", ""),
        (":ä".encode(), "", "ä"),
    ],
)
def test_a_name_ends_at_the_first_colon(text: bytes, name: str, password: str) -> None:
    assert parse(basic(text)) == NameAndPassword(name, password)


@pytest.mark.parametrize(
    "header, reason",
    [
        ("", "missing"),
        ("Bearer", "unknown_scheme"),
        ("Bearer ", "malformed"),
        (" ", "unknown_scheme"),
        (TOKEN.secret_text, "unknown_scheme"),
        (f"Token {TOKEN.secret_text}", "unknown_scheme"),
        (f"Bearer {TOKEN.secret_text}x", "malformed"),
        (f"Bearer {TOKEN.secret_text}, Bearer {TOKEN.secret_text}", "malformed"),
        ("Bearer a.b", "malformed"),
        ("Bearer a.b.c.d.e", "malformed"),
        ("Bearer a.b.", "malformed"),
        ("Bearer ä.b.c", "malformed"),
        ("Basic YWRh", "malformed"),
        ("Basic YWRhOng", "malformed"),
        ("Basic YWRhOn!g=", "malformed"),
        ("Basic ä", "malformed"),
        (basic(b"\xff:x"), "malformed"),
        ("Digest username=ada", "unknown_scheme"),
        ("Bearer " + 8 * 1024 * "a", "too_long"),
        ("\ud800 x", "unknown_scheme"),
    ],
    ids=count(),  # What is made anew with each run is no name of a test.
)
def test_what_is_no_credential_is_refused(header: str, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(header)
    assert refused.value.reason == reason


@given(
    st.sampled_from(["", "Bearer ", "Basic ", "bearer  ", "Bearer lsk_", "Basic YWRhOng="]),
    st.text(alphabet=st.characters(exclude_categories=())),
)
def test_any_header_is_a_credential_or_refused(beginning: str, rest: str) -> None:
    with contextlib.suppress(Refused):
        assert parse(beginning + rest)
    assert scheme(beginning + rest) in ("none", "bearer", "basic", "other")


def test_what_is_logged_of_a_header_is_nothing_that_a_stranger_wrote() -> None:
    assert scheme(TOKEN.secret_text) == "other"
    assert scheme("bEARER x") == "bearer"
    assert scheme(Certificate("CN=x", ())) == "certificate"
