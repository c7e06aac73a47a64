from __future__ import annotations

import inspect
from typing import Any

import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    PreconditionFailure,
    RetryInfo,
)
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from structlog.testing import capture_logs

from longshore.core import errors
from longshore.core.errors import LongshoreError, Violation
from longshore.server.errors import entry_of, reason_name, status_of
from longshore.v1.error_reason_pb2 import ErrorReason, ViolationReason


def leaves(kind: type[LongshoreError] = LongshoreError) -> list[type[LongshoreError]]:
    below = [leaf for child in kind.__subclasses__() for leaf in leaves(child)]
    return below or [kind]


def detail(status: Status, kind: type[Message]) -> Any:
    for one in status.details:
        message = kind()
        if one.Unpack(message):
            return message
    raise AssertionError(f"no {kind.__name__}")


@pytest.mark.parametrize("kind", leaves())
def test_every_error_has_a_code_and_a_reason(kind: type[LongshoreError]) -> None:
    entry = entry_of(kind)
    assert entry is not None
    assert entry[1] != ErrorReason.ERROR_REASON_UNSPECIFIED


@pytest.mark.parametrize("kind", leaves())
def test_every_error_can_be_told(kind: type[LongshoreError]) -> None:
    parameters = inspect.signature(kind).parameters.values()
    required = [one for one in parameters if one.default is one.empty]
    values: dict[str, Any] = {"Sequence[Violation]": [Violation("a", "b")], "float": 7.0}
    made: dict[str, Any] = {one.name: values.get(one.annotation, "7") for one in required}
    error: Any = kind(**made)
    entry = entry_of(kind)
    assert entry is not None
    status = status_of(error)
    assert status.code == entry[0].value[0]
    assert detail(status, ErrorInfo).reason == reason_name(entry[1])
    assert dict(detail(status, ErrorInfo).metadata) == error.facts


def test_an_error_of_a_kind_yet_unknown_is_told_like_its_parent() -> None:
    class Narrower(errors.WrongState):
        """A subclass that no table names."""

    status = status_of(Narrower("7", "RUNNING", "QUEUED"))
    assert status.code == StatusCode.FAILED_PRECONDITION.value[0]
    violation = detail(status, PreconditionFailure).violations[0]
    assert (violation.type, violation.subject) == ("STATE", "7")


def test_what_was_not_foreseen_tells_nothing_but_where_it_is_logged() -> None:
    error = KeyError("secret")
    with capture_logs() as logged:
        status = status_of(error)
    assert (status.code, status.message) == (StatusCode.INTERNAL.value[0], "internal error")
    correlation_id = detail(status, ErrorInfo).metadata["correlation_id"]
    assert b"secret" not in status.SerializeToString()
    assert [one["correlation_id"] for one in logged] == [correlation_id]
    assert logged[0]["exc_info"] is error


def test_every_violation_is_listed_with_its_reason() -> None:
    violations = [Violation(f"f{n}", "wrong", "UNKNOWN") for n in range(12)]
    shown = detail(status_of(errors.InvalidFields(violations)), BadRequest).field_violations
    assert [(one.field, one.reason) for one in shown] == [
        (f"f{n}", "UNKNOWN") for n in range(12)
    ]
    assert "UNKNOWN" in {
        name.removeprefix("VIOLATION_REASON_") for name in dict(ViolationReason.items())
    }


def test_the_details_always_fit_into_the_headers() -> None:
    violations = [Violation("f" * 5_000, "é" * 5_000)] * 1_000
    status = status_of(errors.InvalidFields(violations))
    percent_encoded = len(status.message.encode()) * 3
    assert percent_encoded + len(status.SerializeToString()) * 4 / 3 < 8_192
    assert detail(status, BadRequest).field_violations


@pytest.mark.parametrize(
    "error",
    [
        errors.Overloaded(10_000, 0.25),
        errors.Maintenance(),
        errors.RateLimited("too often", 100, "second", 0.25),
    ],
)
def test_what_passes_says_when_to_come_back(error: LongshoreError) -> None:
    delay = detail(status_of(error), RetryInfo).retry_delay
    assert delay.ToMilliseconds() in (250, 5_000)


def test_what_was_not_found_names_the_field() -> None:
    error = errors.QueueNotFound("nightly")
    error.facts["field"] = "options.queue"
    shown = detail(status_of(error), BadRequest).field_violations[0]
    assert (shown.field, shown.reason) == ("options.queue", "UNKNOWN")
