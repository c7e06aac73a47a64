"""Results: what a function returned, as the operation keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from grpc import StatusCode

from longshore.worker import structs
from longshore.worker.errors import NotJson
from longshore.worker.failures import Failure, fail, failure_of

Outcome: TypeAlias = bytes | Failure  #: A serialized Struct, or why there is none.

_RESULT_BYTES: Final = 1024 * 1024


def outcome_of(action: str, value: Any) -> Outcome:
    """Return an action's result: an object as it is, None as nothing, else `{"value": …}`."""
    if value is None:
        return b""
    try:
        result = structs.encode(_object(value))
    except NotJson as error:
        return _no_json(action, error)
    if len(result) > _RESULT_BYTES:
        return _too_large(action, len(result))
    return result


def _object(value: Any) -> Mapping[str, Any]:
    if structs.is_model(value):
        value = structs.plain(value)
    if isinstance(value, Mapping):
        return value  # pyright: ignore[reportUnknownVariableType]
    return {"value": value}


def _no_json(action: str, error: NotJson) -> Failure:
    return fail(
        StatusCode.INTERNAL,
        f"action {action!r} returned something that is no JSON: {error}",
        "ACTION_FAILED",
        {"action": action, "type": "NotJson"},
        permanent=True,
    )


def _too_large(action: str, size: int) -> Failure:
    return fail(
        StatusCode.INVALID_ARGUMENT,
        f"action {action!r} returned {size} bytes; at most {_RESULT_BYTES} are kept: "
        "save larger data as files",
        "PAYLOAD_TOO_LARGE",
        {"field": "results", "limit": str(_RESULT_BYTES), "value": str(size)},
        permanent=True,
    )


def perform(action: str, function: Callable[..., Any], arguments: dict[str, Any]) -> Outcome:
    """Call a plain function to its end, in whatever thread or process this is."""
    try:
        return outcome_of(action, function(**arguments))
    except BaseException as error:  # noqa: BLE001  # also sys.exit() ends the attempt only
        return failure_of(error, action)
