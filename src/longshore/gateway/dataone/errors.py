"""Errors: the one table from what went wrong to how Data One's APIs say so."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from grpc import StatusCode
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from longshore.client import CallError
from longshore.gateway.dataone.shapes import Failure, time_shape
from longshore.gateway.dialects import allowed
from longshore.gateway.faults import Fault

_CODES: Final = MappingProxyType(
    {
        StatusCode.INVALID_ARGUMENT: 400,
        StatusCode.UNAUTHENTICATED: 401,
        StatusCode.PERMISSION_DENIED: 403,
        StatusCode.NOT_FOUND: 404,
        StatusCode.RESOURCE_EXHAUSTED: 429,
        StatusCode.UNAVAILABLE: 503,
        StatusCode.DEADLINE_EXCEEDED: 504,
    }
)

#: Where the reason says more than the code.
_REASONS: Final = MappingProxyType({"PAYLOAD_TOO_LARGE": 413})

_TYPES: Final = MappingProxyType(
    {
        400: "request_syntax",
        401: "authentication",
        403: "authorization",
        404: "not_found",
        405: "method_not_allowed",
        406: "content_type",
        413: "request_size",
        415: "content_type",
        429: "too_many_requests",
        500: "internal",
        503: "unavailable",
        504: "timeout",
    }
)

_CHALLENGE: Final = 'Bearer realm="Data One", Basic realm="Data One", charset="UTF-8"'
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

#: What servers call what was sent, and what it is called here.
_FIELDS: Final = MappingProxyType(
    {
        "spec.contract": "contractName",
        "spec.action": "actionName",
        "spec.variables": "actionVariables",
        "spec.external_id": "extIPID",
        "page_token": "cursor",
    }
)
_FIELD: Final = re.compile("|".join(map(re.escape, _FIELDS)))

#: What is said where no server speaks: how they are reached is nobody's business.
_SILENCE: Final = "the service cannot answer at present"


async def _of_call(_: Request, error: Exception) -> Response:
    assert isinstance(error, CallError)
    status = _REASONS.get(error.reason) or _CODES.get(error.code, 500)
    told = _FIELD.sub(lambda found: _FIELDS[found[0]], str(error))
    message = told if error.reason or status < 500 else _SILENCE
    retry = error.retry_after
    return _failure(status, message, {"retry-after": str(math.ceil(retry))} if retry else {})


async def _of_fault(_: Request, error: Exception) -> Response:
    assert isinstance(error, Fault)
    return _failure(error.status, f"{error.field}: {error}" if error.field else str(error))


async def _of_parameters(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    return _failure(400, f"{first['loc'][1]}: {message}")


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = {"allow": allowed(request)} if error.status_code == 405 else {}
    return _failure(error.status_code, error.detail, headers)


async def _of_surprise(request: Request, _: Exception) -> Response:
    return _failure(500, f"something unforeseen, logged as {request.state.request_id}")


def _failure(status: int, message: str, headers: Mapping[str, str] = _NO_HEADERS) -> Response:
    failure = Failure(
        timestamp=time_shape(datetime.now(UTC)), message=message, error_type=_TYPES[status]
    )
    challenge = {"www-authenticate": _CHALLENGE} if status == 401 else {}
    return Response(
        failure.model_dump_json(by_alias=True),
        status,
        {**headers, **challenge},
        "application/json",
    )


#: By what is raised, as FastAPI takes them.
HANDLERS: Final[
    dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]]
] = {
    CallError: _of_call,
    Fault: _of_fault,
    RequestValidationError: _of_parameters,
    HTTPException: _of_http,
    Exception: _of_surprise,
}
