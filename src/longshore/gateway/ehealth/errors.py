"""Errors: the one table from what went wrong to eHealth's envelope."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from grpc import StatusCode
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from longshore.client import CallError
from longshore.gateway import faults
from longshore.gateway.ehealth.shapes import Failure, Fault, Meta
from longshore.gateway.links import Links


class Answer(NamedTuple):
    """How an error is told."""

    status: int
    type: str
    message: str


class Refused(Exception):
    """A request that is refused here, before a server is asked for the job."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.message)
        self.answer = answer


MALFORMED: Final = Answer(400, "request_malformed", "Invalid request format")
NO_BEARER: Final = Answer(
    401, "access_denied", "Authorization header is not set or doesn't contain Bearer token"
)
WRONG_BEARER: Final = Answer(401, "access_denied", "Invalid access token")
NO_API_KEY: Final = Answer(401, "access_denied", "Api key is not set")
WRONG_API_KEY: Final = Answer(401, "access_denied", "Invalid api key")
NO_SCOPE: Final = Answer(
    403,
    "forbidden",
    "Your scope does not allow to access this resource. Missing allowances: composition:read",
)
NO_SCOPE_AS_OF_OLD: Final = NO_SCOPE._replace(status=401, type="access_denied")
NO_ACCESS: Final = Answer(403, "forbidden", "Access denied")
NOT_FOUND: Final = Answer(404, "not_found", "Task not found")
TOO_MANY: Final = Answer(429, "too_many_requests", "Too many requests")
INTERNAL: Final = Answer(500, "internal_error", "Internal server error")
UNAVAILABLE: Final = Answer(503, "internal_error", "Service is temporarily unavailable")
TIMEOUT: Final = Answer(504, "internal_error", "Service did not answer in time")

_CODES: Final = MappingProxyType(
    {
        StatusCode.INVALID_ARGUMENT: MALFORMED,
        StatusCode.UNAUTHENTICATED: WRONG_BEARER,
        StatusCode.PERMISSION_DENIED: NO_ACCESS,
        StatusCode.NOT_FOUND: NOT_FOUND,
        StatusCode.RESOURCE_EXHAUSTED: TOO_MANY,
        StatusCode.UNAVAILABLE: UNAVAILABLE,
        StatusCode.DEADLINE_EXCEEDED: TIMEOUT,
    }
)

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

Handlers: TypeAlias = dict[
    int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]
]


@dataclass(frozen=True, slots=True)
class Errors:
    """Tells errors, with the URLs that they are about."""

    links: Links

    @property
    def handlers(self) -> Handlers:
        """By what is raised, as FastAPI takes them."""
        return {
            Refused: self._of_refused,
            CallError: self._of_call,
            faults.Fault: self._of_fault,
            HTTPException: self._of_http,
            Exception: self._of_surprise,
        }

    async def _of_refused(self, request: Request, error: Refused) -> Response:
        return self._failure(request, error.answer)

    async def _of_call(self, request: Request, error: CallError) -> Response:
        answer = _CODES.get(error.code, INTERNAL)
        retry = error.retry_after
        headers = {"retry-after": str(math.ceil(retry))} if retry else {}
        return self._failure(request, answer, headers)

    async def _of_fault(self, request: Request, fault: faults.Fault) -> Response:
        return self._failure(request, NO_ACCESS if fault.status == 403 else MALFORMED)

    async def _of_http(self, request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:  # It is told in no other words (5b.9).
            return self._failure(request, NOT_FOUND)
        answer = Answer(error.status_code, "method_not_allowed", error.detail)
        return self._failure(request, answer, error.headers or {})

    async def _of_surprise(self, request: Request, _: Exception) -> Response:
        return self._failure(request, INTERNAL)

    def _failure(
        self, request: Request, answer: Answer, headers: Mapping[str, str] = _NO_HEADERS
    ) -> Response:
        meta = Meta(
            url=self._url(request), request_id=request.state.request_id, code=answer.status
        )
        failure = Failure(meta=meta, error=Fault(type=answer.type, message=answer.message))
        challenge = {"www-authenticate": "Bearer"} if answer.status == 401 else {}
        return Response(
            failure.model_dump_json(),
            answer.status,
            {**headers, **challenge},
            "application/json",
        )

    def _url(self, request: Request) -> str:
        """Return what was asked for, as it was written."""
        path, query = request.scope["raw_path"], request.scope["query_string"]
        asked = path + b"?" + query if query else path
        return f"{self.links.origin(request)}{asked.decode('latin-1')}"
