"""Vitam's worker tasks API, version 1: steps of actions, submitted, watched and canceled.

Every operation needs the platform key, which is an API token, before anything else is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from longshore.client import CallError
from longshore.gateway.dialects import Gateway, allowed
from longshore.gateway.faults import Fault
from longshore.gateway.vitam.errors import (
    NoKey,
    Problem,
    body_of,
    of_call,
    of_fault,
    of_status,
)
from longshore.gateway.vitam.headers import MethodOverride, authorization_of, documented
from longshore.gateway.vitam.routes import add_routes

Handler: TypeAlias = Callable[[Request, Any], Coroutine[Any, Any, Response]]

_TITLE: Final = "API-Vitam Version Alpha - Worker interne"

_DESCRIPTION: Final = """
A POST may stand for a PUT or a GET by `X-Http-Method-Override`, for clients that send no body
with a GET. Tenants are numbers. The whole step description is the context of its actions:
`arguments` are read from it by location paths (`otherInfo/files[1]/name`), and `post_assign`
writes to it. An action is one of any service, or `service/action`.

Queries are predicates joined by `&`: a field, one of `=` `!=` `<` `<=` `>` `>=`, and a value in
single quotes, with `*` at its ends or once within for anything. Fields are `name`, `since` and
those of an async status. `next` gets the next part of a list, as the member of a body or as the
id of a task.
"""


def application(gateway: Gateway) -> FastAPI:
    """Return the application of the contract, whose paths begin where it is mounted."""
    made = FastAPI(
        title=_TITLE,
        description=_DESCRIPTION,
        version="v1",
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers={
            Fault: _after_the_key(gateway, _of_fault),
            HTTPException: _after_the_key(gateway, _of_route),
            CallError: _of_call,
            Exception: _of_surprise,
        },
    )
    made.add_middleware(MethodOverride)
    add_routes(made, gateway)
    return made


def _after_the_key(gateway: Gateway, handler: Handler) -> Handler:
    """Let nobody know what is wrong with a request who has no right to make any."""

    async def handle(request: Request, error: Exception) -> Response:
        try:
            asking = gateway.way.knocking(request, authorization_of(request))
            await asking.server.caller()
        except NoKey as missing:
            return await _of_fault(request, missing)
        except CallError as refused:
            return await _of_call(request, refused)
        return await handler(request, error)

    return handle


async def _of_fault(request: Request, error: Fault) -> Response:
    return _answer(request, of_fault(error))


async def _of_call(request: Request, error: CallError) -> Response:
    return _answer(request, of_call(error))


async def _of_route(request: Request, error: HTTPException) -> Response:
    """Say that there is no such path or, at one, no such method."""
    answer = _answer(request, of_status(error.status_code))
    if error.status_code == 405:
        answer.headers["allow"] = allowed(request)
    return answer


async def _of_surprise(request: Request, _error: Exception) -> Response:
    return _answer(request, of_status(500))


def _answer(request: Request, problem: Problem) -> JSONResponse:
    headers = documented(request)
    if problem.retry_after is not None:
        headers["retry-after"] = str(max(1, round(problem.retry_after)))
    return JSONResponse(body_of(problem), problem.http_code, headers)
