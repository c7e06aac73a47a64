"""Errors as servers tell them, and what a dialect makes of them."""

from __future__ import annotations

from typing import Any

import httpx
from fastapi import FastAPI
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from starlette.requests import Request
from starlette.responses import Response

from longshore.client import CallError
from longshore.client.errors import call_error
from longshore.gateway.access_log import AccessLog


def refusal(code: StatusCode, reason: str = "", retry_after: float = 0.0) -> CallError:
    """Return what a server says; one without a reason was said by nobody."""
    details: list[Message] = []
    if reason:
        details.append(ErrorInfo(reason=reason, domain="longshore.dev"))
    if retry_after:
        delay = Duration(nanos=round(retry_after * 1e9) % 10**9, seconds=int(retry_after))
        details.append(RetryInfo(retry_delay=delay))
    status = Status(code=int(code.value[0]), message="10.0.0.7: why")
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return call_error(status)


async def told(handlers: dict[Any, Any], error: Exception) -> httpx.Response:
    """Return how an error of a route is told."""

    async def fail(request: Request) -> Response:
        raise error

    app = FastAPI(exception_handlers=handlers)
    app.add_api_route("/", fail, response_class=Response)
    transport = httpx.ASGITransport(AccessLog(app, ()), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://office") as http:
        return await http.get("/", headers={"x-request-id": "r-1"})
