from __future__ import annotations

from datetime import datetime

import pytest
from grpc import StatusCode

from longshore.gateway.dataone.errors import HANDLERS
from longshore.gateway.faults import NotAcceptable
from tests.gateway.refusals import refusal, told


@pytest.mark.parametrize(
    "code, reason, status, error_type",
    [
        (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", 400, "request_syntax"),
        (StatusCode.INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE", 413, "request_size"),
        (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", 401, "authentication"),
        (StatusCode.PERMISSION_DENIED, "ROLE_MISSING", 403, "authorization"),
        (StatusCode.NOT_FOUND, "CONTRACT_NOT_FOUND", 404, "not_found"),
        (StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", 429, "too_many_requests"),
        (StatusCode.UNAVAILABLE, "MAINTENANCE", 503, "unavailable"),
        (StatusCode.INTERNAL, "INTERNAL", 500, "internal"),
    ],
)
async def test_what_a_server_says_is_passed_on(
    code: StatusCode, reason: str, status: int, error_type: str
) -> None:
    answer = await told(HANDLERS, refusal(code, reason))
    body = answer.json()
    assert datetime.fromisoformat(body.pop("timestamp")).tzinfo is not None
    assert body == {"result": "failed", "message": "10.0.0.7: why", "errorType": error_type}
    assert answer.status_code == status


@pytest.mark.parametrize(
    "code, status",
    [
        (StatusCode.UNAVAILABLE, 503),
        (StatusCode.DEADLINE_EXCEEDED, 504),
        (StatusCode.UNKNOWN, 500),
    ],
)
async def test_how_servers_are_reached_is_not_told(code: StatusCode, status: int) -> None:
    answer = await told(HANDLERS, refusal(code))
    assert answer.status_code == status
    assert answer.json()["message"] == "the service cannot answer at present"


async def test_who_is_told_to_wait_is_told_how_long() -> None:
    answer = await told(HANDLERS, refusal(StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", 0.2))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    answer = await told(HANDLERS, refusal(StatusCode.UNAVAILABLE))
    assert answer.headers["retry-after"] == "5"


async def test_a_surprise_tells_nothing_but_where_it_is_logged() -> None:
    answer = await told(HANDLERS, ZeroDivisionError("secret"))
    assert (answer.status_code, answer.json()["errorType"]) == (500, "internal")
    assert answer.json()["message"] == "something unforeseen, logged as r-1"


async def test_every_fault_has_a_type() -> None:
    answer = await told(HANDLERS, NotAcceptable("not so"))
    assert (answer.status_code, answer.json()["errorType"]) == (406, "content_type")
