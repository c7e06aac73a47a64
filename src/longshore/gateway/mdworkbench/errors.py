"""Errors: the one table from what went wrong to a status, and the body that says it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import FastAPI
from grpc import StatusCode
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from longshore.client import CallError, InvalidValue
from longshore.gateway.dialects import allowed
from longshore.gateway.faults import Fault, NotAcceptable
from longshore.gateway.mdworkbench.representations import Media, accepted, rendered

log = structlog.get_logger()

#: Statuses by code, and by reason where that says more.
_STATUSES: Final[Mapping[StatusCode | tuple[StatusCode, str], HTTPStatus]] = {
    StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    (StatusCode.INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE"): HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    StatusCode.FAILED_PRECONDITION: HTTPStatus.CONFLICT,
    StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.SERVICE_UNAVAILABLE,
    (StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"): HTTPStatus.TOO_MANY_REQUESTS,
    StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    StatusCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
    # All others are nobody's fault but ours. So is UNAUTHENTICATED: `administrator` asks who
    # strangers are, and what else is not known is the gateway's own credential.
}
_RETRIED: Final = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})
_RETRY_SECONDS: Final = 5.0


class NotAuthenticated(Fault):
    """An administrator is needed, and nobody can be told to call."""

    status = 401


class NotAdministrator(Fault):
    """An administrator is needed, and somebody else calls."""

    status = 403


class NoMatch(Fault):
    """Nothing has the id."""

    status = 404


class Error(BaseModel):
    """Why a request was not served."""

    status: int
    message: str


def answer_errors(application: FastAPI) -> None:
    """Answer whatever is raised in the dialect's own shape."""
    application.add_exception_handler(Fault, _fault)
    application.add_exception_handler(CallError, _call_error)
    application.add_exception_handler(InvalidValue, _invalid_value)
    application.add_exception_handler(HTTPException, _no_route)
    application.add_exception_handler(Exception, _unforeseen)


def _fault(request: Request, error: Exception) -> Response:
    assert isinstance(error, Fault)
    basic = {"www-authenticate": 'Basic realm="MDWorkbench", charset="UTF-8"'}
    return _told(request, error.status, str(error), basic if error.status == 401 else {})


def _call_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, CallError)
    by_code = _STATUSES.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    status = _STATUSES.get((error.code, error.reason), by_code)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("call_failed", code=error.code.name, message=str(error))
        return _unforeseen(request, error)
    headers: dict[str, str] = {}
    if status in _RETRIED:
        headers["retry-after"] = str(math.ceil(error.retry_after or _RETRY_SECONDS))
    return _told(request, status, str(error), headers)


def _invalid_value(request: Request, error: Exception) -> Response:
    return _told(request, HTTPStatus.BAD_REQUEST, str(error), {})


def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers: dict[str, str] = {}
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["allow"] = allowed(request)
    return _told(request, error.status_code, error.detail, headers)


def _unforeseen(request: Request, _error: Exception) -> Response:
    told = f"internal error; the log has it as request {request.state.request_id}"
    return _told(request, HTTPStatus.INTERNAL_SERVER_ERROR, told, {})


def _told(request: Request, status: int, message: str, headers: Mapping[str, str]) -> Response:
    try:
        media = accepted(request)
    except NotAcceptable:
        media = Media.JSON
    body = rendered("error", Error(status=status, message=message), media)
    return Response(body, int(status), dict(headers), media)
