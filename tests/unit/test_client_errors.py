"""Errors as the client tells them."""

from __future__ import annotations

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata

from longshore.client import (
    CallError,
    InvalidArgument,
    LongshoreError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    RoleMissing,
    TenantNotPermitted,
    Unavailable,
    Violation,
    WorkCanceled,
    WorkError,
    WorkFailed,
    result_of,
)
from longshore.client.errors import call_error, rpc_error
from longshore.v1 import operation_pb2
from longshore.v1.operation_pb2 import STATE_CANCELED, STATE_FAILED, Status
from longshore.v1.task_service_pb2 import Task


def packed(message: object) -> Any:
    detail = Any()
    detail.Pack(message)  # type: ignore[arg-type]
    return detail


def status(code: int, message: str, *details: object) -> status_pb2.Status:
    return status_pb2.Status(code=code, message=message, details=map(packed, details))


def info(reason: str, **metadata: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain="longshore.dev", metadata=metadata)


@pytest.mark.parametrize("code", [code for code in StatusCode if code is not StatusCode.OK])
def test_every_code_becomes_a_call_error_that_knows_its_code(code: StatusCode) -> None:
    error = call_error(status(code.value[0], "no"))
    assert isinstance(error, CallError)
    assert error.code is code
    assert str(error) == "no"


def test_an_error_without_a_message_says_its_code() -> None:
    assert str(call_error(status(code_pb2.ABORTED, ""))) == "ABORTED"


def test_details_of_a_call_are_read_from_its_trailing_metadata() -> None:
    told = status(
        code_pb2.NOT_FOUND, "no such task", info("OPERATION_NOT_FOUND", operation_id="7")
    )
    trailing = Metadata(("grpc-status-details-bin", told.SerializeToString()))
    error = rpc_error(AioRpcError(StatusCode.NOT_FOUND, Metadata(), trailing, "no such task"))
    assert isinstance(error, NotFound)
    assert error.reason == "OPERATION_NOT_FOUND"
    assert error.metadata == {"operation_id": "7"}
    assert error.correlation_id == ""


def test_an_error_that_no_server_wrote_has_a_code_and_a_message() -> None:
    error = rpc_error(AioRpcError(StatusCode.UNAVAILABLE, Metadata(), Metadata(), "refused"))
    assert isinstance(error, Unavailable)
    assert (error.reason, str(error), error.retry_after) == ("", "refused", None)


def test_every_violation_of_a_request_is_told() -> None:
    fault = error_details_pb2.BadRequest.FieldViolation(
        field="spec.actions[0].action", description="is missing", reason="MISSING"
    )
    bad = error_details_pb2.BadRequest(field_violations=[fault, fault])
    error = call_error(status(code_pb2.INVALID_ARGUMENT, "no", info("INVALID_FIELD"), bad))
    assert isinstance(error, InvalidArgument)
    told = Violation("spec.actions[0].action", "is missing", "MISSING")
    assert error.violations == (told, told)


def test_an_overloaded_server_says_when_to_come_back() -> None:
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    error = call_error(status(code_pb2.RESOURCE_EXHAUSTED, "full", info("OVERLOADED"), retry))
    assert isinstance(error, ResourceExhausted)
    assert error.retry_after == 1.5


def test_a_caller_who_may_not_is_told_what_is_missing() -> None:
    code = code_pb2.PERMISSION_DENIED
    role = call_error(status(code, "no", info("ROLE_MISSING", role="operator")))
    assert isinstance(role, RoleMissing)
    assert role.role == "operator"
    tenant = call_error(status(code, "no", info("TENANT_NOT_PERMITTED", tenant="north")))
    assert isinstance(tenant, TenantNotPermitted)
    assert tenant.tenant == "north"
    assert all(isinstance(error, PermissionDenied) for error in (role, tenant))


def test_an_internal_error_names_what_to_look_for_in_the_log() -> None:
    error = call_error(status(code_pb2.INTERNAL, "no", info("INTERNAL", correlation_id="c-1")))
    assert type(error) is CallError
    assert error.correlation_id == "c-1"


def test_failed_work_tells_the_tree_of_its_causes() -> None:
    deepest = status(code_pb2.NOT_FOUND, "no file", info("ACTION_FAILED", type="OSError"))
    cause = status(code_pb2.INTERNAL, "cannot digest", info("ACTION_FAILED"), deepest)
    failed = Task(
        metadata=operation_pb2.Metadata(number=12),
        status=Status(
            state=STATE_FAILED,
            error=status(code_pb2.UNAVAILABLE, "gave up", info("WORKER_LOST"), cause),
        ),
    )
    with pytest.raises(WorkFailed, match="task 12 failed: gave up") as raised:
        result_of(failed)
    error = raised.value
    assert (error.code, error.reason) == (StatusCode.UNAVAILABLE, "WORKER_LOST")
    assert error.failure.causes[0].causes[0].message == "no file"
    assert error.failure.causes[0].causes[0].metadata == {"type": "OSError"}
    assert error.operation is failed


def test_canceled_work_says_why() -> None:
    canceled = Task(
        metadata=operation_pb2.Metadata(number=12),
        status=Status(state=STATE_CANCELED, message="too slow"),
    )
    with pytest.raises(WorkCanceled, match="task 12 was canceled: too slow"):
        result_of(canceled)


def test_the_call_and_the_work_fail_on_separate_branches() -> None:
    assert not issubclass(WorkError, CallError)
    assert not issubclass(CallError, WorkError)
    assert issubclass(WorkError, LongshoreError)
    assert issubclass(CallError, LongshoreError)
