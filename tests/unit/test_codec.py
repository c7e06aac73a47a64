from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from longshore.core.failures import Code
from longshore.core.limits import STRUCT_DEPTH
from longshore.core.paths import Child, Path
from longshore.core.plans import StepFailed
from longshore.server import structs
from longshore.server.codec import ProtoCodec
from longshore.v1.operation_pb2 import ActionCall, Assignment
from longshore.v1.task_service_pb2 import Task, TaskSpec

codec = ProtoCodec()

TEXTS = st.text(st.characters(codec="utf-8"), max_size=10)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | TEXTS
    # Fractions, since whole numbers come back as int.
    | st.floats(-1e300, 1e300).filter(lambda number: not number.is_integer()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def struct(value: dict[str, Any]) -> Struct:
    made = Struct()
    made.update(value)
    return made


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"end": True}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


@given(st.dictionaries(TEXTS, JSON, max_size=5))
def test_an_object_comes_back_as_it_was(value: dict[str, Any]) -> None:
    document = codec.encode(value)
    assert codec.decode(document) == value
    assert MessageToDict(Struct.FromString(document)) == value


def test_whole_numbers_come_back_as_whole_numbers() -> None:
    numbers = codec.decode(codec.encode({"n": 3.0, "edge": 2**53, "beyond": 2.0**60}))
    assert numbers == {"n": 3, "edge": 2**53, "beyond": 2.0**60}
    assert [type(number) for number in numbers.values()].count(float) == 1


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**400])
def test_numbers_that_are_not_finite_are_refused_by_path(number: float) -> None:
    with pytest.raises(structs.Unrepresentable, match=r"a\.b\[1\]"):
        structs.to_struct({"a": {"b": [0, number]}})


def test_depth_is_limited_where_values_are_put_together() -> None:
    assert codec.decode(codec.encode(nested(STRUCT_DEPTH))) == nested(STRUCT_DEPTH)
    with pytest.raises(StepFailed):
        codec.encode(nested(STRUCT_DEPTH + 1))


def test_results_of_workers_are_checked() -> None:
    fine = struct({"a": [1, {"b": None}]}).SerializeToString()
    assert structs.parse(fine) == Struct.FromString(fine)
    with pytest.raises(structs.Unrepresentable, match=r"a\[1\]\.b: a number must be finite"):
        structs.parse(struct({"a": [1, {"b": math.nan}]}).SerializeToString())
    with pytest.raises(structs.Unrepresentable, match="not a serialized Struct"):
        structs.parse(b"\xff")


def test_a_single_call_is_handed_on_as_bytes() -> None:
    arguments = struct({"path": "a"})
    spec = TaskSpec(
        service="archive", actions=[ActionCall(action="digest", arguments=arguments)]
    )
    call = codec.call(Task(spec=spec).SerializeToString())
    assert call == ("archive", "digest", arguments.SerializeToString())


def test_a_plan_is_read_with_its_paths() -> None:
    step = ActionCall(
        action="bag",
        arguments=struct({"n": 1}),
        argument_paths={"path": "scan/root"},
        results=["bag"],
        assign=[Assignment(target="out/bag", value="bag")],
    )
    spec = TaskSpec(actions=[step], context=struct({"a": [1]}))
    plan = codec.plan(Task(spec=spec).SerializeToString())
    (call,) = plan.calls
    assert plan.context == {"a": [1]}
    assert call.arguments == {"n": 1}
    assert call.argument_paths == (("path", Path((Child("scan"), Child("root")))),)
    assert call.results == ("bag",)
    assert [(str(one.target), str(one.value)) for one in call.assigns] == [("out/bag", "bag")]


def test_a_failure_is_a_status_with_its_reason() -> None:
    failure = codec.failure(Code.ABORTED, "gone", "WORKER_LOST", {"worker": "a"})
    status = Status.FromString(failure.document)
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (failure.code, failure.message) == (status.code, status.message) == (10, "gone")
    assert (info.reason, info.domain, dict(info.metadata)) == (
        "WORKER_LOST",
        "longshore.dev",
        {"worker": "a"},
    )
