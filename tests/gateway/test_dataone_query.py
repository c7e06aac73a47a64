from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from longshore.gateway.dataone.query import ListQuery


def query(**sent: str) -> ListQuery:
    return ListQuery.model_validate(sent, by_name=False)


@pytest.mark.parametrize(
    "sent, filter_",
    [
        ({}, ""),
        ({"maxItems": "5", "sort": "-queue", "cursor": "abc"}, ""),
        ({"id": "7"}, 'number = "7"'),
        ({"id": "-1"}, 'number = "-1"'),
        ({"id": "+7"}, 'number = "7"'),
        ({"status": "SUBMITTED"}, "state = QUEUED"),
        ({"status": "SUSPENDED"}, "state = SUSPENDED"),
        ({"status": "RUNNING"}, "state = RUNNING"),
        ({"status": "ERROR"}, "state = FAILED"),
        ({"status": "ABORTED"}, "state = CANCELED"),
        ({"status": "COMPLETED"}, "state = SUCCEEDED"),
        ({"queue": 'a "b" \\ *'}, r'queue = "a \"b\" \\ \*"'),
        ({"contract": "a", "actor": ""}, 'contract = "a" AND NOT actor:*'),
        ({"workflowTemplateId": "9223372036854775807"}, 'template_id = "9223372036854775807"'),
        ({"workflowTemplateRevision": "0"}, 'template_revision = "0"'),
        ({"workflowTemplateName": "a"}, 'template_name = "a"'),
        ({"extIPID": "a"}, 'external_id = "a"'),
        ({"submittedBy": "a"}, 'submitter = "a"'),
        ({"lcid": "a"}, 'lcid = "a"'),
        ({"contractAction": "a"}, 'action = "a"'),
        ({"contractType": "a"}, 'contract_type = "a"'),
        ({"contractActionTrigger": "a"}, 'trigger = "a"'),
        (
            {"dfiid": "89678f60-4cdc-4fe3-ae83-e8b3ebd35c59"},
            'dfiid = "89678f60-4cdc-4fe3-ae83-e8b3ebd35c59"',
        ),
        ({"dfiid": "89678F60-4cdc-4fe3-ae83-e8b3ebd35c59"}, 'number < "0"'),
        ({"dfiid": "anything"}, 'number < "0"'),
        ({"dfiid": ""}, 'number < "0"'),
        ({"dfiid": "89678f604cdc4fe3ae83e8b3ebd35c59"}, 'number < "0"'),
    ],
)
def test_filters_are_compiled(sent: dict[str, str], filter_: str) -> None:
    assert query(**sent).filter == filter_


@pytest.mark.parametrize(
    "name, text, filter_",
    [
        ("createdAtFrom", "2024-03-26T13:30:30+01:00", "create_time >= 12:30:30.000"),
        ("createdAtFrom", "2024-03-26T13:30:30 01:00", "create_time >= 12:30:30.000"),
        ("createdAtFrom", "2024-03-26T11:30:30-01:00", "create_time >= 12:30:30.000"),
        ("createdAtTo", "2024-03-26T12:30:30Z", "create_time <= 12:30:30.000"),
        ("createdAtTo", "2024-03-26t12:30:30z", "create_time <= 12:30:30.000"),
        ("createdAtTo", "2024-03-26T12:30:30.1239Z", "create_time <= 12:30:30.123"),
        ("createdAtFrom", "2024-03-26T12:30:30.1231Z", "create_time >= 12:30:30.124"),
        ("updatedAtFrom", "20240326T133030 0100", "update_time >= 12:30:30.000"),
        ("updatedAtTo", "2024-03-26T12:30:30.999999Z", "update_time <= 12:30:30.999"),
        ("updatedAtFrom", "2024-03-26T12:30:29.999999Z", "update_time >= 12:30:30.000"),
    ],
)
def test_bounds_are_inclusive_and_take_any_offset(name: str, text: str, filter_: str) -> None:
    field, operator, time = filter_.split(" ")
    wanted = f'{field} {operator} "2024-03-26T{time}+00:00"'
    assert query(**{name: text}).filter == wanted


@pytest.mark.parametrize(
    "name, text, filter_",
    [
        ("createdAtTo", "9999-12-31T23:59:59Z", "<= 9999-12-31T23:59:59.000"),
        ("createdAtTo", "9999-12-31T23:59:59.9999Z", "<= 9999-12-31T23:59:59.999"),
        ("createdAtTo", "9999-12-31T23:59:59-14:00", "<= 9999-12-31T23:59:59.999"),
        ("createdAtFrom", "9999-12-31T23:59:59.9999Z", ">= 9999-12-31T23:59:59.999"),
        ("createdAtFrom", "9999-12-31T23:59:59-14:00", ">= 9999-12-31T23:59:59.999"),
        ("createdAtFrom", "0001-01-01T00:00:00+14:00", ">= 0001-01-01T00:00:00.000"),
        ("createdAtTo", "0001-01-01T00:00:00 14:00", "<= 0001-01-01T00:00:00.000"),
    ],
)
def test_bounds_beyond_all_time_are_the_first_or_the_last_moment(
    name: str, text: str, filter_: str
) -> None:
    operator, time = filter_.split(" ")
    assert query(**{name: text}).filter == f'create_time {operator} "{time}+00:00"'


@pytest.mark.parametrize(
    "sort, order_by",
    [
        ("+id", "number"),
        (" id", "number"),
        ("id", "number"),
        ("-id", "number desc"),
        ("+status", "state desc, number"),
        ("-status", "state, number desc"),
        ("-queue", "queue desc, number desc"),
        ("+contract", "contract, number"),
        ("workflowTemplateId", "template_id, number"),
        ("-workflowTemplateName", "template_name desc, number desc"),
        ("+workflowTemplateRevision", "template_revision, number"),
        ("+submittedBy", "submitter, number"),
        ("-createdAt", "create_time desc, number desc"),
        ("+updatedAt", "update_time, number"),
    ],
)
def test_sorts_are_compiled(sort: str, order_by: str) -> None:
    assert query(sort=sort).order_by == order_by


def test_the_newest_come_first() -> None:
    assert query().order_by == "number desc"
    assert query().max_items == 100


@pytest.mark.parametrize(
    "name, text",
    [
        ("maxItems", "1001"),
        ("maxItems", "0"),
        ("maxItems", "-1"),
        ("maxItems", "ten"),
        ("maxItems", ""),
        ("maxItems", "1.0"),
        ("maxItems", "1_0"),
        ("maxItems", "١"),
        ("id", "x"),
        ("id", ""),
        ("id", "9223372036854775808"),
        ("id", "9" * 5_000),
        ("workflowTemplateId", "1e3"),
        ("workflowTemplateRevision", "0x1"),
        ("status", "running"),
        ("status", ""),
        ("sort", ""),
        ("sort", "+"),
        ("sort", "++id"),
        ("sort", "dfiid"),
        ("sort", "id,status"),
        ("sort", "ID"),
        ("createdAtFrom", "2024-03-26T13:30:30"),
        ("createdAtFrom", "2024-03-26"),
        ("createdAtTo", "1711456230"),
        ("createdAtTo", ""),
        ("updatedAtFrom", "2024-02-30T00:00:00Z"),
        ("updatedAtTo", "0000-01-01T00:00:00Z"),
        ("updatedAtTo", "10000-01-01T00:00:00Z"),
    ],
)
def test_what_cannot_be_is_refused(name: str, text: str) -> None:
    sent: Any = {name: text}
    with pytest.raises(ValidationError) as refused:
        query(**sent)
    assert refused.value.errors()[0]["loc"][0] == name
