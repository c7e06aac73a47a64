"""Errors: the one table from what went wrong to the status and the body that say so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from grpc import StatusCode

from longshore.client import CallError, Failure, Violation
from longshore.gateway.faults import Fault, UnsupportedMedia

#: What the work of this service is called, in tasks and in their errors.
TYPE: Final = "ingest"


class NoKey(Fault):
    """Nothing shows who asks."""

    status = 401


class Absent(Fault):
    """What is asked for is not there."""

    status = 404


class Conflict(Fault):
    """What is asked for is in conflict with what there is."""

    status = 409


class NotMet(Fault):
    """A predicate is incorrect, so that the operation is not possible."""

    status = 412


@dataclass(frozen=True, slots=True)
class Problem:
    """An error, of a call or of work, with what led to it."""

    http_code: int
    state: str
    message: str
    description: str
    errors: tuple[Problem, ...] = ()
    retry_after: float | None = None  #: Seconds after which it may be tried again.


_NOT_POSSIBLE: Final = (
    "Precondition Failed, some predicates are incorrect, therefore the operation is not"
    " possible"
)

#: What each status is called, and what it means.
_STATES: Final[dict[int, tuple[str, str]]] = {
    401: ("Unauthorized", "Unauthorized, authentication in error"),
    404: ("Item_Not_Found", "Not Found, requested resource does not exist"),
    405: ("Method_Not_Allowed", "Method Not Allowed, the resource does not know this method"),
    409: ("Conflict", "Conflict, operation requested is in conflict with existing data"),
    412: ("Precondition_Failed", _NOT_POSSIBLE),
    415: ("Unsupported_Media_Type", "Unsupported media type detected"),
    429: ("Too_Many_Requests", "Too Many Requests, the caller is asked to wait"),
    500: ("Internal_Server_Error", "Internal Server Error"),
    501: ("Not_Implemented", "Not Implemented"),
    503: ("Service_Unavailable", "Service Unavailable, the requested service is unavailable"),
}

_UNFORESEEN: Final = 500

#: By code and reason; an empty reason is any other.
_TABLE: Final[dict[tuple[StatusCode, str], int]] = {
    (StatusCode.UNAUTHENTICATED, ""): 401,
    (StatusCode.PERMISSION_DENIED, ""): 401,
    (StatusCode.NOT_FOUND, ""): 404,
    (StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"): 404,
    (StatusCode.INVALID_ARGUMENT, ""): 412,
    (StatusCode.OUT_OF_RANGE, ""): 412,
    (StatusCode.ALREADY_EXISTS, ""): 409,
    (StatusCode.FAILED_PRECONDITION, ""): 409,
    (StatusCode.ABORTED, ""): 409,
    (StatusCode.RESOURCE_EXHAUSTED, ""): 429,
    (StatusCode.UNIMPLEMENTED, ""): 501,
    (StatusCode.UNAVAILABLE, ""): 503,
    (StatusCode.DEADLINE_EXCEEDED, ""): 503,
    (StatusCode.CANCELLED, ""): 503,
}

#: Where fields of the contract stand in a step description.
_FIELDS: Final = (
    (re.compile(r"^spec\.name"), "Step"),
    (re.compile(r"^spec\.service"), "actions"),
    (re.compile(r"^spec\.context"), ""),
    (re.compile(r"^spec\."), ""),
    (re.compile(r"^options\.callback\.url"), "callback.uri"),
    (re.compile(r"^options\."), ""),
    (re.compile(r"^request_id"), "X-RequestId"),
    (re.compile(r"^filter"), "query"),
    (re.compile(r"^(actions\[\d+\]\.)argument_paths\[([^]]*)\]"), r"\1arguments.\2"),
    (re.compile(r"^(actions\[\d+\]\.)assign(\[\d+\]\.target)"), r"\1post_assign\2"),
    (re.compile(r"^(actions\[\d+\]\.)assign(\[\d+\])\.value"), r"\1post_assign\2.result"),
)


def of_status(http_code: int, description: str = "") -> Problem:
    """Return what an HTTP status says by itself."""
    state, message = _STATES.get(http_code) or _standard(http_code)
    return Problem(http_code, state, message, description or message)


def of_fault(fault: Fault) -> Problem:
    """Return what is said of a request that cannot be answered.

    What cannot be read is an incorrect predicate as well: the contract has no other status.
    """
    known = isinstance(fault, UnsupportedMedia) or fault.status in (401, 403, 404, 409)
    text = f"{fault.field}: {fault}" if fault.field else str(fault)
    return of_status(fault.status if known else 412, text)


def of_call(error: CallError) -> Problem:
    """Return what is said of a call that was refused or failed."""
    http_code = _http_code(error.code, error.reason)
    violations = error.failure.violations if http_code == 412 else ()
    faults = tuple(_of_violation(one, http_code) for one in violations)
    text = "; ".join(one.description for one in faults) or _sentence(error)
    whole = of_status(http_code, text)
    return replace(whole, errors=faults, retry_after=error.retry_after)


def of_work(failure: Failure) -> Problem:
    """Return why work failed, with its causes."""
    http_code = _told_code(failure.metadata) or _http_code(failure.code, failure.reason)
    state = of_status(http_code).state
    if failure.reason not in ("", "ACTION_FAILED"):
        state = _capitalized(failure.reason)
    return Problem(
        http_code,
        state,
        failure.message,
        failure.metadata.get("description", failure.message),
        tuple(map(of_work, failure.causes)),
    )


def body_of(problem: Problem) -> dict[str, Any]:
    """Return the only shape of errors; what led to one only if something did."""
    body: dict[str, Any] = {
        "http_code": problem.http_code,
        "code": TYPE,
        "state": problem.state,
        "message": problem.message,
        "description": problem.description,
    }
    if problem.errors:
        body["errors"] = [body_of(one) for one in problem.errors]
    return body


def _http_code(code: StatusCode, reason: str) -> int:
    return _TABLE.get((code, reason)) or _TABLE.get((code, ""), _UNFORESEEN)


def _standard(http_code: int) -> tuple[str, str]:
    """Return what a status is called that only work chooses."""
    try:
        phrase = HTTPStatus(http_code).phrase
    except ValueError:
        return _STATES[_UNFORESEEN]
    return re.sub(r"[^A-Za-z]+", "_", phrase), phrase


def _told_code(metadata: Mapping[str, str]) -> int | None:
    told = metadata.get("http_code", "")
    return int(told) if re.fullmatch(r"[1-5][0-9]{2}", told) else None


def _sentence(error: CallError) -> str:
    """Return what an error says to clients that know nothing of the contract behind."""
    if error.reason == "ACTION_NOT_FOUND":
        return f"no action {error.metadata.get('action')!r}"
    return f"{error} ({error.correlation_id})" if error.correlation_id else str(error)


def _of_violation(violation: Violation, http_code: int) -> Problem:
    field = violation.field
    for pattern, where in _FIELDS:
        field = pattern.sub(where, field)
    description = violation.description.removeprefix(f"{violation.field}: ")
    text = f"{field}: {description}" if field else description
    return Problem(http_code, _capitalized(violation.reason or "INVALID"), description, text)


def _capitalized(reason: str) -> str:
    """Return `PATH_NOT_FOUND` as `Path_Not_Found`."""
    return "_".join(word.capitalize() for word in reason.split("_"))
