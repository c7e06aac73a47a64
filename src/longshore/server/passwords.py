"""Passwords: what reaches an argument that workers declare to be one is shown to nobody else.

A secret may stand in the arguments of a call, in a quoted literal of its plan, or in the
context that the plan reads. There is null, or an empty literal, in its place wherever an
operation or a contract is shown; what workers are given is kept in other documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from google.protobuf.struct_pb2 import Struct

from longshore.core import locating, paths
from longshore.core.paths import Child, Object, Path
from longshore.server import structs
from longshore.server.directory import Offers
from longshore.server.paths import parse_value
from longshore.server.tracing import any_marked, names_of, trace
from longshore.v1.operation_pb2 import ActionCall

_NO_LITERAL: Final = "''"  #: What stands in the place of a secret one.


def any_passwords(actions: Iterable[ActionCall], service: str, offers: Offers) -> bool:
    """Tell whether one of the actions takes a password."""
    return any_marked(actions, service, offers.passwords)


def secret_paths(actions: Sequence[ActionCall], service: str, offers: Offers) -> list[Path]:
    """Return where the context of a plan, as it is at first, may hold passwords."""
    return list(trace(actions, service, offers.passwords).paths)


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
    assignments = trace(actions, service, offers.passwords).assignments
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
        return {**context, names_of(target.steps)[0]: None}
