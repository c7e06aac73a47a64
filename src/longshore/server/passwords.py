"""Passwords: what reaches an argument that workers declare to be one is shown to nobody else.

A secret may stand in the arguments of a call, in a quoted literal of its plan, or in the
context that the plan reads. There is null, or an empty literal, in its place wherever an
operation or a contract is shown; what workers are given is kept in other documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from google.protobuf.struct_pb2 import Struct

from longshore.core import locating, paths
from longshore.core.paths import Child, Concat, Object, Path, Step, Value
from longshore.server import structs
from longshore.server.directory import Offers
from longshore.server.paths import parse_target, parse_value
from longshore.v1.operation_pb2 import ActionCall, Assignment

_NO_LITERAL: Final = "''"  #: What stands in the place of a secret one.


def any_passwords(actions: Iterable[ActionCall], service: str, offers: Offers) -> bool:
    """Tell whether one of the actions takes a password."""
    passwords = offers.passwords
    return bool(passwords) and any((service, one.action) in passwords for one in actions)


def secret_paths(actions: Sequence[ActionCall], service: str, offers: Offers) -> list[Path]:
    """Return where the context of a plan, as it is at first, may hold passwords."""
    return list(_traced(actions, service, offers).paths)


def hide(struct: Struct, secret: Iterable[Path]) -> bool:
    """Put null where paths lead, as far as they lead anywhere; tell whether one did."""
    found = False
    shown: Object = {}
    for path in secret:
        shown = shown or structs.to_object(struct)
        hidden = _without(shown, path)
        found |= hidden is not shown
        shown = hidden
    if found:
        struct.CopyFrom(structs.to_struct(shown))
    return found


def hide_in_calls(actions: Sequence[ActionCall], service: str, offers: Offers) -> bool:
    """Hide what stands in the calls of a plan themselves; tell whether there was anything.

    Ask for `secret_paths` before: what is hidden here can no longer be followed.
    """
    if not any_passwords(actions, service, offers):
        return False
    assignments = _traced(actions, service, offers).assignments
    found = False
    for call in actions:
        for name in offers.passwords.get((service, call.action), ()):
            found |= _hide_argument(call, name)
    for assignment in assignments:
        if not isinstance(parse_value(assignment.value), Path):
            assignment.value = _NO_LITERAL
            found = True
    return found


def hide_arguments(arguments: Struct, service: str, action: str, offers: Offers) -> bool:
    """Hide the passwords among the arguments of one action; tell whether there were any."""
    names = offers.passwords.get((service, action), ())
    return hide(arguments, [Path((Child(name),)) for name in names])


def _hide_argument(call: ActionCall, name: str) -> bool:
    """Hide an argument, whether it is given as it is or as a quoted literal."""
    found = name in call.arguments.fields
    if found:
        call.arguments.fields[name].null_value = 0  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    text = call.argument_paths.get(name)
    if text is not None and not isinstance(parse_value(text), Path):
        call.argument_paths[name] = _NO_LITERAL
        found = True
    return found


class _Trace(NamedTuple):
    """Where secrets of a plan come from."""

    paths: dict[Path, None]  #: In the context; a set that keeps its order.
    assignments: list[Assignment]  #: That write them, so that their literals are secrets too.


def _traced(actions: Sequence[ActionCall], service: str, offers: Offers) -> _Trace:
    """Follow passwords through a plan from its end to its beginning.

    What an assignment copies to the place of a secret is one as well. Predicates are not
    looked at: rather too much is hidden than too little.
    """
    trace = _Trace({}, [])
    if not any_passwords(actions, service, offers):
        return trace
    places = _Places()
    for call in reversed(actions):
        for assignment in reversed(call.assign):
            if places.meet(_names(parse_target(assignment.target).steps)):
                trace.assignments.append(assignment)
                _add(parse_value(assignment.value), trace, places)
        for name in offers.passwords.get((service, call.action), ()):
            text = call.argument_paths.get(name)
            if text is not None:
                _add(parse_value(text), trace, places)
    return trace


def _add(value: Value, trace: _Trace, places: _Places) -> None:
    for part in value.parts if isinstance(value, Concat) else (value,):
        if isinstance(part, Path) and part not in trace.paths:
            trace.paths[part] = None
            target = paths.as_target(part)
            places.add(_names(target.steps if target is not None else ()))


def _names(steps: Iterable[Step]) -> tuple[str, ...]:
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


def _without(context: Object, path: Path) -> Object:
    """Return a context with null where a path leads, the same if it leads nowhere."""
    path = Path(path.steps)  # `$name` begins at the context as it is at first: at this one.
    try:
        locating.evaluate(path, context, context)
    except paths.PathError:
        return context
    target = paths.as_target(path)
    if target is None:
        return dict.fromkeys(context)
    try:
        return locating.assign(target, context, None)
    except paths.PathUnassignable:
        return {**context, _names(target.steps)[0]: None}
