"""Contracts and schedules in files: what can be read, and how a fault is told."""

from __future__ import annotations

import io

import pytest

from longshore.cli.documents import BadDocument, read_documents
from longshore.cli.yaml_text import to_yaml
from longshore.client import from_struct
from longshore.v1.catalog_service_pb2 import Contract, Schedule

ORDERS = """
name: orders
actor: north
actions:
  - name: ingest
    trigger: on
    variables: {day: 2026-01-01, at: 12:30, times: 3, deep: [{b: 1, a: no}]}
    template:
      name: ingest
      actions:
        - action: scan
          argument_paths: {path: folder, depth: depth}
"""


def file(text: str) -> io.StringIO:
    stream = io.StringIO(text)
    stream.name = "orders.yaml"
    return stream


def fault(text: str, kind: type[Contract | Schedule] = Contract) -> str:
    with pytest.raises(BadDocument) as refused:
        read_documents([file(text)], kind)
    assert refused.value.exit_code == 2
    return refused.value.message


def test_a_contract_is_read_from_yaml_and_from_json() -> None:
    (yaml,) = read_documents([file(ORDERS)], Contract)
    assert yaml.where == "orders.yaml"
    assert yaml.message.actions[0].template.actions[0].argument_paths["path"] == "folder"
    as_json = '{"name": "orders", "actions": [{"name": "ingest"}]}'
    (json,) = read_documents([file(as_json)], Contract)
    assert json.message.actions[0].name == "ingest"


def test_a_text_is_what_it_looks_like_not_a_date_or_a_truth() -> None:
    (document,) = read_documents([file(ORDERS)], Contract)
    (action,) = document.message.actions
    assert action.trigger == "on"
    assert from_struct(action.variables) == {
        "day": "2026-01-01",
        "at": "12:30",
        "times": 3,
        "deep": [{"b": 1, "a": "no"}],
    }


def test_a_file_may_hold_several_documents_and_files_follow_one_another() -> None:
    several = read_documents([file("name: a\n---\n---\nname: b"), file("name: c")], Contract)
    assert [(one.where, one.message.name) for one in several] == [
        ("orders.yaml, document 1", "a"),
        ("orders.yaml, document 2", "b"),
        ("orders.yaml", "c"),
    ]


@pytest.mark.parametrize(
    "text, told",
    [
        (
            "nam: a",
            "orders.yaml: there is no field 'nam'; known are name, type, actor, actions",
        ),
        (
            "name: a\n---\nactions: [{name: b, template: {acts: []}}]",
            "orders.yaml, document 2: actions[0].template: there is no field 'acts'; known are id,",
        ),
        ("name: 3", "orders.yaml: name: a text is wanted here, not int: put it in quotes"),
        ("actions: {a: b}", "orders.yaml: repeated field actions must be in []"),
        ("- name: a", "orders.yaml: a contract is a mapping of its fields"),
        ("name: a\nname: b", "orders.yaml, line 2, column 1: while constructing a mapping"),
        ("name: [a", "orders.yaml, line 1, column 9: while parsing a flow sequence"),
        ("actions: [{variables: {a: .inf}}]", "orders.yaml: Out of range float values"),
        ("name: !!python/name:os.system", "orders.yaml, line 1, column 7: could not determine"),
        ("# nothing\n---\n", "nothing to read: there is no contract in it"),
    ],
)
def test_a_fault_is_told_with_its_file_document_and_field(text: str, told: str) -> None:
    assert fault(text).startswith(told)


def test_a_fault_of_a_schedule_names_its_field_too() -> None:
    assert "interval: Duration must end with" in fault("name: a\ninterval: 1h", Schedule)
    assert "missed: Invalid enum value ONCE" in fault("name: a\nmissed: ONCE", Schedule)
    assert fault("name: a\ncron: */5 * * * *", Schedule).startswith("orders.yaml, line 2")


def test_what_is_shown_can_be_applied_again() -> None:
    (document,) = read_documents([file(ORDERS)], Contract)
    contract = document.message
    applied = Contract()
    applied.CopyFrom(contract)
    applied.actions[0].template.id = 7
    applied.actions[0].template.revision = 2
    shown = to_yaml(applied)
    assert "revision" not in shown
    assert read_documents([file(shown)], Contract)[0].message == contract
    assert applied.actions[0].template.id == 7


def test_maps_are_shown_in_the_order_of_their_keys_and_fields_in_their_own() -> None:
    (document,) = read_documents([file(ORDERS)], Contract)
    words = to_yaml(document.message).split()
    keys = [word for word in words if word.endswith(":")]
    assert keys.index("name:") < keys.index("actor:") < keys.index("actions:")
    assert keys.index("at:") < keys.index("day:") < keys.index("deep:") < keys.index("times:")
    assert keys.index("depth:") < keys.index("path:")
