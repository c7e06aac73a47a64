"""Submissions: step descriptions, made requests to run their plans.

The whole description, as it was sent, is the context: `arguments` are read from it and
`post_assign` writes to it, both by location paths such as `otherInfo/files[1]/name`. All that
is not read here stays in it as it is, action times and status too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from longshore.client import InvalidValue, to_struct
from longshore.gateway.vitam.errors import NotMet
from longshore.v1.operation_pb2 import (
    ActionCall,
    Assignment,
    Callback,
    CallbackFormat,
    Options,
)
from longshore.v1.task_service_pb2 import SubmitTaskRequest, TaskSpec

_HELD: Final = {"commit": False, "pending": True}


def submission_of(body: Mapping[str, Any]) -> SubmitTaskRequest:
    """Return the request that a step description asks for. Raises `NotMet`."""
    calls = [
        _call(_object(one, f"actions[{index}]"), f"actions[{index}]")
        for index, one in enumerate(_list(body, "actions", ""))
    ]
    try:
        context = to_struct(body)
    except InvalidValue as error:
        raise NotMet(str(error)) from None
    spec = TaskSpec(
        name=_text(body, "Step", ""), service=_service(calls), actions=calls, context=context
    )
    options = Options(suspended=_held(body.get("task_status")))
    if body.get("callback") is not None:
        options.callback.CopyFrom(_callback(_object(body["callback"], "callback")))
    return SubmitTaskRequest(
        spec=spec, options=options, request_id=_text(body, "X-RequestId", "")
    )


def _call(action: Mapping[str, Any], where: str) -> ActionCall:
    arguments = _object(action.get("arguments"), f"{where}.arguments")
    assigned = [
        _object(one, f"{where}.post_assign[{index}]")
        for index, one in enumerate(_list(action, "post_assign", where))
    ]
    return ActionCall(
        action=_text(action, "action", where),
        argument_paths={
            name: _text(arguments, name, f"{where}.arguments") for name in arguments
        },
        results=list(_object(action.get("results"), f"{where}.results")),
        assign=[
            Assignment(
                target=_text(one, "target", f"{where}.post_assign[{index}]"),
                value=_text(one, "result", f"{where}.post_assign[{index}]"),
            )
            for index, one in enumerate(assigned)
        ],
    )


def _service(calls: Sequence[ActionCall]) -> str:
    """Return the service of actions that are named `service/action`, and leave their names.

    A plan goes to one service: all of its actions name the same, or none does.
    """
    services = {call.action.rpartition("/")[0] for call in calls}
    if len(services) > 1:
        raise NotMet("all of them belong to one service", "actions")
    for call in calls:
        call.action = call.action.rpartition("/")[2]
    return "".join(services)


def _held(task_status: object) -> bool:
    if task_status is None:
        return False
    if not isinstance(task_status, str) or task_status not in _HELD:
        raise NotMet(f"expected one of {', '.join(_HELD)}", "task_status")
    return _HELD[task_status]


def _callback(callback: Mapping[str, Any]) -> Callback:
    return Callback(
        url=_text(callback, "uri", "callback"),
        method=_text(callback, "method", "callback").upper(),
        format=CallbackFormat.CALLBACK_FORMAT_VITAM,
    )


def _text(members: Mapping[str, Any], name: str, where: str) -> str:
    """Return a member that is a text; what is not there is an empty one."""
    value = members.get(name)
    if value is not None and not isinstance(value, str):
        raise NotMet("expected a string", _at(where, name))
    return value or ""


def _list(members: Mapping[str, Any], name: str, where: str) -> Sequence[object]:
    value = members.get(name)
    if value is not None and not isinstance(value, list):
        raise NotMet("expected a list", _at(where, name))
    return cast("list[object]", value or [])


def _object(value: object, where: str) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise NotMet("expected an object", where)
    return cast("dict[str, Any]", value or {})


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
