"""Shapes of asapi, value by value: statuses, frames, parameters, errors."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status as Failure
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from longshore.client import to_struct
from longshore.client.errors import call_error
from longshore.gateway.asapi import errors, framing, parameters, shapes
from longshore.gateway.asapi.errors import Refused
from longshore.v1.catalog_service_pb2 import Parameter, ParameterType, Service, ServiceAction
from longshore.v1.error_reason_pb2 import ErrorReason
from longshore.v1.operation_pb2 import (
    ActionCall,
    Delivery,
    DeliveryMode,
    DeliveryState,
    Metadata,
    State,
    Status,
)
from longshore.v1.server_service_pb2 import GetCallerResponse
from longshore.v1.task_service_pb2 import StreamResultsResponse, Task, TaskSpec

FINAL = {
    "Publish ongoing, with result available",
    "Publish complete",
    "Publish failed",
    "Task did not complete successfully.",
}


def one(state: int, delivery: int = 0, mode: int = DeliveryMode.DELIVERY_MODE_STORE) -> Task:
    made: Any = {"state": state, "mode": mode}
    reached: Any = {"mode": made["mode"], "state": delivery}
    return Task(
        metadata=Metadata(id="t-1"),
        spec=TaskSpec(actions=[ActionCall(action="fetch-data")]),
        status=Status(state=made["state"], delivery=Delivery(**reached)),
    )


def entry(task: Task) -> dict[str, Any]:
    return shapes.entry(task, lambda task_id: f"http://x/fetch/{task_id}/")


@pytest.mark.parametrize(
    "state,delivery",
    [*product(State.values()[1:], DeliveryState.values())],
)
def test_only_what_is_final_has_an_endpoint_and_only_what_is_there_succeeds(
    state: int, delivery: int
) -> None:
    told = entry(one(state, delivery))
    assert ("retrieval_endpoint" in told) == (told["status"] in FINAL)
    available = told["status"] in (
        "Publish ongoing, with result available",
        "Publish complete",
    )
    assert told["success"] is available
    assert ("error" in told) == (told["status"] in FINAL and not available)
    assert isinstance(told["result_retrieved"], bool)


def test_results_of_a_channel_have_no_endpoint() -> None:
    told = entry(one(State.STATE_SUCCEEDED, 4, DeliveryMode.DELIVERY_MODE_CHANNEL))
    assert told == {
        "status": "Publish complete",
        "retrieval_protocol": "aschannel",
        "result_retrieved": False,
        "success": True,
    }


@pytest.mark.parametrize("mode", [0, DeliveryMode.DELIVERY_MODE_NONE])
def test_a_token_without_a_delivery_has_the_store(mode: Any) -> None:
    told = shapes.delivery_of(GetCallerResponse(delivery=mode))
    assert told == DeliveryMode.DELIVERY_MODE_STORE


def test_a_slug_is_stronger_than_the_same_name_of_another() -> None:
    services = [Service(slug="a", name="b"), Service(slug="b", name="c"), Service(slug="")]
    assert shapes.service_of(services, "b").slug == "b"
    assert shapes.service_of(services, "c").slug == "b"
    with pytest.raises(Refused):
        shapes.service_of(services, "")


def read(frame: bytes) -> tuple[Any, bytes, bytes]:
    """Read a frame as clients do; return header, payload and what follows."""
    line, _, rest = frame.partition(b"\r\n")
    header, rest = rest[: int(line)], rest[int(line) :]
    line, _, rest = rest.partition(b"\r\n")
    payload, rest = rest[: int(line)], rest[int(line) :]
    assert header.endswith(b"\r\n")
    assert payload.endswith(b"\r\n")
    return json.loads(header), payload[:-2], rest


@given(st.binary(max_size=200), st.integers(1, 9), st.text(max_size=20))
def test_frames_are_read_as_they_were_written(data: bytes, chunk: int, why: str) -> None:
    task = one(State.STATE_SUCCEEDED)
    told = StreamResultsResponse(
        task=task, chunk=chunk, total_chunks=9, chunk_size=200, data=data
    )
    header, payload, rest = read(framing.result(told) + framing.HEARTBEAT)
    assert header == {
        "type": "fetch-data",
        "task_id": "t-1",
        "total_chunks": 9,
        "chunk": chunk,
        "chunk_size": 200,
    }
    assert (payload, rest) == (data, b"\r\n")
    failed = one(State.STATE_FAILED)
    failed.status.error.message = why
    header, payload, rest = read(framing.result(StreamResultsResponse(task=failed)))
    assert header["chunk_size"] == len(payload)
    assert json.loads(payload) == {
        "message": why or "Task did not complete successfully.",
        "success": False,
        "error": "task-failed",
    }
    assert rest == b""


def test_what_the_channel_says_of_itself_is_no_error_to_its_reader() -> None:
    header, payload, _ = read(framing.system("stream-taken", "Another one."))
    assert header == {"type": "system"}
    assert json.loads(payload) == {"message": "Another one.", "code": "stream-taken"}
    assert b"error" not in payload


@given(
    st.sampled_from(ParameterType.values()),
    st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=3),
)
def test_any_text_becomes_a_value_that_can_be_sent_or_is_refused(
    kind: ParameterType.ValueType, texts: list[str]
) -> None:
    action = ServiceAction(parameters=[Parameter(slug="p", type=kind)])
    try:
        arguments = parameters.arguments_of(action, {"p": texts, "other": ["x"]})
    except Refused as refused:
        ((problem,),) = refused.problems.values()
        assert problem.code == "invalid_parameter_value"
        return
    assert set(arguments) == {"p"}
    value = arguments["p"]
    if not isinstance(value, int) or abs(value) <= 2**53:
        to_struct(arguments)


@pytest.mark.parametrize("code", StatusCode)
def test_every_failure_has_an_answer(code: StatusCode) -> None:
    for reason in ["", *ErrorReason.keys()[1:]]:
        status = Failure(code=int(code.value[0]), message="why")
        status.details.add().Pack(ErrorInfo(reason=reason.removeprefix("ERROR_REASON_")))
        error = call_error(status)
        answer = errors.answer_to(error)
        assert answer.status_code in (400, 401, 403, 404, 500, 503)
        document = json.loads(bytes(answer.body))
        assert set(document) == {"message", "success", "error"}
        assert document["message"]
        assert document["error"]
        problems = errors.problems_of(error)
        if problems is not None:
            body = json.loads(bytes(errors.refused(problems, with_error=True).body))
            assert body["error"]
            assert all(
                text and code for pairs in body["errors"].values() for text, code in pairs
            )
