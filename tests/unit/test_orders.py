from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.core.errors import InvalidFields, LimitExceeded
from longshore.core.fields import FIELDS, FieldType
from longshore.core.operations import Kind
from longshore.core.orders import NEWEST_FIRST, ORDER_BYTES, Boundary, parse_order


@pytest.mark.parametrize(
    "text, same",
    [
        ("", "number desc"),
        ("  ", "number desc"),
        ("number", "number"),
        ("number desc", "number desc"),
        ("name", "name,id"),
        ("create_time desc", "create_time desc,id"),
        (" state ,\tname   desc ", "state,name desc,id"),
        ("priority desc, number, name", "priority desc,number"),
    ],
)
def test_an_order_is_total_and_written_in_one_way(text: str, same: str) -> None:
    assert parse_order(text, Kind.TASK).text == same


def test_lists_are_newest_first_unless_asked_otherwise() -> None:
    assert parse_order("", None) == NEWEST_FIRST


@pytest.mark.parametrize(
    "text, said",
    [
        ("colour", "cannot order by 'colour', only by account, create_time, name"),
        ("id", "cannot order by 'id'"),
        ("end_time", "cannot order by 'end_time'"),
        ("labels.team", "cannot order by 'labels.team'"),
        ("contract", "cannot order by 'contract'"),
        ("name asc", 'only " desc" may follow a field'),
        ("name DESC", 'only " desc" may follow a field'),
        ("name desc desc", 'only " desc" may follow a field'),
        ("name,", "cannot order by ''"),
        (",", "cannot order by ''"),
        ("name, name desc", "'name' appears twice"),
    ],
)
def test_a_malformed_order_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidFields) as refused:
        parse_order(text, Kind.TASK)
    (violation,) = refused.value.violations
    assert (violation.field, violation.reason) == ("order_by", "INVALID")
    assert said in violation.description


def test_an_order_has_a_limited_length() -> None:
    assert parse_order(" " * ORDER_BYTES, None) == NEWEST_FIRST
    with pytest.raises(LimitExceeded):
        parse_order(" " * (ORDER_BYTES + 1), None)


@pytest.mark.parametrize(
    "kind, sortable",
    [
        (None, ""),
        (Kind.TASK, "name service account"),
        (Kind.JOB, "contract template_id template_name template_revision"),
        (Kind.LAUNCH, "service"),
    ],
)
def test_each_kind_is_ordered_by_its_own_fields_too(kind: Kind | None, sortable: str) -> None:
    common = {"number", "submitter", "create_time", "state", "queue", "priority", "update_time"}
    for name in FIELDS[kind]:
        if name in common | set(sortable.split()):
            assert parse_order(f"{name} desc", kind).text.startswith(f"{name} desc")
        else:
            with pytest.raises(InvalidFields):
                parse_order(name, kind)


def test_a_page_begins_after_the_values_of_its_order() -> None:
    order = parse_order("priority desc, name", Kind.TASK)
    assert order.types == (FieldType.INT, FieldType.TEXT, FieldType.ID)
    assert order.after((3, "bag", "0192")) == (
        Boundary("priority", descending=True, value=3),
        Boundary("name", descending=False, value="bag"),
        Boundary("id", descending=False, value="0192"),
    )


@given(st.text() | st.text("name desc,stateid\t "))
def test_any_text_is_an_order_or_refused_as_one(text: str) -> None:
    try:
        order = parse_order(text, Kind.TASK)
    except (InvalidFields, LimitExceeded):
        return
    assert order.keys[-1].field in {"id", "number"}
    assert parse_order(order.text.removesuffix(",id"), Kind.TASK) == order
