"""Errors on the wire: the one table from what went wrong to the status that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import structlog
import uuid_utils
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from longshore.core import errors
from longshore.core.errors import LongshoreError, Violation
from longshore.v1.error_reason_pb2 import ErrorReason

log = structlog.get_logger()

DOMAIN: Final = "longshore.dev"

# Headers may have 8 KiB in all, of which a letter of the message may take three to four times
# its bytes and details take a third more than theirs.
_MESSAGE_BYTES: Final = 512
_FACT_BYTES: Final = 256
_VIOLATIONS_BYTES: Final = 3_000

_MAINTENANCE_RETRY_SECONDS: Final = 5.0

_INTERNAL: Final = (StatusCode.INTERNAL, ErrorReason.ERROR_REASON_INTERNAL)

_TABLE: Final[dict[type[LongshoreError], tuple[StatusCode, ErrorReason.ValueType]]] = {
    errors.OperationNotFound: (
        StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_OPERATION_NOT_FOUND,
    ),
    errors.ServiceNotFound: (StatusCode.NOT_FOUND, ErrorReason.ERROR_REASON_SERVICE_NOT_FOUND),
    errors.ActionNotFound: (StatusCode.NOT_FOUND, ErrorReason.ERROR_REASON_ACTION_NOT_FOUND),
    errors.AccountNotFound: (StatusCode.NOT_FOUND, ErrorReason.ERROR_REASON_ACCOUNT_NOT_FOUND),
    errors.QueueNotFound: (StatusCode.NOT_FOUND, ErrorReason.ERROR_REASON_QUEUE_NOT_FOUND),
    errors.ContractNotFound: (
        StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_CONTRACT_NOT_FOUND,
    ),
    errors.ScheduleNotFound: (
        StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_SCHEDULE_NOT_FOUND,
    ),
    errors.FileNotFound: (StatusCode.NOT_FOUND, ErrorReason.ERROR_REASON_FILE_NOT_FOUND),
    errors.StreamNotFound: (StatusCode.NOT_FOUND, ErrorReason.ERROR_REASON_STREAM_NOT_FOUND),
    errors.ResultConsumed: (StatusCode.NOT_FOUND, ErrorReason.ERROR_REASON_RESULT_CONSUMED),
    errors.StreamTaken: (StatusCode.ABORTED, ErrorReason.ERROR_REASON_STREAM_TAKEN),
    errors.FileDamaged: (StatusCode.DATA_LOSS, ErrorReason.ERROR_REASON_FILE_DAMAGED),
    errors.FilesUnavailable: (
        StatusCode.UNAVAILABLE,
        ErrorReason.ERROR_REASON_STORE_UNAVAILABLE,
    ),
    errors.InvalidFields: (
        StatusCode.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_INVALID_FIELD,
    ),
    errors.InvalidFilter: (
        StatusCode.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_INVALID_FILTER,
    ),
    errors.FilterFieldChanges: (
        StatusCode.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_FILTER_FIELD_CHANGES,
    ),
    errors.InvalidPageToken: (
        StatusCode.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_INVALID_PAGE_TOKEN,
    ),
    errors.LimitExceeded: (
        StatusCode.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_LIMIT_EXCEEDED,
    ),
    errors.PayloadTooLarge: (
        StatusCode.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE,
    ),
    errors.Unauthenticated: (
        StatusCode.UNAUTHENTICATED,
        ErrorReason.ERROR_REASON_UNAUTHENTICATED,
    ),
    errors.RoleMissing: (
        StatusCode.PERMISSION_DENIED,
        ErrorReason.ERROR_REASON_ROLE_MISSING,
    ),
    errors.TenantNotPermitted: (
        StatusCode.PERMISSION_DENIED,
        ErrorReason.ERROR_REASON_TENANT_NOT_PERMITTED,
    ),
    errors.RateLimited: (
        StatusCode.RESOURCE_EXHAUSTED,
        ErrorReason.ERROR_REASON_RATE_LIMITED,
    ),
    errors.WrongState: (
        StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_WRONG_STATE,
    ),
    errors.RequestIdReused: (
        StatusCode.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_REQUEST_ID_REUSED,
    ),
    errors.AccountExists: (
        StatusCode.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_ACCOUNT_EXISTS,
    ),
    errors.RevisionCompacted: (
        StatusCode.OUT_OF_RANGE,
        ErrorReason.ERROR_REASON_REVISION_COMPACTED,
    ),
    errors.RevisionInFuture: (
        StatusCode.OUT_OF_RANGE,
        ErrorReason.ERROR_REASON_REVISION_IN_FUTURE,
    ),
    errors.Maintenance: (StatusCode.UNAVAILABLE, ErrorReason.ERROR_REASON_MAINTENANCE),
    errors.Overloaded: (StatusCode.RESOURCE_EXHAUSTED, ErrorReason.ERROR_REASON_OVERLOADED),
    errors.LeaseLost: (StatusCode.ABORTED, ErrorReason.ERROR_REASON_LEASE_LOST),
    errors.SessionTakenOver: (StatusCode.ABORTED, ErrorReason.ERROR_REASON_SESSION_TAKEN_OVER),
    errors.StoreUnavailable: (
        StatusCode.UNAVAILABLE,
        ErrorReason.ERROR_REASON_STORE_UNAVAILABLE,
    ),
    errors.OutcomeUnknown: (StatusCode.UNAVAILABLE, ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN),
}


def entry_of(kind: type[BaseException]) -> tuple[StatusCode, ErrorReason.ValueType] | None:
    """Return code and reason of the nearest type in the table."""
    for ancestor in kind.__mro__:
        if issubclass(ancestor, LongshoreError) and ancestor in _TABLE:
            return _TABLE[ancestor]
    return None


def status_of(error: BaseException) -> Status:
    """Return what a caller is told; of anything unforeseen no more than where it is logged."""
    entry = entry_of(type(error))
    if entry is None or not isinstance(error, LongshoreError):
        return _internal(error)
    code, reason = entry
    details = [_info(reason, error.facts), *_details_of(error)]
    return _status(code, str(error), details)


def _internal(error: BaseException) -> Status:
    correlation_id = str(uuid_utils.uuid7())
    log.error("internal_error", correlation_id=correlation_id, exc_info=error)
    code, reason = _INTERNAL
    return _status(code, "internal error", [_info(reason, {"correlation_id": correlation_id})])


def _status(code: StatusCode, message: str, details: Iterable[Message]) -> Status:
    status = Status(code=code.value[0], message=_cut(message, _MESSAGE_BYTES))
    for detail in details:
        status.details.add().Pack(detail)
    return status


def _cut(text: str, size: int) -> str:
    encoded = text.encode(errors="replace")
    return text if len(encoded) <= size else encoded[: size - 3].decode(errors="ignore") + "…"


def reason_name(reason: ErrorReason.ValueType) -> str:
    """Return a reason as `ErrorInfo` spells it."""
    return ErrorReason.Name(reason).removeprefix("ERROR_REASON_")


def _info(reason: ErrorReason.ValueType, facts: dict[str, str]) -> ErrorInfo:
    metadata = {name: _cut(value, _FACT_BYTES) for name, value in facts.items()}
    return ErrorInfo(reason=reason_name(reason), domain=DOMAIN, metadata=metadata)


def _details_of(error: LongshoreError) -> list[Message]:
    for kind in type(error).__mro__:
        if kind in _DETAILS:
            return [_DETAILS[kind](error)]
    return []


def _bad_request(violations: Iterable[Violation]) -> BadRequest:
    """Return the violations, of very many those that fit into the headers."""
    shown = BadRequest()
    for one in violations:
        shown.field_violations.add(
            field=_cut(one.field, _FACT_BYTES),
            description=_cut(one.description, _FACT_BYTES),
            reason=one.reason,
        )
        if shown.ByteSize() > _VIOLATIONS_BYTES:
            del shown.field_violations[-1]
            break
    return shown


def _at_fact(error: LongshoreError) -> BadRequest:
    return _bad_request([Violation(error.facts["field"], str(error))])


def _unknown(field: str) -> Callable[[LongshoreError], BadRequest]:
    """Name the field that the error says or, if it says none, what calls name such things by."""

    def details(error: LongshoreError) -> BadRequest:
        violation = Violation(error.facts.get("field", field), str(error), "UNKNOWN")
        return _bad_request([violation])

    return details


def _at(field: str) -> Callable[[LongshoreError], BadRequest]:
    return lambda error: _bad_request([Violation(field, str(error).removeprefix(f"{field}: "))])


def _fields(error: LongshoreError) -> BadRequest:
    return _bad_request(error.violations if isinstance(error, errors.InvalidFields) else ())


def _retry(seconds: float) -> RetryInfo:
    return RetryInfo(retry_delay=Duration(nanos=int(seconds % 1 * 1e9), seconds=int(seconds)))


def _state(error: LongshoreError) -> PreconditionFailure:
    violation = PreconditionFailure.Violation(
        type="STATE", subject=error.facts["operation_id"], description=str(error)
    )
    return PreconditionFailure(violations=[violation])


_DETAILS: Final[dict[type, Callable[[LongshoreError], Message]]] = {
    errors.NotFound: _unknown("id"),
    errors.ServiceNotFound: _unknown("slug"),
    errors.ContractNotFound: _unknown("name"),
    errors.ScheduleNotFound: _unknown("name"),
    errors.AccountNotFound: _unknown("username"),
    errors.FileNotFound: _unknown("file_id"),
    errors.StreamNotFound: _unknown("stream"),
    errors.InvalidFields: _fields,
    errors.LimitExceeded: _at_fact,
    errors.PayloadTooLarge: _at_fact,
    errors.InvalidFilter: _at("filter"),
    errors.FilterFieldChanges: _at("filter"),
    errors.InvalidPageToken: _at("page_token"),
    errors.WrongState: _state,
    errors.Maintenance: lambda _: _retry(_MAINTENANCE_RETRY_SECONDS),
    errors.Overloaded: lambda error: _retry(getattr(error, "retry_after", 1.0)),
    errors.RateLimited: lambda error: _retry(getattr(error, "retry_after", 1.0)),
}
