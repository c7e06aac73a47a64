"""Plans: the ordered action calls of an operation, and what each hands to the next.

The server steps a plan: it resolves one action's arguments from the context, a worker runs
the action, and its report's transaction writes results and assignments back before the next
action is handed out under the same lease. A crash therefore resumes at the unfinished action.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

from longshore.core import locating, paths
from longshore.core.failures import Code, Failure
from longshore.core.operations import Operation

Object: TypeAlias = paths.Object


class Assign(NamedTuple):
    """Write a value to a place in the context after the action."""

    target: paths.Target
    value: paths.Value


class Call(NamedTuple):
    """One action of a plan."""

    action: str
    arguments: Object
    argument_paths: tuple[tuple[str, paths.Value], ...]
    results: tuple[str, ...]  #: Names to keep in the context; none: nothing is kept there.
    assigns: tuple[Assign, ...]


class Plan(NamedTuple):
    """What an operation asks for, read from its request."""

    service: str
    calls: tuple[Call, ...]
    context: Object  #: As it was at first.


class SimpleCall(NamedTuple):
    """The only action of an operation without a plan, its arguments still encoded."""

    service: str
    action: str
    arguments: bytes


class Codec(Protocol):
    """Reads the opaque documents that the core otherwise only passes on."""

    def plan(self, request: bytes) -> Plan: ...
    def call(self, request: bytes) -> SimpleCall: ...
    def encode(self, value: Object) -> bytes: ...
    def decode(self, document: bytes) -> Object: ...
    def callback(self, request: bytes, operation: Operation, action: str) -> bytes:
        """Return the request of a task that calls what the request of an operation asks for."""
        ...

    def failure(
        self, code: int, message: str, reason: str, facts: dict[str, str]
    ) -> Failure: ...

    def explained(self, failure: Failure, action: str) -> Failure:
        """Return a failure that gave no reason with one: that the action failed."""
        ...


class StepFailed(Exception):
    """An action's arguments or assignments cannot be resolved."""

    def __init__(self, message: str, facts: dict[str, str]) -> None:
        super().__init__(message)
        self.facts = facts

    def failure(self, codec: Codec) -> Failure:
        return codec.failure(Code.NOT_FOUND, str(self), "PATH_NOT_FOUND", self.facts)


def arguments(plan: Plan, step: int, context: Object) -> Object:
    """Return the arguments of one action. Raises `StepFailed` naming what is missing."""
    call = plan.calls[step]
    resolved = dict(call.arguments)
    for name, value in call.argument_paths:
        try:
            resolved[name] = locating.evaluate(value, context, plan.context)
        except paths.PathError as error:
            raise StepFailed(
                f"action {call.action!r}, argument {name!r}: {error}",
                {"action": call.action, "argument": name, "path": error.path},
            ) from error
    return resolved


def absorb(plan: Plan, step: int, context: Object, results: Object) -> Object:
    """Return the context after an action: kept results first, then assignments in order.

    The value of an assignment is looked up in the context with all results laid over it.
    Raises `StepFailed`.
    """
    call = plan.calls[step]
    after = {**context, **{name: results[name] for name in call.results if name in results}}
    for assign in call.assigns:
        try:
            value = locating.evaluate(assign.value, {**after, **results}, plan.context)
            after = locating.assign(assign.target, after, value)
        except paths.PathError as error:
            raise StepFailed(
                f"action {call.action!r}, assignment to {str(assign.target)!r}: {error}",
                {"action": call.action, "path": error.path},
            ) from error
    return after
