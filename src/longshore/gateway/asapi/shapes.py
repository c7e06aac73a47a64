"""Shapes: services, tasks and outcomes as asapi shows them. Its booleans are booleans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from longshore.gateway.asapi.errors import INVALID_ACTION, INVALID_SERVICE, Refused, failure
from longshore.v1.catalog_service_pb2 import Parameter, ParameterType, Service, ServiceAction
from longshore.v1.operation_pb2 import DeliveryMode, DeliveryState, State
from longshore.v1.server_service_pb2 import GetCallerResponse
from longshore.v1.task_service_pb2 import Task

STORE: Final = "asstore"
CHANNEL: Final = "aschannel"

UNKNOWN: Final = {"success": False, "error": "No task with this ID was found."}
_ONGOING: Final = "Publish ongoing, with result available"
_UNSUCCESSFUL: Final = "Task did not complete successfully."

_WAITING: Final = frozenset({State.STATE_QUEUED, State.STATE_SUSPENDED})
_UNDER_WAY: Final = {
    DeliveryState.DELIVERY_STATE_PENDING: "Work complete",
    DeliveryState.DELIVERY_STATE_ONGOING: _ONGOING,
    DeliveryState.DELIVERY_STATE_COMPLETE: _ONGOING,
}


def delivery_of(caller: GetCallerResponse) -> DeliveryMode.ValueType:
    """Return how results reach a caller: by the store, unless a channel was agreed upon."""
    if caller.delivery == DeliveryMode.DELIVERY_MODE_CHANNEL:
        return DeliveryMode.DELIVERY_MODE_CHANNEL
    return DeliveryMode.DELIVERY_MODE_STORE


def protocol_of(mode: DeliveryMode.ValueType) -> str:
    return CHANNEL if mode == DeliveryMode.DELIVERY_MODE_CHANNEL else STORE


def account(
    caller: GetCallerResponse, services: Iterable[Service], base: str
) -> dict[str, Any]:
    """Return what a caller may ask for, and where. `base` is the absolute URL of the mount."""
    protocol = protocol_of(delivery_of(caller))
    results = "/stream/" if protocol == CHANNEL else "/fetch/"
    return {
        "services": [_service(one) for one in services if one.slug],
        "task_submission_endpoint": _endpoint(f"{base}/submit-task/"),
        "stream_endpoints": [_endpoint(base + results)],
        "retrieval_protocol": protocol,
    }


def service_of(services: Iterable[Service], name: str) -> Service:
    """Return a service by its slug or its name. Raises `Refused`."""
    named = [one for one in services if one.slug and name in (one.slug, one.name)]
    if not named:
        raise Refused({"service": [INVALID_SERVICE]})
    return min(named, key=lambda one: one.slug != name)


def action_of(service: Service, name: str) -> ServiceAction:
    """Return an action by its slug or its name. Raises `Refused`."""
    named = [one for one in service.actions if name in (one.slug, one.name)]
    if not named:
        raise Refused({"action": [INVALID_ACTION]})
    return min(named, key=lambda one: one.slug != name)


def entry(task: Task, endpoint: Callable[[str], str]) -> dict[str, Any]:
    """Return how a task stands. `endpoint` tells where the result of an id can be fetched."""
    status = task.status
    state, delivery = status.state, status.delivery.state
    if state in _WAITING:
        return _in_flight("Pending")
    if state == State.STATE_RUNNING:
        told = _UNDER_WAY.get(delivery, "In progress")
        return _available(task, told, endpoint) if told == _ONGOING else _in_flight(told)
    if state == State.STATE_SUCCEEDED:
        return _available(task, "Publish complete", endpoint)
    if (state, delivery) == (State.STATE_FAILED, DeliveryState.DELIVERY_STATE_FAILED):
        return _failed(task, "Publish failed", _UNSUCCESSFUL, endpoint)
    return _failed(task, _UNSUCCESSFUL, _why(task), endpoint)


def unsuccessful(task: Task) -> dict[str, Any]:
    """Return what stands in the place of the result of a task that failed or was canceled."""
    canceled = task.status.state == State.STATE_CANCELED
    return failure("task-canceled" if canceled else "task-failed", _why(task))


def _in_flight(told: str) -> dict[str, Any]:
    return {"status": told, "result_retrieved": False, "success": False}


def _available(task: Task, told: str, endpoint: Callable[[str], str]) -> dict[str, Any]:
    return {"status": told, **_retrieval(task, endpoint), "success": True}


def _failed(task: Task, told: str, why: str, endpoint: Callable[[str], str]) -> dict[str, Any]:
    return {"status": told, **_retrieval(task, endpoint), "success": False, "error": why}


def _retrieval(task: Task, endpoint: Callable[[str], str]) -> dict[str, Any]:
    """Return how what came of a task is had. What has failed has an endpoint, too: the client
    waits for it until it has fetched something.
    """
    delivery = task.status.delivery
    retrieved = delivery.HasField("retrieve_time")
    if delivery.mode == DeliveryMode.DELIVERY_MODE_CHANNEL:
        return {"retrieval_protocol": CHANNEL, "result_retrieved": retrieved}
    return {
        "retrieval_protocol": STORE,
        "retrieval_endpoint": endpoint(task.metadata.id),
        "result_retrieved": retrieved,
    }


def _why(task: Task) -> str:
    status = task.status
    if status.state == State.STATE_CANCELED:
        return status.message or "The task was canceled."
    return status.error.message or _UNSUCCESSFUL


def _endpoint(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {"host": parts.netloc, "protocol": parts.scheme, "uri": parts.path}


def _service(service: Service) -> dict[str, Any]:
    return {
        "name": service.name or service.slug,
        "slug": service.slug,
        "actions": [_action(one) for one in service.actions],
    }


def _action(action: ServiceAction) -> dict[str, Any]:
    return {
        "name": action.name or action.slug,
        "slug": action.slug,
        "description": action.description,
        "execution": "Asynchronous",
        "parameters": [_parameter(one) for one in action.parameters],
        "permissions": {
            one.slug: _texts(one.values) for one in action.parameters if one.values
        },
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name or parameter.slug,
        "slug": parameter.slug,
        "type": ParameterType.Name(parameter.type).removeprefix("PARAMETER_TYPE_").lower(),
        "description": parameter.description,
        "optional": parameter.optional,
    }


def _texts(values: Sequence[str]) -> list[str]:
    return list(values)
