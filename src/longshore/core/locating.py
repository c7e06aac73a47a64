"""Locating: what location paths find in JSON values, and how values are put where they lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from longshore.core.limits import PAYLOAD_BYTES
from longshore.core.paths import (
    Child,
    Concat,
    Index,
    Json,
    Last,
    Literal,
    Move,
    Object,
    Parent,
    Path,
    PathMissing,
    PathNotText,
    PathUnassignable,
    Predicate,
    Self,
    Target,
    Value,
    Where,
)


class _Missing:
    """Stands for what is not there, which null is not."""


_MISSING: Final = _Missing()


def evaluate(value: Value, scope: Object, initial: Object) -> Json:
    """Return what a value is: paths begin at the scope, `$name` at the context as it was first.

    `/a` is the same as `a`. Raises `PathMissing` and `PathNotText`.
    """
    match value:
        case Literal(text):
            return text
        case Path():
            return _find(value, initial if value.variable else scope)
        case Concat(parts):
            texts: list[str] = []
            for part in parts:
                texts.append(_joinable(part, scope, initial))
                if sum(map(len, texts)) > PAYLOAD_BYTES:
                    raise PathNotText(value, f"a text of more than {PAYLOAD_BYTES} characters")
            return "".join(texts)


def _joinable(part: Path | Literal, scope: Object, initial: Object) -> str:
    if isinstance(part, Literal):
        return part.text
    text = _text(evaluate(part, scope, initial))
    if text is None:
        raise PathNotText(
            part, "only texts, numbers, booleans and null can be joined, not what is at"
        )
    return text


def _find(path: Path, root: Object) -> Json:
    trail: list[Json] = [root]
    for step in path.steps:
        match step:
            case Parent():
                found = trail[-2] if len(trail) > 1 else _MISSING
                del trail[-2:]
            case Self(predicates):
                found = _selected(trail[-1], predicates)
            case Child(name, predicates):
                owner = _owner(trail[-1], name)
                found = _MISSING if owner is None else _selected(owner[name], predicates)
                trail[-1] = owner  # so that `..` leads to the element, not to its list
        if isinstance(found, _Missing):
            raise PathMissing(path)
        trail.append(found)
    return trail[-1]


def _owner(value: Json, name: str) -> Object | None:
    """Return the object that has a member of this name: the value, or an element of it."""
    for node in _nodes(value):
        if isinstance(node, dict) and name in node:
            return node
    return None


def _nodes(value: Json) -> list[Json]:
    """Return what predicates choose from. Null is nothing."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _selected(value: Json, predicates: tuple[Predicate, ...]) -> Json | _Missing:
    if not predicates:
        return value
    nodes = _nodes(value)
    chosen = _chosen(nodes, predicates)
    return nodes[chosen] if chosen is not None else _MISSING


def _chosen(nodes: Sequence[Json], predicates: tuple[Predicate, ...]) -> int | None:
    """Return the place (from 0) of the first node that passes all predicates."""
    places: Sequence[int] = range(len(nodes))
    for predicate in predicates:
        match predicate:
            case Index(number):
                places = places[number - 1 : number]
            case Last():
                places = places[-1:]
            case Where():
                places = [place for place in places if _passes(nodes[place], predicate)]
    return places[0] if places else None


def _passes(node: Json, where: Where) -> bool:
    if not isinstance(node, dict) or where.name not in node:
        return False
    member = node[where.name]
    candidates = member if isinstance(member, list) else [member]
    return any(_text(candidate) == where.text for candidate in candidates)


def _text(value: Json) -> str | None:
    """Return the text of a scalar, numbers as in JSON; None for objects and lists."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case float() if value.is_integer() and abs(value) <= 2**53:
            return str(int(value))
        case int() | float():
            return repr(value)
        case _:
            return None


def assign(target: Target, context: Object, value: Json) -> Object:
    """Return the context with the value at the target, sharing all that did not change.

    Objects on the way are made where there is nothing or null, and a list may grow by one
    element. Raises `PathUnassignable`.
    """
    written = _Assignment(target, value).put(context, target.moves)
    return cast("Object", written)  # a target begins with a name, so it keeps the object one


@dataclass(frozen=True, slots=True)
class _Assignment:
    target: Target
    value: Json

    def put(self, present: Json, moves: tuple[Move, ...]) -> Json:
        """Return what takes the place of the present value; None where there is none."""
        if not moves:
            return self.value
        move, rest = moves[0], moves[1:]
        if isinstance(move, str):
            return self._into_member(present, move, rest)
        return self._into_element(present, move, rest)

    def _into_member(self, present: Json, name: str, rest: tuple[Move, ...]) -> Json:
        if present is None:
            return {name: self.put(None, rest)}
        if isinstance(present, dict):
            return {**present, name: self.put(present.get(name), rest)}
        owner = _owner(present, name)
        if not isinstance(present, list) or owner is None:
            raise PathUnassignable(self.target, f"no object to hold {name!r} of")
        place = next(place for place, element in enumerate(present) if element is owner)
        return _replaced(present, place, self._into_member(owner, name, rest))

    def _into_element(
        self, present: Json, predicates: tuple[Predicate, ...], rest: tuple[Move, ...]
    ) -> Json:
        nodes = _nodes(present)
        place = _chosen(nodes, predicates)
        if place is not None:
            written = self.put(nodes[place], rest)
            return _replaced(nodes, place, written) if isinstance(present, list) else written
        if predicates == (Index(len(nodes) + 1),) and (not nodes or isinstance(present, list)):
            return [*nodes, self.put(None, rest)]
        raise PathUnassignable(self.target, "neither an element nor the next after the last is")


def _replaced(elements: list[Json], place: int, element: Json) -> list[Json]:
    return [*elements[:place], element, *elements[place + 1 :]]
