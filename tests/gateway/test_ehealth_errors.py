from __future__ import annotations

import pytest
from grpc import StatusCode

from longshore.gateway.ehealth.errors import Errors
from longshore.gateway.links import Links
from longshore.gateway.settings import GatewaySettings
from tests.gateway.refusals import refusal, told

HANDLERS = Errors(Links(GatewaySettings())).handlers


@pytest.mark.parametrize(
    "code, status, error_type, message",
    [
        (StatusCode.INVALID_ARGUMENT, 400, "request_malformed", "Invalid request format"),
        (StatusCode.UNAUTHENTICATED, 401, "access_denied", "Invalid access token"),
        (StatusCode.PERMISSION_DENIED, 403, "forbidden", "Access denied"),
        (StatusCode.NOT_FOUND, 404, "not_found", "Task not found"),
        (StatusCode.RESOURCE_EXHAUSTED, 429, "too_many_requests", "Too many requests"),
        (StatusCode.INTERNAL, 500, "internal_error", "Internal server error"),
        (
            StatusCode.UNAVAILABLE,
            503,
            "internal_error",
            "Service is temporarily unavailable",
        ),
        (StatusCode.DEADLINE_EXCEEDED, 504, "internal_error", "Service did not answer in time"),
    ],
)
async def test_errors_come_in_the_envelope(
    code: StatusCode, status: int, error_type: str, message: str
) -> None:
    answer = await told(HANDLERS, refusal(code))
    assert answer.json() == {
        "meta": {
            "url": "http://office/",
            "type": "object",
            "request_id": "r-1",
            "code": status,
        },
        "error": {"type": error_type, "message": message},
    }
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (status in (429, 503))


async def test_who_calls_too_often_is_told_when_to_come_again() -> None:
    answer = await told(HANDLERS, refusal(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", 1.2))
    assert answer.headers["retry-after"] == "2"


async def test_a_surprise_tells_nothing() -> None:
    answer = await told(HANDLERS, ZeroDivisionError("secret"))
    assert answer.status_code == 500
    assert answer.json()["error"] == {
        "type": "internal_error",
        "message": "Internal server error",
    }
