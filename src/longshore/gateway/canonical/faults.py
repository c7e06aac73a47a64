"""Faults: what is wrong with a request, as `google.rpc.Status` in JSON, and its status of HTTP."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from starlette.responses import Response

from longshore.client import CallError, Violation
from longshore.gateway.canonical.printing import printed
from longshore.gateway.faults import Fault, TooLarge
from longshore.gateway.sites import CrossSite

JSON: Final = "application/json"

_DOMAIN: Final = "longshore.dev"  #: Of reasons, as servers name it.
_NOTHING: Final[Mapping[str, str]] = {}

#: As `google.rpc.Code` says.
HTTP: Final[Mapping[int, int]] = {
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.UNAUTHENTICATED: 401,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
}


class Invalid(Fault):
    """Fields of a request cannot be as they are; all of them are named."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        told = "; ".join(f"{one.field}: {one.description}" for one in violations)
        super().__init__(told, violations[0].field)
        self.violations = tuple(violations)


def of_call(error: CallError) -> Response:
    """Return the answer that tells why a call failed, with all its details."""
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(math.ceil(error.retry_after), 1))
    return told(error.failure.status, headers=headers)


def of_fault(fault: Fault) -> Response:
    """Return the answer to a request that was not even asked."""
    if isinstance(fault, CrossSite):
        return told(status(Code.PERMISSION_DENIED, str(fault)))
    violations = fault.violations if isinstance(fault, Invalid) else ()
    if not violations and fault.field:
        violations = (Violation(fault.field, str(fault), "INVALID"),)
    reason = "PAYLOAD_TOO_LARGE" if isinstance(fault, TooLarge) else "INVALID_FIELD"
    details: list[Message] = [ErrorInfo(reason=reason, domain=_DOMAIN)]
    if violations:
        details.append(
            BadRequest(
                field_violations=[
                    BadRequest.FieldViolation(
                        field=one.field, description=one.description, reason=one.reason
                    )
                    for one in violations
                ]
            )
        )
    return told(status(Code.INVALID_ARGUMENT, str(fault), *details), fault.status)


def status(code: Code.ValueType, message: str, *details: Message) -> Status:
    made = Status(code=code, message=message)
    for detail in details:
        made.details.add().Pack(detail)
    return made


def told(
    status: Status, http_status: int | None = None, headers: Mapping[str, str] = _NOTHING
) -> Response:
    """Return a status as an answer, by default with the status of HTTP that fits its code."""
    code = http_status or HTTP.get(status.code, 500)
    challenge = {"www-authenticate": 'Bearer realm="longshore"'} if code == 401 else {}
    return Response(printed(status), code, {**challenge, **headers}, JSON)
