"""Tracing: from which places of a plan's context the values of certain arguments come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from longshore.core import paths
from longshore.core.paths import Child, Concat, Path, Step, Value
from longshore.server.paths import parse_target, parse_value
from longshore.v1.operation_pb2 import ActionCall, Assignment

#: Names of parameters of a kind, by service and action: of those actions that have any.
Marked: TypeAlias = Mapping[tuple[str, str], frozenset[str]]


class Trace(NamedTuple):
    """Where values come from."""

    paths: dict[Path, None]  #: In the context; a set that keeps its order.
    assignments: list[Assignment]  #: That write them.


def any_marked(actions: Iterable[ActionCall], service: str, marked: Marked) -> bool:
    """Tell whether one of the actions has a parameter of the kind."""
    return bool(marked) and any((service, one.action) in marked for one in actions)


def trace(actions: Sequence[ActionCall], service: str, marked: Marked) -> Trace:
    """Follow marked arguments through a plan from its end to its beginning.

    What an assignment copies to the place of such a value is one as well. Predicates are not
    looked at, nor what is written over a value before it is read: rather too much is found
    than too little.
    """
    found = Trace({}, [])
    if not any_marked(actions, service, marked):
        return found
    places = _Places()
    for call in reversed(actions):
        for assignment in reversed(call.assign):
            if places.meet(names_of(parse_target(assignment.target).steps)):
                found.assignments.append(assignment)
                _add(parse_value(assignment.value), found, places)
        for name in marked.get((service, call.action), ()):
            text = call.argument_paths.get(name)
            if text is not None:
                _add(parse_value(text), found, places)
    return found


def _add(value: Value, found: Trace, places: _Places) -> None:
    for part in value.parts if isinstance(value, Concat) else (value,):
        if isinstance(part, Path) and part not in found.paths:
            found.paths[part] = None
            target = paths.as_target(part)
            places.add(names_of(target.steps if target is not None else ()))


def names_of(steps: Iterable[Step]) -> tuple[str, ...]:
    """Return the names on the way of a path."""
    return tuple(step.name for step in steps if isinstance(step, Child))


class _Places:
    """Places in a context, by the names that lead there."""

    def __init__(self) -> None:
        self._whole: set[tuple[str, ...]] = set()
        self._around: set[tuple[str, ...]] = set()  #: The places, and all that hold one.

    def add(self, names: tuple[str, ...]) -> None:
        self._whole.add(names)
        self._around.update(names[:count] for count in range(len(names) + 1))

    def meet(self, names: tuple[str, ...]) -> bool:
        """Tell whether a place holds one of these, is one, or is within one."""
        return names in self._around or any(
            names[:count] in self._whole for count in range(len(names))
        )
