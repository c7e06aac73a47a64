"""What can go wrong, in the words of the domain.

LongshoreError
├── NotFound
│   ├── OperationNotFound
│   ├── ServiceNotFound
│   ├── ActionNotFound
│   ├── AccountNotFound
│   ├── QueueNotFound
│   ├── ContractNotFound
│   ├── ScheduleNotFound
│   ├── FileNotFound
│   ├── StreamNotFound
│   └── ResultConsumed
├── InvalidArgument
│   ├── InvalidFields
│   ├── InvalidFilter
│   ├── FilterFieldChanges
│   ├── InvalidPageToken
│   ├── LimitExceeded
│   └── PayloadTooLarge
├── Unauthenticated
├── Denied
│   ├── RoleMissing
│   └── TenantNotPermitted
├── RateLimited
├── WrongState
├── RequestIdReused
├── AccountExists
├── RevisionCompacted
├── RevisionInFuture
├── Maintenance
├── Overloaded
├── LeaseLost
├── SessionTakenOver
├── StreamTaken
├── FileDamaged
├── FilesUnavailable
│   └── UploadGivenUp
└── StoreUnavailable
    └── OutcomeUnknown

Whatever varies in a message also stands in `facts`, so that nobody parses prose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from longshore.core import limits


class LongshoreError(Exception):
    """Anything that a caller can be told about; `facts` are the varying parts of the message."""

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.facts: dict[str, str] = {name: str(value) for name, value in facts.items()}


class NotFound(LongshoreError):
    """Something that was named does not exist, or is not the caller's."""


class OperationNotFound(NotFound):
    """No operation has this id."""

    def __init__(self, operation_id: str) -> None:
        super().__init__(f"no operation {operation_id!r}", operation_id=operation_id)


class ServiceNotFound(NotFound):
    """No worker ever published this service."""

    def __init__(self, service: str) -> None:
        super().__init__(f"no service {service!r}", service=service)


class ActionNotFound(NotFound):
    """No worker ever offered this action, or the contract that was named has none of it."""

    def __init__(self, action: str, service: str = "", contract: str = "") -> None:
        if contract:
            message = f"contract {contract!r} has no action {action!r}"
            super().__init__(message, action=action, contract=contract)
            return
        of = f" of service {service!r}" if service else ""
        super().__init__(
            f"no action {action!r}{of}; start a worker that offers it, or set "
            "options.allow_unregistered",
            action=action,
            service=service,
        )


class AccountNotFound(NotFound):
    """The submitter has not registered this account with the service."""

    def __init__(self, service: str, username: str) -> None:
        super().__init__(
            f"no account {username!r} is registered with service {service!r}",
            service=service,
            username=username,
        )


class QueueNotFound(NotFound):
    """Nothing ever named this queue."""

    def __init__(self, queue: str) -> None:
        super().__init__(
            f"no queue {queue!r}: no worker, contract or update has named it", queue=queue
        )


class ContractNotFound(NotFound):
    """No such contract."""

    def __init__(self, contract: str) -> None:
        super().__init__(f"no contract {contract!r}", contract=contract)


class ScheduleNotFound(NotFound):
    """No such schedule."""

    def __init__(self, schedule: str) -> None:
        super().__init__(f"no schedule {schedule!r}", schedule=schedule)


class FileNotFound(NotFound):
    """No file has this id, or it has expired; or an operation has made none."""

    def __init__(self, file_id: str = "", made_by: str = "") -> None:
        if made_by:
            message = f"operation {made_by} has made no files"
            super().__init__(message, operation_id=made_by)
        else:
            super().__init__(f"no file {file_id!r}", file_id=file_id)


class StreamNotFound(NotFound):
    """The stream of results is not the caller's."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"no stream {stream!r} is yours", stream=stream)


class ResultConsumed(NotFound):
    """The result was acknowledged, and so removed."""

    def __init__(self, operation_id: str) -> None:
        super().__init__(
            f"the result of operation {operation_id} was acknowledged and is gone",
            operation_id=operation_id,
        )


class InvalidArgument(LongshoreError):
    """The request can never be served as it is."""


class Violation(NamedTuple):
    """One fault of a request: the path of the field, what is wrong, and a reason.

    The reason is `MISSING`, `INVALID`, `UNKNOWN` or `NOT_PERMITTED`.
    """

    field: str
    description: str
    reason: str = "INVALID"


class InvalidFields(InvalidArgument):
    """One or more fields are missing, wrong or unknown; every violation is listed."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        said = "; ".join(f"{one.field}: {one.description}" for one in violations[:5])
        more = f"; and {len(violations) - 5} more" if len(violations) > 5 else ""
        super().__init__(said + more, field=violations[0].field)
        self.violations = tuple(violations)


class InvalidFilter(InvalidArgument):
    """A filter that cannot be read, with the position (from 0) where reading stopped."""

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(f"filter: {message}", position=position)


class FilterFieldChanges(InvalidArgument):
    """A watch cannot be filtered by what changes while it runs."""

    def __init__(self, field: str) -> None:
        super().__init__(
            f"filter: {field!r} changes while an operation lives, so a watch cannot be "
            "filtered by it; list with this filter instead",
            field=field,
        )


class InvalidPageToken(InvalidArgument):
    """A page token that was not given for this question, or not by us."""

    def __init__(self) -> None:
        super().__init__("page_token: not a token of this list, filter and order")


class LimitExceeded(InvalidArgument):
    """More than is allowed of something that is counted."""

    def __init__(self, field: str, limit: int, actual: int) -> None:
        super().__init__(
            f"{field}: at most {limit}, got {actual}", field=field, limit=limit, value=actual
        )


class PayloadTooLarge(InvalidArgument):
    """A spec, context, result or set of properties of too many bytes."""

    def __init__(self, field: str, limit: int, actual: int) -> None:
        super().__init__(
            f"{field}: at most {limit} bytes, got {actual}; larger data goes through files",
            field=field,
            limit=limit,
            value=actual,
        )


class Unauthenticated(LongshoreError):
    """The credential is missing, wrong or expired; which of them is nobody's business."""

    def __init__(self, message: str = "who is calling? the credential is wrong") -> None:
        super().__init__(message)


class Denied(LongshoreError):
    """The caller is known, and may not do this."""


class RoleMissing(Denied):
    """The caller lacks the role that the call needs."""

    def __init__(self, role: str) -> None:
        super().__init__(f"this needs the role {role}", role=role)


class TenantNotPermitted(Denied):
    """The caller does not belong to the tenant."""

    def __init__(self, tenant: str) -> None:
        super().__init__(f"the tenant {tenant!r} is not yours", tenant=tenant)


class RateLimited(LongshoreError):
    """Too many calls, streams or failed sign-ins; try again after `retry_after` seconds."""

    def __init__(self, message: str, limit: float, unit: str, retry_after: float) -> None:
        super().__init__(message, limit=f"{limit:g}", unit=unit)
        self.retry_after = retry_after


class WrongState(LongshoreError):
    """What was asked for cannot be done to an operation in its present state."""

    def __init__(self, operation_id: str, state: str, wanted: str) -> None:
        super().__init__(
            f"operation {operation_id} is {state}; this needs {wanted}",
            operation_id=operation_id,
            state=state,
            expected=wanted,
        )


class RequestIdReused(LongshoreError):
    """A request id was sent again with another body."""

    def __init__(self, request_id: str, operation_id: str) -> None:
        super().__init__(
            f"request_id {request_id!r} was used for another request",
            request_id=request_id,
            operation_id=operation_id,
        )


class AccountExists(LongshoreError):
    """The caller has registered this account before."""

    def __init__(self, service: str, username: str) -> None:
        super().__init__(
            f"account {username!r} is registered with service {service!r} already",
            service=service,
            username=username,
        )


class RevisionCompacted(LongshoreError):
    """Changes since the given revision are no longer kept."""

    def __init__(self, after_revision: int, oldest_revision: int) -> None:
        super().__init__(
            f"revision {after_revision} is no longer kept; the oldest kept is {oldest_revision}: "
            "list again, then watch from the list's revision",
            after_revision=after_revision,
            oldest_revision=oldest_revision,
        )


class RevisionInFuture(LongshoreError):
    """The given revision has not been reached yet, so it was never handed out here."""

    def __init__(self, after_revision: int, newest_revision: int) -> None:
        super().__init__(
            f"revision {after_revision} is in the future; the newest is {newest_revision}",
            after_revision=after_revision,
            newest_revision=newest_revision,
        )


class Maintenance(LongshoreError):
    """The server is in maintenance and takes no new work."""

    def __init__(self) -> None:
        super().__init__("the server is in maintenance and takes no new work")


class Overloaded(LongshoreError):
    """Too many changes wait to be written; try again after `retry_after` seconds."""

    def __init__(self, waiting: int, retry_after: float = 1.0) -> None:
        super().__init__(
            f"{waiting} changes wait to be written",
            waiting=waiting,
            limit=limits.WRITER_WAITING,
        )
        self.retry_after = retry_after


class LeaseLost(LongshoreError):
    """The lease under which a worker reports is no longer its own."""

    def __init__(self, number: int, token: int) -> None:
        super().__init__(
            f"lease {token} of operation number {number} is lost",
            number=number,
            lease_token=token,
        )


class SessionTakenOver(LongshoreError):
    """A younger stream has taken this worker's session, or the session is over."""

    def __init__(self, worker: str = "") -> None:
        super().__init__("the session was taken over, or is over", worker=worker)


class StreamTaken(LongshoreError):
    """A younger listener has taken the stream of results over."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"another listener has taken stream {stream!r} over", stream=stream)


class FileDamaged(LongshoreError):
    """The bytes of a file are not those that were stored."""

    def __init__(self, file_id: str) -> None:
        super().__init__(f"file {file_id} is damaged where it is kept", file_id=file_id)


class FilesUnavailable(LongshoreError):
    """Where files are kept cannot be read or written now; nothing of a file was kept."""


class UploadGivenUp(FilesUnavailable):
    """Nothing was heard of an upload for too long."""

    def __init__(self) -> None:
        super().__init__("the upload was silent for too long and was given up; send it again")


class StoreUnavailable(LongshoreError):
    """The store cannot write now; nothing of the change was kept."""

    def __init__(self, message: str = "the store cannot be written") -> None:
        super().__init__(message)


class OutcomeUnknown(StoreUnavailable):
    """The store was lost while committing: the change may or may not be kept."""

    def __init__(self) -> None:
        super().__init__(
            "the store was lost while committing; send the call again with the same request_id"
        )
