"""Plan checks: whether the action calls of a plan can be run, as far as that is known before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from google.protobuf.struct_pb2 import Value

from longshore.core.errors import (
    ActionNotFound,
    InvalidFields,
    NotFound,
    ServiceNotFound,
    Violation,
)
from longshore.core.lanes import action_key
from longshore.core.limits import PLAN_ACTIONS
from longshore.core.paths import InvalidPath
from longshore.core.principals import Grants
from longshore.server.checks import Flaws, at_most, slug
from longshore.server.confined import confined, not_permitted
from longshore.server.directory import Offers
from longshore.server.parameters import Table
from longshore.server.paths import parse_target, parse_value
from longshore.server.structs import flaw_of_object
from longshore.v1.operation_pb2 import ActionCall

_NO_ARGUMENTS: Final[Mapping[str, Value]] = {}


class Needs(NamedTuple):
    """What decisions need to know of a plan."""

    keys: tuple[str, ...]  #: Of its actions, sorted, without repeats.
    simple: bool  #: Whether it is a single action that a worker can be given as it is.
    missing: NotFound | None  #: The first action that nobody has offered.


def check_service(service: str, offers: Offers, path: str, flaws: Flaws) -> NotFound | None:
    """Return what to raise, if it must, because nobody has published a service."""
    if not service or service in offers.services:
        return None
    slug(service, path, flaws)
    return at(path, ServiceNotFound(service))


def check_actions(
    actions: Sequence[ActionCall], service: str, offers: Offers, path: str, flaws: Flaws
) -> Needs:
    """Return what a plan needs; adds every violation.

    Raises `LimitExceeded`, and `ActionNotFound` for what is not granted.

    `path` is the field that holds the actions, such as `spec.actions`.
    """
    count = len(actions)
    if count == 1:
        known = _common_needs(actions[0], service, offers)
        if known is not None:
            return known
    at_most(path, PLAN_ACTIONS, count)
    if not count:
        flaws.append(Violation(path, "at least one action is needed", "MISSING"))
    missing: NotFound | None = None
    keys: list[str] = []
    simple = count == 1
    for index, call in enumerate(actions):
        name, place = call.action, f"{path}[{index}]"
        keys.append(action_key(service, name))
        tables = offers.actions.get((service, name))
        if tables is None:
            slug(name, f"{place}.action", flaws)
            unknown = at(f"{place}.action", ActionNotFound(name, service))
            if not offers.grants.permits(service, name):
                raise unknown  # To them it is not there, whatever they are content with.
            missing = missing or unknown
            flaws += _not_permitted(call, service, offers.grants, place)
        fields = call.arguments.fields if call.HasField("arguments") else _NO_ARGUMENTS
        check_arguments(fields, call.argument_paths, tables, place, flaws)
        if call.argument_paths or call.assign or call.results:
            simple = False
            _check_expressions(call, tables or (), place, flaws)
    if count == 1:
        return Needs((keys[0],), simple, missing)
    return Needs(tuple(sorted(set(keys))), simple, missing)


def check_granted(actions: Sequence[ActionCall], service: str, grants: Grants) -> None:
    """Look at a plan that was submitted by somebody for who asks for it again.

    Raises `ActionNotFound` and `InvalidFields` for what is not granted.
    """
    flaws: Flaws = []
    for index, call in enumerate(actions):
        if not grants.permits(service, call.action):
            raise ActionNotFound(call.action, service)
        flaws += _not_permitted(call, service, grants, f"spec.actions[{index}]")
    if flaws:
        raise InvalidFields(flaws)


def _not_permitted(
    call: ActionCall, service: str, grants: Grants, path: str
) -> Iterator[Violation]:
    allowed = confined(service, call.action, grants.values)
    return not_permitted(call.arguments.fields, call.argument_paths, allowed, path)


def _common_needs(call: ActionCall, service: str, offers: Offers) -> Needs | None:
    """Return what a single action that is offered needs, if nothing is wrong with its call.

    Nearly all submits are such ones; whatever else there is, is for the thorough look.
    """
    name = call.action
    tables = offers.actions.get((service, name))
    if tables is None or call.argument_paths or call.assign or call.results:
        return None
    fields = call.arguments.fields if call.HasField("arguments") else _NO_ARGUMENTS
    if tables[0].violations(fields, (), ""):
        return None
    return _needs_of_one(service, name)


@lru_cache(maxsize=4_096)
def _needs_of_one(service: str, action: str) -> Needs:
    return Needs((action_key(service, action),), simple=True, missing=None)


def check_arguments(
    fields: Mapping[str, Value],
    from_paths: Mapping[str, str],
    tables: Sequence[Table] | None,
    path: str,
    flaws: Flaws,
) -> None:
    """Check arguments against what is published; of several offers one has to fit."""
    if tables is None:
        flaw = flaw_of_object(fields)
        if flaw is not None:
            flaws.append(Violation(f"{path}.arguments{flaw.where}", flaw.description))
        return
    first: list[Violation] | None = None
    for table in tables:
        found = table.violations(fields, from_paths, path)
        if not found:
            return
        first = first or found
    flaws += first or ()


def _check_expressions(
    call: ActionCall, tables: Sequence[Table], path: str, flaws: Flaws
) -> None:
    for name, text in call.argument_paths.items():
        field = f"{path}.argument_paths[{name}]"
        if name in call.arguments.fields:
            flaws.append(Violation(field, "stands in arguments as well; only one can count"))
        secret = any(name in table.passwords for table in tables)
        _read(parse_value, text, field, flaws, secret=secret)
    for index, assignment in enumerate(call.assign):
        _read(parse_target, assignment.target, f"{path}.assign[{index}].target", flaws)
        _read(parse_value, assignment.value, f"{path}.assign[{index}].value", flaws)


def _read(
    parse: Callable[[str], object],
    text: str,
    field: str,
    flaws: Flaws,
    *,
    secret: bool = False,
) -> None:
    try:
        parse(text)
    except InvalidPath as error:
        # A password that somebody forgot to quote is not repeated.
        wrong = f"no path, quoted literal or concat(…) (at {error.position})"
        flaws.append(Violation(field, wrong if secret else str(error)))


def at(field: str, error: NotFound) -> NotFound:
    """Say which field of the request names what is not there."""
    error.facts["field"] = field
    return error
