"""Errors: how what is wrong is said to clients of asapi.

Whatever is wrong with the fields of a form is told with status 200, by field, as pairs of a
sentence and a code. Other statuses are for what the form cannot help: the token, the transport,
and results that are not there. All of them have a JSON body, as clients read nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from grpc import StatusCode
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from longshore.client import CallError, Violation
from longshore.gateway.faults import Fault

#: Where what is wrong with no single field stands.
_ALL: Final = "__all__"


class Problem(NamedTuple):
    """What is wrong with a field."""

    message: str
    code: str


class _Pair(NamedTuple):
    """A problem of a form, and the field that has it. What is not known beforehand is as the
    server says: fields, the message, the code.
    """

    field: str
    problem: Problem


class _Refusal(NamedTuple):
    """What no field is at fault for."""

    status: int
    error: str
    message: str = ""  #: Empty: the server's own.


class Refused(Exception):
    """A form that is refused, with what is wrong by field."""

    def __init__(self, problems: Mapping[str, Sequence[Problem]]) -> None:
        super().__init__(str(problems))
        self.problems = problems


#: The text of the first is a list as Python 2 shows it: so it is documented.
INVALID_SERVICE: Final = Problem("[u'Invalid service name']", "invalid_service")
INVALID_ACTION: Final = Problem("Invalid action", "invalid_action")
NO_SUCH_ACCOUNT: Final = Problem("No such account", "no_such_account")
_NO_SUCH_FILE: Final = Problem("", "invalid_parameter_value")
_TOO_MUCH: Final = Problem("", "limit_exceeded")
_ACCOUNT_EXISTS: Final = Problem(
    "Account with this service, client and username already exists", "unique_together"
)
_NOT_FOUND: Final = _Refusal(
    404, "task-result-not-found", "No results were found for this task id."
)
_UNAVAILABLE: Final = _Refusal(503, "unavailable")

#: By code and reason; where no reason is named, the others of the code are meant.
_TABLE: Final[Mapping[tuple[StatusCode, str], _Pair | _Refusal]] = {
    (StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND"): _Pair("service", INVALID_SERVICE),
    (StatusCode.NOT_FOUND, "ACTION_NOT_FOUND"): _Pair("action", INVALID_ACTION),
    (StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND"): _Pair("account", NO_SUCH_ACCOUNT),
    (StatusCode.NOT_FOUND, "FILE_NOT_FOUND"): _Pair(_ALL, _NO_SUCH_FILE),
    (StatusCode.NOT_FOUND, "STREAM_NOT_FOUND"): _Refusal(400, "invalid"),
    (StatusCode.NOT_FOUND, ""): _NOT_FOUND,
    (StatusCode.FAILED_PRECONDITION, ""): _NOT_FOUND,
    (StatusCode.ALREADY_EXISTS, "ACCOUNT_EXISTS"): _Pair(_ALL, _ACCOUNT_EXISTS),
    (StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED"): _Pair(_ALL, _TOO_MUCH),
    (StatusCode.INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE"): _Pair(_ALL, _TOO_MUCH),
    (StatusCode.INVALID_ARGUMENT, ""): _Pair(_ALL, Problem("", "")),
    (StatusCode.UNAUTHENTICATED, ""): _Refusal(401, "invalid-token", "Invalid token."),
    (StatusCode.PERMISSION_DENIED, ""): _Refusal(403, "not-permitted"),
    (StatusCode.RESOURCE_EXHAUSTED, ""): _UNAVAILABLE,
    (StatusCode.UNAVAILABLE, ""): _UNAVAILABLE,
    (StatusCode.DEADLINE_EXCEEDED, ""): _UNAVAILABLE,
    (StatusCode.CANCELLED, ""): _UNAVAILABLE,
}
_UNFORESEEN: Final = _Refusal(500, "server-error")

#: Of faults that the gateway finds itself, and of paths and methods that there are none.
_BY_STATUS: Final[Mapping[int, str]] = {
    403: "not-permitted",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
}

_CODES: Final[Mapping[str, str]] = {
    "MISSING": "missing-param",
    "NOT_PERMITTED": "invalid_parameter_value",
}
_ARGUMENT: Final = re.compile(r"spec\.actions\[0\]\.arguments\.(?P<slug>[^.\[]+)")


def missing(name: str) -> Problem:
    return Problem(f"Parameter {name} is missing", "missing-param")


def not_allowed(name: str, why: str) -> Problem:
    return Problem(f"Value not allowed for parameter {name}: {why}", "invalid_parameter_value")


def invalid(message: str) -> Refused:
    """Return the refusal of a form of which no single field is wrong."""
    return Refused({_ALL: [Problem(message, "invalid")]})


def refused(problems: Mapping[str, Sequence[Problem]], *, with_error: bool) -> JSONResponse:
    """Return the answer to a form with problems.

    `with_error` adds the first of them once more as `error`, which the client reads.
    """
    document: dict[str, Any] = {"errors": problems, "success": False}
    if with_error:
        first = next(iter(problems.values()))[0]
        document["error"] = first.message
    return JSONResponse(document)


def failed(
    status: int, error: str, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the answer to what no form can help."""
    return JSONResponse(failure(error, message), status, headers)


def failure(error: str, message: str) -> dict[str, Any]:
    """Return the document of what went wrong, whatever it was."""
    return {"message": message, "success": False, "error": error}


def problems_of(error: CallError) -> Mapping[str, Sequence[Problem]] | None:
    """Return what is wrong with a form by what the server says; None if it is not the form."""
    told = _told(error)
    if not isinstance(told, _Pair):
        return None
    field, (message, code) = told
    violations = error.failure.violations
    if field != _ALL or not violations:
        return {field: [Problem(message or str(error), code or "invalid")]}
    problems: dict[str, list[Problem]] = {}
    for violation in violations:
        field, problem = _problem(violation)
        problems.setdefault(field, []).append(problem._replace(code=code or problem.code))
    return problems


def answer_to(error: CallError) -> Response:
    """Return the answer to what the form is not at fault for."""
    told = _told(error)
    if isinstance(told, _Pair):
        told = _Refusal(400, told.problem.code or "invalid")
    headers: dict[str, str] = {}
    if told.status == 401:
        headers["www-authenticate"] = "Token"
    if told.status == 503:
        headers["retry-after"] = str(math.ceil(error.retry_after or 5))
    return failed(told.status, told.error, told.message or str(error), headers)


def failed_by_fault(fault: Fault) -> Response:
    """Return the answer to what cannot be read at all."""
    return failed(fault.status, _BY_STATUS.get(fault.status, "invalid"), str(fault))


def failed_by_http(error: HTTPException) -> Response:
    """Return the answer to a path or a method that there is not."""
    name = _BY_STATUS.get(error.status_code, "invalid")
    return failed(error.status_code, name, error.detail, error.headers)


def _told(error: CallError) -> _Pair | _Refusal:
    known = _TABLE.get((error.code, error.reason)) or _TABLE.get((error.code, ""))
    return known or _UNFORESEEN


def _problem(violation: Violation) -> tuple[str, Problem]:
    """Return which field a violation is of, and what is wrong with it."""
    argument = _ARGUMENT.match(violation.field)
    if argument is None:
        field = violation.field.removeprefix("spec").removeprefix(".") or _ALL
        code = _CODES.get(violation.reason, "invalid")
        return field, Problem(violation.description, code)
    name = argument["slug"]
    if violation.reason == "MISSING":
        return name, missing(name)
    return name, not_allowed(name, violation.description)
