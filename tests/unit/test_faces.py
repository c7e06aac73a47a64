"""The messages of the three services are alike, which is why their methods are written once."""

from __future__ import annotations

import re
from typing import Any

import pytest

from longshore.v1 import job_service_pb2, launch_service_pb2, task_service_pb2
from longshore.v1.operation_service_pb2 import AnyChange

NAMES = {"Job": ("Jobs", job_service_pb2), "Launch": ("Launches", launch_service_pb2)}
ALIKE = [
    "Submit{one}Request",
    "Submit{one}Response",
    "Run{one}Request",
    "Run{one}Response",
    "Get{one}Request",
    "Get{one}Response",
    "List{all}Request",
    "List{all}Response",
    "Watch{all}Request",
    "Watch{all}Response",
    "Cancel{one}Request",
    "Cancel{one}Response",
    "Suspend{one}Request",
    "Suspend{one}Response",
    "Resume{one}Request",
    "Resume{one}Response",
    "Resubmit{one}Request",
    "Resubmit{one}Response",
]


def fields(module: object, name: str, one: str, all_: str) -> dict[str, tuple[int, int]]:
    message: Any = getattr(module, name.format(one=one, all=all_)).DESCRIPTOR
    words = {all_.lower(): "all", one.lower(): "one"}
    return {
        str(words.get(field.name, field.name)): (field.number, field.type)
        for field in message.fields
    }


@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize("kind", NAMES)
def test_messages_of_all_kinds_are_alike(kind: str, name: str) -> None:
    plural, module = NAMES[kind]
    assert fields(module, name, kind, plural) == fields(task_service_pb2, name, "Task", "Tasks")


@pytest.mark.parametrize("kind", NAMES)
def test_operations_have_the_same_in_the_same_places(kind: str) -> None:
    task = task_service_pb2.Task.DESCRIPTOR.fields_by_name
    other = getattr(NAMES[kind][1], kind).DESCRIPTOR.fields_by_name
    assert {name: other[name].number for name in task} == {
        name: field.number for name, field in task.items()
    }


def test_a_change_of_one_kind_is_a_change_of_any() -> None:
    anything = AnyChange.DESCRIPTOR.fields_by_name
    for kind, (_, module) in {"Task": ("", task_service_pb2), **NAMES}.items():
        change = getattr(module, f"{kind}Change").DESCRIPTOR
        for field in change.fields:
            assert field.number == anything[field.name].number
        assert re.fullmatch("event|task|job|launch", change.fields[1].name)
