"""Calls: what each path of asapi does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from longshore.client import (
    AlreadyExists,
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    Relayed,
)
from longshore.gateway.asapi import shapes
from longshore.gateway.asapi.channel import listening
from longshore.gateway.asapi.errors import NO_SUCH_ACCOUNT, Problem, Refused, failed
from longshore.gateway.asapi.forms import Form, form_of, ids_of
from longshore.gateway.asapi.store import Store
from longshore.gateway.asapi.submissions import account_of, submit
from longshore.gateway.dialects import Gateway, is_id
from longshore.v1.operation_pb2 import DeliveryState, State
from longshore.v1.server_service_pb2 import GetCallerResponse
from longshore.v1.task_service_pb2 import BatchGetTasksRequest, BatchGetTasksResponse, Task

_TOKEN: Final = re.compile(r"token[ \t]+([\x21-\x7e]+)[ \t]*", re.IGNORECASE)

#: What it takes to acknowledge results, without which none can be handed out.
_TAKER: Final = "submitter"

_SUCCESS: Final = {"success": True}
_ENDED: Final = frozenset({State.STATE_SUCCEEDED, State.STATE_FAILED, State.STATE_CANCELED})


class Asapi:
    """Answers requests. Raises `CallError`, `Refused` and `Fault` for what is wrong with them."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._store = Store()

    # Control

    async def account(self, request: Request) -> Response:
        """Tell what may be asked for, and where."""
        client, caller = await self._caller(request)
        services = await client.catalog.services()
        return _json(shapes.account(caller, services, self._base(request)))

    async def register(self, request: Request) -> Response:
        """Register an account, for which work can be asked for then."""
        client, _, form = await self._form(request)
        service, username = await account_of(client, form)
        try:
            await client.catalog.register_account(service, username)
        except AlreadyExists:
            if not self._gateway.settings.asapi_register_again:
                raise
        return _json(_SUCCESS)

    async def deregister(self, request: Request) -> Response:
        """Forget an account."""
        client, _, form = await self._form(request)
        service, username = await account_of(client, form)
        try:
            await client.catalog.deregister_account(service, username)
        except NotFound:
            raise Refused({"username": [NO_SUCH_ACCOUNT]}) from None
        return _json(_SUCCESS)

    async def submit(self, request: Request) -> Response:
        """Submit a task. Fields that its action has no parameter for mean nothing."""
        client, caller, form = await self._form(request)
        delivery = shapes.delivery_of(caller)
        task = await submit(client, form, delivery)
        submitted = {
            "task_id": task.id,
            "retrieval_protocol": shapes.protocol_of(delivery),
            "stream": caller.stream,
        }
        return _json({**submitted, **_SUCCESS})

    async def status(self, request: Request) -> Response:
        """Tell how tasks stand."""
        client, _, form = await self._form(request)
        found = await _tasks(client, ids := ids_of(form))
        endpoint = self._endpoint(request)
        entries: dict[str, Any] = {}
        for one in ids:
            task = found.get(one.lower())
            entries[one] = shapes.UNKNOWN if task is None else shapes.entry(task, endpoint)
        return _json({**entries, **_SUCCESS})

    async def consumed(self, request: Request) -> Response:
        """Take note of results that have arrived, all but those that cannot have.

        Those of tasks that there are not, or no more, are consumed as much as can be: repeating
        it changes nothing.
        """
        client, _, form = await self._form(request)
        ids = ids_of(form)
        try:
            await client.tasks.acknowledge(*ids)
        except (NotFound, FailedPrecondition):
            await _consume_some(client, ids)
        return _json(_SUCCESS)

    # Results

    async def fetch(self, request: Request) -> Response:
        """Hand a result out, once, or say what became of its task instead."""
        client, caller = await self._caller(request)
        if _TAKER not in caller.roles:
            return failed(403, "not-permitted", f"this needs the role {_TAKER}")
        task_id = request.path_params["task_id"]
        if not is_id(task_id):
            return failed(400, "invalid", f"Invalid task_id value: {task_id[:100]}")
        try:
            return await self._store.handing_out(client, task_id.lower())
        except FailedPrecondition:
            task = (await client.tasks.get(task_id.lower())).message
            if task.status.state in _ENDED:
                return _json(shapes.unsuccessful(task), 404)
            raise

    async def stream(self, request: Request) -> Response:
        """Begin to stream the results of the caller's channel."""
        client, caller, form = await self._form(request)
        stream = request.query_params.get("stream") or form.get("stream", [""])[0]
        if not stream or stream not in (caller.stream, caller.principal):
            return failed(400, "invalid", f"Invalid stream value: {stream[:100]}")
        try:
            return await listening(client, stream)
        except PermissionDenied as error:
            # After any other refusal but this and 503 clients are back at once, for ever.
            return failed(401, "not-permitted", str(error), {"www-authenticate": "Token"})

    # Requests

    async def _caller(self, request: Request) -> tuple[Relayed, GetCallerResponse]:
        """Return what asks for the caller, who is known to the servers then."""
        shown = _TOKEN.fullmatch(request.headers.get("authorization", ""))
        client = self._gateway.way.of(request, f"Bearer {shown[1]}" if shown else None)
        return client, await client.server.caller()

    async def _form(self, request: Request) -> tuple[Relayed, GetCallerResponse, Form]:
        client, caller = await self._caller(request)
        return client, caller, await form_of(request, self._gateway.settings.limits)

    def _base(self, request: Request) -> str:
        return self._gateway.links.base(request)

    def _endpoint(self, request: Request) -> Callable[[str], str]:
        base = self._base(request)
        return lambda task_id: f"{base}/fetch/{task_id}/"


def _json(document: Mapping[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")


async def _tasks(client: Relayed, ids: Sequence[str]) -> dict[str, Task]:
    """Return those tasks that there are, by id."""
    request = BatchGetTasksRequest(ids=list(dict.fromkeys(one.lower() for one in ids)))
    found = await client.ask(request, BatchGetTasksResponse)
    return {task.metadata.id: task for task in found.tasks}


async def _consume_some(client: Relayed, ids: Sequence[str]) -> None:
    """Acknowledge what can be. Raises `Refused` with the ids that are not to be consumed."""
    tasks = await _tasks(client, ids)
    refused: list[str] = []
    delivered: list[str] = []
    for one in ids:
        task = tasks.get(one.lower())
        if task is None:
            continue
        if not _can_be_fetched(task):
            refused.append(one)
        elif task.status.HasField("delivery"):
            delivered.append(one)
    if delivered:
        await client.tasks.acknowledge(*delivered)
    if refused:
        problems = [Problem(f"Invalid task_id value: {one}", "invalid") for one in refused]
        raise Refused({"task_ids": problems})


def _can_be_fetched(task: Task) -> bool:
    ongoing = task.status.delivery.state >= DeliveryState.DELIVERY_STATE_ONGOING
    return ongoing or task.status.state in _ENDED
