from __future__ import annotations

import base64
import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.core.errors import InvalidPageToken
from longshore.core.fields import FieldType
from longshore.core.operations import Kind
from longshore.core.orders import Order, parse_order
from longshore.core.page_tokens import PageToken, list_question, question
from longshore.server.filters import parse_filter

ID = "0192f3a4-0000-7000-8000-00000000abcd"
ORDER = parse_order("name desc, priority", Kind.TASK)


def asked(
    tenant: str = "default",
    kind: Kind | None = Kind.TASK,
    filter_text: str = "state = QUEUED",
    order: Order = ORDER,
) -> str:
    return list_question(tenant, kind, parse_filter(filter_text, kind), order)


TOKEN = PageToken(asked(), ("bag", 3, ID), 17)


def forged(*content: Any) -> str:
    text = json.dumps(content)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_token_is_read_back_as_it_was_given() -> None:
    assert PageToken.decode(TOKEN.encode(), asked(), ORDER.types) == TOKEN


def test_a_token_is_safe_in_a_url() -> None:
    token = PageToken(asked(), ("\U0001f600 ???>>>", 3, ID), 17)
    assert set(token.encode()) <= {*string.ascii_letters, *string.digits, "-", "_"}
    assert PageToken.decode(token.encode(), asked(), ORDER.types) == token


def test_a_token_outlives_its_process() -> None:
    known = (
        "WzEsIjNveVJNM2pURWhUcFdwU3AiLDE3LCJiYWciLDMsIjAxOTJmM2E0LTAwMDAtNzAwMC"
        "04MDAwLTAwMDAwMDAwYWJjZCJd"
    )
    assert TOKEN.encode() == known


def test_the_wording_of_the_question_does_not_matter() -> None:
    assert asked(filter_text="(state:STATE_QUEUED)") == asked()


@pytest.mark.parametrize(
    "other",
    [
        asked(tenant="other"),
        asked(kind=Kind.JOB, order=parse_order("", Kind.JOB)),
        asked(kind=None),
        asked(filter_text="state = RUNNING"),
        asked(filter_text=""),
        asked(order=parse_order("name, priority", Kind.TASK)),
        question("default", "TASK"),
    ],
)
def test_a_token_of_another_question_is_refused(other: str) -> None:
    with pytest.raises(InvalidPageToken):
        PageToken.decode(TOKEN.encode(), other, ORDER.types)


def test_parts_of_a_question_do_not_run_together() -> None:
    assert question("a", "bc") != question("ab", "c")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "====",
        "é",
        TOKEN.encode()[:-1],
        TOKEN.encode() + "A",
        TOKEN.encode() + "=",
        TOKEN.encode().replace("W", "+", 1),
        " " + TOKEN.encode(),
        "A" * 20_000,
        base64.urlsafe_b64encode(b"[" * 9_000).decode(),
        forged(),
        forged(2, asked(), 17, "bag", 3, ID),
        forged(1, asked(), 17, "bag", 3),
        forged(1, asked(), 17, "bag", 3, ID, 1),
        forged(1, asked(), "17", "bag", 3, ID),
        forged(1, asked(), True, "bag", 3, ID),
        forged(1, asked(), 2**63, "bag", 3, ID),
        forged(1, asked(), 17, 1, 3, ID),
        forged(1, asked(), 17, None, 3, ID),
        forged(1, asked(), 17, "\ud800", 3, ID),
        forged(1, asked(), 17, "\0", 3, ID),
        forged(1, asked(), 17, "bag", "3", ID),
        forged(1, asked(), 17, "bag", 3.0, ID),
        forged(1, asked(), 17, "bag", float("nan"), ID),
        forged(1, asked(), 17, "bag", True, ID),
        forged(1, asked(), 17, "bag", -(2**63) - 1, ID),
        forged(1, asked(), 17, "bag", 3, "42"),
        forged(1, asked(), 17, "bag", 3, [ID]),
        forged({"question": asked()}),
    ],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidPageToken):
        PageToken.decode(text, asked(), ORDER.types)


@given(st.text() | st.text(string.ascii_letters + string.digits + "-_", max_size=80))
def test_any_other_text_is_refused_as_a_token(text: str) -> None:
    with pytest.raises(InvalidPageToken):
        PageToken.decode(text, asked(), ORDER.types)


@given(st.binary())
def test_any_bytes_are_refused_as_a_token(content: bytes) -> None:
    with pytest.raises(InvalidPageToken):
        PageToken.decode(base64.urlsafe_b64encode(content).decode(), asked(), (FieldType.INT,))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=256), st.data())
def test_every_position_survives_its_token(name: str, data: st.DataObject) -> None:
    number = data.draw(st.integers(-(2**63), 2**63 - 1))
    identifier = str(data.draw(st.uuids()))
    token = PageToken(asked(), (name, number, identifier), number)
    assert PageToken.decode(token.encode(), asked(), ORDER.types) == token
