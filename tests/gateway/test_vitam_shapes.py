from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status as ErrorStatus
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from longshore.client.errors import call_error
from longshore.core.errors import InvalidFilter, LimitExceeded
from longshore.core.operations import Kind
from longshore.gateway.vitam.errors import NotMet, body_of, of_call, of_status
from longshore.gateway.vitam.paging import Listing, is_token, listing_at
from longshore.gateway.vitam.query import compiled, request_filter
from longshore.gateway.vitam.shapes import async_status, callback_uri, collection_list
from longshore.server.filters import parse_filter
from longshore.v1.operation_pb2 import Delivery, Metadata, State, Status
from longshore.v1.task_service_pb2 import Task

BASE = "https://work.example.org/vitam/v1"
ID = "01a2078d-833a-702f-a60e-f89f7d383b17"


def at(text: str) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(datetime.fromisoformat(text).astimezone(UTC))
    return stamp


def a_task(state: str, **status: Any) -> Task:
    return Task(
        metadata=Metadata(id=ID), status=Status(state=State.Value(f"STATE_{state}"), **status)
    )


def failure(code: StatusCode, reason: str, *causes: ErrorStatus, **facts: str) -> ErrorStatus:
    status = ErrorStatus(code=code.value[0], message=f"{reason} happened")
    status.details.add().Pack(ErrorInfo(reason=reason, metadata=facts))
    for cause in causes:
        status.details.add().Pack(cause)
    return status


TIMES = {
    "start_time": at("2014-01-10T03:06:17.396+00:00"),
    "end_time": at("2014-01-20T03:06:17.000+00:00"),
    "expire_time": at("2014-02-20T03:06:17.396+00:00"),
}


@pytest.mark.parametrize(
    "task, states",
    [
        (a_task("SUSPENDED"), ("pending", "pending")),
        (a_task("QUEUED"), ("pending", "commit")),
        (a_task("RUNNING"), ("running", "commit")),
        (a_task("RUNNING", cancel_requested=True), ("running", "cancel")),
        (a_task("SUCCEEDED", cancel_requested=True), ("done", "commit")),
        (a_task("FAILED", cancel_requested=True), ("failed", "commit")),
        (a_task("CANCELED", cancel_requested=True), ("canceled", "cancel")),
    ],
)
def test_a_state_has_its_words(task: Task, states: tuple[str, str]) -> None:
    shown = async_status(task, BASE)
    assert (shown["state"], shown["task_status"]) == states


def test_a_task_that_is_done_is_shown_as_in_the_sample() -> None:
    assert async_status(a_task("SUCCEEDED", **TIMES), BASE) == {
        "id": ID,
        "type": "ingest",
        "state": "done",
        "task_status": "commit",
        "start_date": "2014-01-10T03:06:17.396Z",
        "end_date": "2014-01-20T03:06:17.000Z",
        "expiration_date": "2014-02-20T03:06:17.396Z",
        "result_link": f"{BASE}/tasks/{ID}/result",
    }


def test_what_is_unset_is_left_out() -> None:
    shown = async_status(a_task("QUEUED", error=failure(StatusCode.INTERNAL, "X")), BASE)
    assert set(shown) == {"id", "type", "state", "task_status"}
    consumed = Delivery(retrieve_time=at("2014-01-21T00:00:00+00:00"))
    assert "result_link" not in async_status(a_task("SUCCEEDED", delivery=consumed), BASE)


def test_an_error_is_a_tree_of_five_members_each() -> None:
    unsupported = failure(
        StatusCode.INTERNAL, "ACTION_FAILED", http_code="415", description="of type yyy"
    )
    unknown = failure(StatusCode.INTERNAL, "ACTION_FAILED", http_code="four")
    lost = failure(StatusCode.UNAVAILABLE, "WORKER_LOST", unsupported, unknown)
    assert async_status(a_task("FAILED", error=lost), BASE)["error"] == {
        "http_code": 503,
        "code": "ingest",
        "state": "Worker_Lost",
        "message": "WORKER_LOST happened",
        "description": "WORKER_LOST happened",
        "errors": [
            {
                "http_code": 415,
                "code": "ingest",
                "state": "Unsupported_Media_Type",
                "message": "ACTION_FAILED happened",
                "description": "of type yyy",
            },
            {
                "http_code": 500,
                "code": "ingest",
                "state": "Internal_Server_Error",
                "message": "ACTION_FAILED happened",
                "description": "ACTION_FAILED happened",
            },
        ],
    }


@pytest.mark.parametrize(
    "code, state",
    [("418", "I_m_a_Teapot"), ("402", "Payment_Required"), ("599", "Internal_Server_Error")],
)
def test_work_may_choose_any_http_code(code: str, state: str) -> None:
    error = failure(StatusCode.INTERNAL, "ACTION_FAILED", http_code=code)
    shown = async_status(a_task("FAILED", error=error), BASE)["error"]
    assert (shown["http_code"], shown["state"]) == (int(code), state)


@pytest.mark.parametrize(
    "code, reason, http_code",
    [
        (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", 401),
        (StatusCode.PERMISSION_DENIED, "ROLE_MISSING", 401),
        (StatusCode.PERMISSION_DENIED, "TENANT_NOT_PERMITTED", 401),
        (StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND", 404),
        (StatusCode.NOT_FOUND, "ACTION_NOT_FOUND", 404),
        (StatusCode.NOT_FOUND, "RESULT_CONSUMED", 404),
        (StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED", 409),
        (StatusCode.FAILED_PRECONDITION, "WRONG_STATE", 409),
        (StatusCode.INVALID_ARGUMENT, "INVALID_FILTER", 412),
        (StatusCode.INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE", 412),
        (StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN", 404),
        (StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", 429),
        (StatusCode.UNAVAILABLE, "MAINTENANCE", 503),
        (StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN", 503),
        (StatusCode.DEADLINE_EXCEEDED, "", 503),
        (StatusCode.UNIMPLEMENTED, "", 501),
        (StatusCode.DATA_LOSS, "FILE_DAMAGED", 500),
        (StatusCode.INTERNAL, "INTERNAL", 500),
    ],
)
def test_a_refused_call_has_one_status(code: StatusCode, reason: str, http_code: int) -> None:
    problem = of_call(call_error(failure(code, reason, correlation_id="c-1")))
    assert (problem.http_code, problem.state) == (http_code, of_status(http_code).state)
    assert "c-1" in problem.description or reason == "ACTION_NOT_FOUND"
    assert set(body_of(problem)) == {"http_code", "code", "state", "message", "description"}


def test_a_callback_says_which_task_and_how_it_ended() -> None:
    done = a_task("SUCCEEDED")
    uri = "https://example.org/{id}/{status}?again={id}&other={other}"
    assert (
        callback_uri(uri, done) == f"https://example.org/{ID}/done?again={ID}&other={{other}}"
    )
    assert callback_uri("https://example.org", a_task("CANCELED")) == "https://example.org"


def test_the_last_part_of_a_list_has_no_next() -> None:
    told = collection_list(
        ["id1"], query="", total=1, offset=0, limit=100, time_out=False, following=None
    )
    assert told == {
        "hits": {"total": 1, "size": 1, "offset": 0, "limit": 100, "time_out": False},
        "context": {"query": ""},
        "results": ["id1"],
    }


@pytest.mark.parametrize(
    "query, filter",
    [
        ("", ""),
        ("  ", ""),
        (
            "name='abcdef*'&since>'2015-07-14'",
            'name = "abcdef*" AND create_time > "2015-07-14T00:00:00Z"',
        ),
        ("since='2015-07-14T17:07:14'", 'create_time = "2015-07-14T17:07:14Z"'),
        ("since='2015-07-14T17:07:14+02:00'", 'create_time = "2015-07-14T17:07:14+02:00"'),
        ("state!='pending'", "NOT (state = SUSPENDED OR state = QUEUED)"),
        ("state='nothing*'", "(number < 0)"),
        ("id!='x'", "NOT (number < 0)"),
        ("result_link='https://a/tasks/x/result'", "(number < 0)"),
        ("name='a*b'", '(name = "a*" AND name = "*b")'),
        (
            "name='aba*aba'",
            '(name = "aba*" AND name = "*aba" AND name != "ababa" AND name != "aba")',
        ),
        ("name='say \"a\\b\"'", 'name = "say \\"a\\\\b\\""'),
    ],
)
def test_a_query_becomes_a_filter(query: str, filter: str) -> None:  # noqa: A002 - what it is
    assert compiled(query) == filter
    parse_filter(filter, Kind.TASK)


fields = st.sampled_from(
    ["name", "since", "id", "type", "state", "task_status", "start_date", "error", "x"]
)
values = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            "*",
            "**",
            "a*",
            "a*b",
            "aba*ba",
            "done",
            "*ing",
            "2015-07-14",
            "2015-07-14T01:02:03",
            ID,
        ]
    ),
)
predicates = st.tuples(
    fields,
    st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "=="]),
    values.map(lambda value: f"'{value}'"),
).map("".join)


@given(st.one_of(st.lists(predicates, max_size=5).map("&".join), st.text()))
def test_whatever_is_asked_is_a_filter_or_refused(query: str) -> None:
    refused = ""
    try:
        parse_filter(compiled(query), Kind.TASK)
    except NotMet:
        return
    except (InvalidFilter, LimitExceeded) as error:
        refused = str(error)  # Of a value that its field cannot have.
    assert "expected AND" not in refused
    assert "unknown field" not in refused


@given(st.text().filter(lambda text: text.isprintable()))
def test_a_request_id_is_looked_for_as_it_is(request_id: str) -> None:
    parsed = parse_filter(request_filter(request_id), Kind.TASK)
    assert getattr(parsed, "value", request_id) == request_id


@given(
    st.builds(
        Listing,
        query=st.text(),
        order=st.sampled_from(["", "number", "name desc,number"]),
        limit=st.integers(1, 1_000),
        offset=st.integers(2**20, 2**40),
        skipped=st.integers(0, 2**20),
        page_token=st.text(),
    )
)
def test_a_token_stands_for_its_list(listing: Listing) -> None:
    token = listing.token
    assert is_token(token)
    assert token.isascii()
    assert "/" not in token
    assert listing_at(token) == listing
