"""Routes: the six operations of the contract, and where results are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from longshore.client import Fetching, Relayed
from longshore.gateway.dialects import Gateway
from longshore.gateway.faults import Malformed, UnsupportedMedia
from longshore.gateway.pouring import Streamed
from longshore.gateway.requests import object_of
from longshore.gateway.vitam import facts
from longshore.gateway.vitam.headers import authorization_of, documented, tenant_of
from longshore.gateway.vitam.instructions import followed, found, instruction_of, meant, named
from longshore.gateway.vitam.paging import (
    Listing,
    is_token,
    listing_at,
    listing_of,
    slice_of,
)
from longshore.gateway.vitam.shapes import async_status, service_status, task_link
from longshore.gateway.vitam.submission import submission_of
from longshore.v1.task_service_pb2 import Task


@dataclass(frozen=True, slots=True)
class Tasks:
    """Serves the operations on tasks."""

    gateway: Gateway

    async def list_tasks(self, request: Request) -> Response:
        """List the ids of tasks. The body may be sent by POST with an
        `X-Http-Method-Override: GET`, or its members as parameters of the URL.
        """
        asker = self._asker(request)
        listing = listing_of(await self._body(request), request.query_params)
        return await self._slice(request, listing, asker)

    async def submit_task(self, request: Request) -> Response:
        """Submit a task. A second one with the same `X-RequestId` finds the first."""
        asker = self._asker(request)
        submission = submission_of(await self._body(request))
        task = (await asker.tasks.submit(submission)).message
        location = {"location": task_link(task, self.gateway.links.base(request))}
        return self._status(request, task, 201, location)

    async def instruct_tasks(self, request: Request) -> Response:
        """Cancel, hold or release the task that the body names."""
        asker = self._asker(request)
        body = await self._body(request)
        instruction = instruction_of(body)
        task = await meant(body, asker)
        return self._status(request, await followed(task, instruction, asker))

    async def get_task(self, request: Request) -> Response:
        """Tell how a task stands or, for the `next` of a list, how that goes on."""
        asker = self._asker(request)
        id_async = request.path_params["id_async"]
        if is_token(id_async):
            return await self._slice(request, listing_at(id_async), asker)
        return self._status(request, await found(id_async, asker))

    async def instruct_task(self, request: Request) -> Response:
        """Cancel, hold or release a task."""
        asker = self._asker(request)
        body = await self._body(request)
        instruction = instruction_of(body)
        task = await found(named(body, request.path_params["id_async"]), asker)
        return self._status(request, await followed(task, instruction, asker))

    async def get_result(self, request: Request) -> Response:
        """Give the result of a task, as long as the task is kept."""
        asker = self._asker(request)
        task = await found(request.path_params["id_async"], asker)
        fetching = asker.tasks.fetch(task.metadata.id, acknowledge=False)
        content_type = await fetching.begin() or "application/octet-stream"
        headers = {**documented(request), "content-type": content_type}
        return Streamed(_pieces(fetching), headers=headers)

    async def get_status(self, request: Request) -> Response:
        """Tell how the service is, whatever the tenant."""
        asker = self.gateway.way.of(request, authorization_of(request), tenant="")
        return _json(request, service_status(await asker.server.status()))

    def _asker(self, request: Request) -> Relayed:
        """Return what asks for the sender. Raises `NoKey` and `NotMet`."""
        authorization = authorization_of(request)
        return self.gateway.way.of(request, authorization, tenant=tenant_of(request))

    async def _body(self, request: Request) -> dict[str, Any]:
        """Return the object of a body; what says that it is no JSON may yet be some."""
        try:
            return await object_of(request, self.gateway.settings.limits)
        except Malformed:
            kind = request.headers.get("content-type", "json").partition(";")[0].strip()
            if kind.lower().endswith("json"):
                raise
            raise UnsupportedMedia(f"expected application/json, not {kind}") from None

    async def _slice(self, request: Request, listing: Listing, asker: Relayed) -> Response:
        return _json(request, await slice_of(listing, asker))

    def _status(
        self,
        request: Request,
        task: Task,
        code: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        shown = async_status(task, self.gateway.links.base(request))
        return _json(request, shown, code, headers)


def add_routes(application: FastAPI, gateway: Gateway) -> None:
    """Add the operations of the contract to an application."""
    tasks = Tasks(gateway)
    add = application.add_api_route
    add("/tasks", tasks.list_tasks, methods=["GET"], **facts.LIST)
    add("/tasks", tasks.submit_task, methods=["POST"], **facts.SUBMIT)
    add("/tasks", tasks.instruct_tasks, methods=["PUT"], **facts.INSTRUCT_ONE_OF)
    add("/tasks/{id_async}", tasks.get_task, methods=["GET"], **facts.GET)
    add("/tasks/{id_async}", tasks.instruct_task, methods=["PUT"], **facts.INSTRUCT)
    add("/tasks/{id_async}/result", tasks.get_result, methods=["GET"], **facts.RESULT)
    add("/status", tasks.get_status, methods=["GET"], **facts.STATUS)


def _json(
    request: Request,
    content: Any,
    code: int = 200,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    return JSONResponse(content, code, {**documented(request), **(headers or {})})


async def _pieces(fetching: Fetching) -> AsyncIterator[bytes]:
    async with fetching:
        async for piece in fetching:
            yield piece
