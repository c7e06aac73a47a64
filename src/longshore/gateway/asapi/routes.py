"""Routes: the paths of asapi, and of its results, with and without their last slash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI, Request, Response, Security
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException

from longshore.client import CallError
from longshore.gateway.asapi import errors
from longshore.gateway.asapi.calls import Asapi
from longshore.gateway.asapi.channel import MEDIA_TYPE
from longshore.gateway.asapi.documents import (
    Account,
    Statuses,
    Submitted,
    Success,
    answering,
    answering_bytes,
    answering_form,
    form,
    parameter,
)
from longshore.gateway.dialects import Gateway
from longshore.gateway.faults import Fault

_TOKEN: Final = APIKeyHeader(
    name="Authorization", scheme_name="Token", description="`Token <TOKEN>`", auto_error=False
)
_SERVICE: Final = "A service, by its slug or its name."
_USERNAME: Final = "The name of the account at the service."
_IDS: Final = "Ids of tasks, up to 10,000, with commas between them, or one by one."


def application(gateway: Gateway) -> FastAPI:
    """Return asapi, with the store and the channel for its results."""
    app = FastAPI(
        title="ricloud asapi",
        version="2",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # A redirected POST becomes a GET.
        dependencies=[Security(_TOKEN)],
    )
    _add_routes(app, Asapi(gateway))
    _add_handlers(app, with_error=gateway.settings.asapi_error)
    return app


def _add_routes(app: FastAPI, asapi: Asapi) -> None:
    account = form(service=_SERVICE, username=_USERNAME)
    task = form(
        more=True,
        service=_SERVICE,
        action="One of its actions, by its slug or its name.",
        account="A registered account.",
    )
    ids = form(task_ids=_IDS)
    task_id = parameter("task_id", "path", "The id of the task.")
    stream = parameter("stream", "query", "The id of the stream, as a submit tells it.")

    def get(path: str, call: Callable[..., Any], responses: Any, **extra: Any) -> None:
        _add(app, "GET", path, call, responses, extra)

    def post(path: str, call: Callable[..., Any], model: Any, extra: Any) -> None:
        _add(app, "POST", path, call, answering_form(model), extra)

    get("/account", asapi.account, answering(Account))
    post("/register-account", asapi.register, Success, account)
    post("/deregister-account", asapi.deregister, Success, account)
    post("/submit-task", asapi.submit, Submitted, task)
    post("/task-status", asapi.status, Statuses, ids)
    post("/results-consumed", asapi.consumed, Success, ids)
    fetched = answering_bytes("application/json", 400, 404)
    get("/fetch/{task_id}", asapi.fetch, fetched, **task_id)
    get("/stream", asapi.stream, answering_bytes(MEDIA_TYPE, 400, 413, 415), **stream)


def _add(
    app: FastAPI,
    method: str,
    path: str,
    call: Callable[..., Any],
    responses: Any,
    extra: dict[str, Any],
) -> None:
    """Add a path, which is documented with its last slash, and without it as well."""
    for written in (f"{path}/", path):
        app.add_api_route(
            written,
            call,
            methods=[method],
            response_model=None,
            response_class=Response,
            responses=responses,
            openapi_extra=extra,
            include_in_schema=written != path,
        )


def _add_handlers(app: FastAPI, *, with_error: bool) -> None:
    @app.exception_handler(errors.Refused)
    async def refused(_: Request, error: errors.Refused) -> Response:
        return errors.refused(error.problems, with_error=with_error)

    @app.exception_handler(CallError)
    async def not_served(request: Request, error: CallError) -> Response:
        problems = errors.problems_of(error) if request.method == "POST" else None
        if problems is None:
            return errors.answer_to(error)
        return errors.refused(problems, with_error=with_error)

    @app.exception_handler(Fault)
    async def not_read(_: Request, error: Fault) -> Response:
        return errors.failed_by_fault(error)

    @app.exception_handler(HTTPException)
    async def not_there(_: Request, error: HTTPException) -> Response:
        return errors.failed_by_http(error)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, _: Exception) -> Response:
        return errors.failed(500, "server-error", f"Request {request.state.request_id} failed.")
