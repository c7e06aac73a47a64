"""Kept secrets: passwords in contracts and schedules, shown as null, stay when null comes back.

So who gets a contract, edits it and applies it again does not lose what was not shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Value

from longshore.server.directory import Directory, Offers
from longshore.server.passwords import hide, hide_arguments, hide_in_calls, secret_paths
from longshore.v1.catalog_service_pb2 import Contract, Schedule

M = TypeVar("M", bound=Message)

_NAMES: Final = ("name", "action", "target")  #: By which the elements of lists are called.


def without_secrets(contract: Contract, offers: Offers) -> Contract:
    """Return a contract with null in the place of passwords."""
    shown = Contract()
    shown.CopyFrom(contract)
    for action in shown.actions:
        calls = action.template.actions
        hide(action.variables, secret_paths(calls, "", offers))
        hide_in_calls(calls, "", offers)
    return shown


def schedule_without_secrets(schedule: Schedule, directory: Directory, tenant: str) -> Schedule:
    """Return a schedule with null in the place of what are passwords where it goes now."""
    shown = Schedule()
    shown.CopyFrom(schedule)
    offers = directory.offers(tenant)
    if shown.HasField("task"):
        task = shown.task
        hide(task.context, secret_paths(task.actions, task.service, offers))
        hide_in_calls(task.actions, task.service, offers)
    elif shown.HasField("job"):
        _hide_in_job(shown, directory.contract(tenant, shown.job.contract), offers)
    elif shown.launch.service in offers.services:
        launch = shown.launch
        for action in offers.services[launch.service].actions:
            hide_arguments(launch.arguments, launch.service, action.slug, offers)
    return shown


def _hide_in_job(schedule: Schedule, contract: Contract | None, offers: Offers) -> None:
    job = schedule.job
    for action in contract.actions if contract is not None else ():
        if action.name == job.action:
            hide(job.variables, secret_paths(action.template.actions, "", offers))
            return
    # Nobody can tell any more which of them are secret.
    for value in job.variables.fields.values():
        value.null_value = 0  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


def restore(given: M, shown: M, kept: M) -> None:
    """Put back what was hidden in `kept`, as far as it is given as it was `shown`."""
    for place, hidden, secret in _places(given, shown, kept):
        if hidden.get() != secret.get() and place.get() == hidden.get():
            place.put(secret.get())


def revoke(restored: M, shown: M, given: M) -> None:
    """Undo `restore` where what was put back would now be `shown` otherwise than it was given.

    A secret must not come to light because what is applied sends it elsewhere.
    """
    for place, hidden, before in _places(restored, shown, given):
        if place.get() != before.get() and hidden.get() != before.get():
            place.put(before.get())


class _Place(NamedTuple):
    """Where a value is in a message, a map or a list."""

    holder: Any
    key: str | int

    def get(self) -> Any:
        if isinstance(self.holder, Message):
            return getattr(self.holder, str(self.key))
        return self.holder[self.key]

    def put(self, value: Any) -> None:
        if isinstance(value, Message):
            self.get().CopyFrom(value)
        elif isinstance(self.holder, Message):
            setattr(self.holder, str(self.key), value)
        else:
            self.holder[self.key] = value


_Places = tuple[_Place, ...]


def _places(*alike: Message) -> Iterator[_Places]:
    """Yield where messages of one type hold corresponding values, as deep as they are alike."""
    for field in alike[0].DESCRIPTOR.fields:
        members = [getattr(one, field.name) for one in alike]
        inner = field.message_type
        if inner is not None and inner.GetOptions().map_entry:
            for key in set(members[0]).intersection(*members[1:]):
                yield from _within(tuple(_Place(one, key) for one in members))
        elif inner is not None and field.is_repeated:
            for elements in _matched(members):
                yield from _places(*elements)
        elif inner is not None:
            if all(one.HasField(field.name) for one in alike):
                yield from _places(*members)
        elif not field.is_repeated:
            yield tuple(_Place(one, field.name) for one in alike)


def _within(places: _Places) -> Iterator[_Places]:
    """Yield the places within the values at some, or these if the values are not alike."""
    values = [one.get() for one in places]
    kinds = {one.WhichOneof("kind") if isinstance(one, Value) else None for one in values}
    if kinds == {"struct_value"}:
        yield from _places(*(one.struct_value for one in values))
    elif kinds == {"list_value"} and len({len(one.list_value.values) for one in values}) == 1:
        lists = [one.list_value.values for one in values]
        for index in range(len(lists[0])):
            yield from _within(tuple(_Place(one, index) for one in lists))
    else:
        yield places


def _matched(lists: Iterable[Iterable[Message]]) -> Iterator[tuple[Message, ...]]:
    """Yield the elements of lists that are called the same, the nth with the nth."""
    named = [_named(elements) for elements in lists]
    for name, element in named[0].items():
        if all(name in others for others in named[1:]):
            yield (element, *(others[name] for others in named[1:]))


def _named(elements: Iterable[Any]) -> dict[tuple[str, int], Message]:
    counts: Counter[str] = Counter()
    found: dict[tuple[str, int], Message] = {}
    for element in elements:
        # Actions of contracts, calls of templates, and their assignments.
        key = next(one for one in _NAMES if one in element.DESCRIPTOR.fields_by_name)
        name = getattr(element, key)
        found[name, counts[name]] = element
        counts[name] += 1
    return found
