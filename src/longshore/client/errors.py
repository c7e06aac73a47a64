"""What can go wrong when a server is asked for work. The call and the work fail apart.

LongshoreError
├── InvalidValue              cannot be sent, found before anything was
├── UnsafePath                what the server calls a file would lead out of its folder
├── CallError                 the call failed, or was refused
│   ├── InvalidArgument       … with `violations`
│   ├── NotFound, AlreadyExists, FailedPrecondition, OutOfRange
│   ├── Damaged               the bytes are not those that were stored
│   ├── Aborted
│   │   └── StreamTaken       another listener follows the channel now
│   ├── Unauthenticated, ResourceExhausted, Unimplemented, DeadlineExceeded
│   ├── PermissionDenied
│   │   └── RoleMissing, TenantNotPermitted
│   └── Unavailable
│       └── TlsFailed
└── WorkError                 the call was answered: the work did not succeed
    ├── WorkFailed
    └── WorkCanceled
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from grpc.aio import AioRpcError

from longshore.client.kinds import Operation

_DETAILS: Final = "grpc-status-details-bin"
_CODES: Final[dict[int, StatusCode]] = {int(code.value[0]): code for code in StatusCode}


class LongshoreError(Exception):
    """Anything this package raises on purpose."""


class InvalidValue(LongshoreError, ValueError):
    """A value cannot be sent; the message names where it stands and why."""


class UnsafePath(LongshoreError, ValueError):
    """A file is called what cannot be written below the folder that was asked for."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One fault of a request: the path of the field, what is wrong with it, and a reason."""

    field: str
    description: str
    reason: str  #: MISSING, INVALID, UNKNOWN or NOT_PERMITTED.


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as the server tells it: a code, a sentence, a reason for programs, causes."""

    code: StatusCode
    message: str
    reason: str  #: A value of `longshore.v1.ErrorReason` without its prefix; may be empty.
    metadata: Mapping[str, str]  #: What varies in the message, by name.
    violations: tuple[Violation, ...]
    retry_after: float | None  #: Seconds to wait before it is tried again, if it says so.
    causes: tuple[Failure, ...]
    #: Everything as it was sent, for those who pass it on.
    status: status_pb2.Status = field(repr=False, compare=False)


class CallError(LongshoreError):
    """The call failed: nothing came of it that is known."""

    codes: ClassVar[tuple[StatusCode, ...]] = ()

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message or failure.code.name)
        self.failure = failure
        self.code = failure.code
        self.reason = failure.reason
        self.metadata = failure.metadata
        self.retry_after = failure.retry_after

    @property
    def correlation_id(self) -> str:
        """Under which the server's log tells more of an INTERNAL error; may be empty."""
        return self.metadata.get("correlation_id", "")


class InvalidArgument(CallError):
    """The request can never be served as it is."""

    codes = (StatusCode.INVALID_ARGUMENT,)

    @property
    def violations(self) -> tuple[Violation, ...]:
        return self.failure.violations


class NotFound(CallError):
    """Something that the request names does not exist, or exists no more."""

    codes = (StatusCode.NOT_FOUND,)


class AlreadyExists(CallError):
    """Another request has taken this name or request id."""

    codes = (StatusCode.ALREADY_EXISTS,)


class FailedPrecondition(CallError):
    """The operation is in a state that does not allow this."""

    codes = (StatusCode.FAILED_PRECONDITION,)


class OutOfRange(CallError):
    """A watch cannot start there: list again, then watch from the list's revision."""

    codes = (StatusCode.OUT_OF_RANGE,)


class Aborted(CallError):
    """Somebody else took over what the call had."""

    codes = (StatusCode.ABORTED,)


class StreamTaken(Aborted):
    """Another listener has taken the stream of results over, and gets them from now on."""


class Damaged(CallError):
    """The bytes that arrived are not those that were stored."""

    codes = (StatusCode.DATA_LOSS,)


class Unauthenticated(CallError):
    """The server does not know the caller."""

    codes = (StatusCode.UNAUTHENTICATED,)


class PermissionDenied(CallError):
    """The caller may not do this."""

    codes = (StatusCode.PERMISSION_DENIED,)


class RoleMissing(PermissionDenied):
    """The caller has not the role that this takes."""

    @property
    def role(self) -> str:
        return self.metadata.get("role", "")


class TenantNotPermitted(PermissionDenied):
    """The caller does not belong to this tenant."""

    @property
    def tenant(self) -> str:
        return self.metadata.get("tenant", "")


class ResourceExhausted(CallError):
    """Too much at once: try again after `retry_after` seconds, or ask for less."""

    codes = (StatusCode.RESOURCE_EXHAUSTED,)


class Unimplemented(CallError):
    """The server does not serve this method."""

    codes = (StatusCode.UNIMPLEMENTED,)


class Unavailable(CallError):
    """No server answered, or it takes no work at present."""

    codes = (StatusCode.UNAVAILABLE,)


class TlsFailed(Unavailable):
    """A server is there, but not over TLS as this client speaks it; the message says why."""


class DeadlineExceeded(CallError):
    """The answer took longer than the client's timeout; what became of the call is unknown."""

    codes = (StatusCode.DEADLINE_EXCEEDED,)


class WorkError(LongshoreError):
    """The work has ended, and not with success."""

    def __init__(self, operation: Operation, what: str, why: str) -> None:
        name = operation.DESCRIPTOR.name.lower()
        told = f"{name} {operation.metadata.number} {what}"
        super().__init__(f"{told}: {why}" if why else told)
        self.operation = operation


class WorkFailed(WorkError):
    """The last attempt failed; `failure` tells why, with the causes."""

    def __init__(self, operation: Operation) -> None:
        self.failure = read_failure(operation.status.error)
        super().__init__(operation, "failed", self.failure.message)

    @property
    def code(self) -> StatusCode:
        return self.failure.code

    @property
    def reason(self) -> str:
        return self.failure.reason


class WorkCanceled(WorkError):
    """Somebody asked to cancel the work."""

    def __init__(self, operation: Operation) -> None:
        super().__init__(operation, "was canceled", operation.status.message)


_BY_CODE: Final = {code: kind for kind in CallError.__subclasses__() for code in kind.codes}


#: More than the code says.
_BY_REASON: Final[dict[str, type[CallError]]] = {
    "ROLE_MISSING": RoleMissing,
    "STREAM_TAKEN": StreamTaken,
    "TENANT_NOT_PERMITTED": TenantNotPermitted,
}


def call_error(status: status_pb2.Status) -> CallError:
    """Return the error of a refused call, or of a refused item of a batch."""
    failure = read_failure(status)
    kind = _BY_REASON.get(failure.reason) or _BY_CODE.get(failure.code, CallError)
    return kind(failure)


def rpc_error(error: AioRpcError) -> CallError:
    """Return the error of a call that ended with a status other than OK."""
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            return call_error(status_pb2.Status.FromString(value))
    code = int(error.code().value[0])
    return call_error(status_pb2.Status(code=code, message=error.details() or ""))


def lost(message: str) -> CallError:
    """Return the error of a connection that this side has given up."""
    return _own(StatusCode.UNAVAILABLE, message)


def untrusted(message: str) -> TlsFailed:
    """Return the error of a connection that did not come about for reasons of TLS."""
    return TlsFailed(lost(message).failure)


def late(message: str) -> CallError:
    """Return the error of a step that took longer than the client's timeout."""
    return _own(StatusCode.DEADLINE_EXCEEDED, message)


def damaged(message: str) -> CallError:
    """Return the error of bytes that arrived otherwise than they were stored."""
    return _own(StatusCode.DATA_LOSS, message)


def _own(code: StatusCode, message: str) -> CallError:
    return call_error(status_pb2.Status(code=int(code.value[0]), message=message))


def read_failure(status: status_pb2.Status) -> Failure:
    """Read an error with its details and, of failed work, the tree of its causes."""
    info = next(_details(status, error_details_pb2.ErrorInfo), error_details_pb2.ErrorInfo())
    retry = next(_details(status, error_details_pb2.RetryInfo), None)
    return Failure(
        code=_CODES.get(status.code, StatusCode.UNKNOWN),
        message=status.message,
        reason=info.reason,
        metadata=dict(info.metadata),
        violations=tuple(
            Violation(fault.field, fault.description, fault.reason)
            for request in _details(status, error_details_pb2.BadRequest)
            for fault in request.field_violations
        ),
        retry_after=retry and retry.retry_delay.ToTimedelta().total_seconds(),
        causes=tuple(map(read_failure, _details(status, status_pb2.Status))),
        status=status,
    )


def _details(status: status_pb2.Status, kind: type[Any]) -> Iterator[Any]:
    for detail in status.details:
        if detail.Is(kind.DESCRIPTOR):
            yield kind.FromString(detail.value)
