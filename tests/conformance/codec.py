"""A codec of plain JSON, so that the suite needs neither the server nor its messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from longshore.core.failures import Failure
from longshore.core.operations import Operation, State
from longshore.core.paths import Child, Object, Path, Target, Value
from longshore.core.plans import Assign, Call, Plan, SimpleCall


def request_for(action: str = "scan", service: str = "", **arguments: Any) -> bytes:
    """Return the request of a single action."""
    return encoded({"service": service, "action": action, "arguments": arguments})


def plan_request(
    *calls: Mapping[str, Any], context: Mapping[str, Any] | None = None, service: str = ""
) -> bytes:
    """Return the request of a plan; see `step`."""
    return encoded({"service": service, "calls": calls, "context": context or {}})


def step(
    action: str,
    *,
    arguments: Mapping[str, Any] | None = None,
    paths: Mapping[str, str] | None = None,
    results: Sequence[str] = (),
    assign: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return one action of a plan; paths and assignments are names joined by `/`."""
    return {
        "action": action,
        "arguments": arguments or {},
        "paths": paths or {},
        "results": results,
        "assign": assign or {},
    }


def encoded(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class JsonCodec:
    """Implements `core.plans.Codec`."""

    def plan(self, request: bytes) -> Plan:
        read = json.loads(request)
        calls = tuple(
            Call(
                call["action"],
                call["arguments"],
                tuple((name, _value(text)) for name, text in call["paths"].items()),
                tuple(call["results"]),
                tuple(Assign(_target(to), _value(of)) for to, of in call["assign"].items()),
            )
            for call in read["calls"]
        )
        return Plan(read["service"], calls, read["context"])

    def call(self, request: bytes) -> SimpleCall:
        read = json.loads(request)
        return SimpleCall(read["service"], read["action"], encoded(read["arguments"]))

    def encode(self, value: Object) -> bytes:
        return encoded(value)

    def decode(self, document: bytes) -> Object:
        decoded: Object = json.loads(document or b"{}")
        return decoded

    def callback(self, request: bytes, operation: Operation, action: str) -> bytes:
        told = {"request": json.loads(request), "state": State(operation.state).name}
        return request_for(action, number=operation.number, **told)

    def explained(self, failure: Failure, action: str) -> Failure:
        return self.failure(failure.code, failure.message, "ACTION_FAILED", {"action": action})

    def failure(self, code: int, message: str, reason: str, facts: dict[str, str]) -> Failure:
        told = {"code": code, "message": message, "reason": reason, "facts": facts}
        return Failure(code, message, encoded(told))


def _steps(text: str) -> tuple[Child, ...]:
    return tuple(map(Child, text.split("/")))


def _value(text: str) -> Value:
    return Path(_steps(text))


def _target(text: str) -> Target:
    return Target(_steps(text))
