from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from longshore.client import to_struct
from longshore.gateway.ehealth.shapes import state_shape
from longshore.v1.job_service_pb2 import Job
from longshore.v1.operation_pb2 import State

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
ID = "89678f60-4cdc-4fe3-ae83-e8b3ebd35c59"


def job(state: str, *, created: float = 0, **times: float) -> Job:
    """Return a job; times are seconds before now, or after it if they are negative."""
    made = Job()
    made.metadata.id = ID
    made.metadata.create_time.FromDatetime(NOW - timedelta(seconds=created))
    made.status.state = State.Value(f"STATE_{state}")
    for name, seconds in times.items():
        owner = made.options if name == "start_time" else made.status
        getattr(owner, name).FromDatetime(NOW - timedelta(seconds=seconds))
    return made


def shown(made: Job, now: datetime = NOW) -> dict[str, Any]:
    data: dict[str, Any] = state_shape(made, "eHealth/resources", now).model_dump(
        exclude_none=True
    )["data"]
    return data


def eta(made: Job) -> float:
    """Return the seconds from now to the eta."""
    return (datetime.fromisoformat(shown(made)["eta"]) - NOW).total_seconds()


@pytest.mark.parametrize(
    "state, status",
    [
        ("SUSPENDED", "PENDING"),
        ("QUEUED", "PENDING"),
        ("RUNNING", "PENDING"),
        ("SUCCEEDED", "DONE"),
        ("FAILED", "FAILED"),
        ("CANCELED", "FAILED"),
    ],
)
def test_states_are_three(state: str, status: str) -> None:
    assert shown(job(state, end_time=0))["status"] == status


@pytest.mark.parametrize("state", ["SUSPENDED", "QUEUED", "RUNNING"])
@pytest.mark.parametrize(
    "times, seconds",
    [
        ({"created": 0}, 1),
        ({"created": 20}, 20),
        ({"created": 100_000}, 300),
        ({"created": -3}, 3),
        ({"created": 20, "estimated_end_time": -90}, 90),
        ({"created": 20, "estimated_end_time": -0.2}, 1),
        ({"created": 20, "estimated_end_time": 40}, 40),
        ({"created": 20, "estimated_end_time": 5_000}, 300),
        ({"created": 20, "estimated_end_time": -(10**9)}, 86_400),
        ({"created": 20, "start_time": -600}, 600),
        ({"created": 20, "start_time": 10}, 10),
        ({"created": 20, "start_time": 50}, 20),
    ],
)
def test_while_it_is_pending_the_eta_lies_ahead(
    state: str, times: dict[str, float], seconds: float
) -> None:
    assert eta(job(state, **times)) == seconds


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "CANCELED"])
def test_afterwards_the_eta_is_the_end(state: str) -> None:
    ended = job(state, created=100, end_time=50, estimated_end_time=-500)
    assert eta(ended) == -50


def test_times_have_milliseconds_and_z_and_are_never_rounded_into_the_past() -> None:
    assert shown(job("QUEUED"))["eta"] == "2026-03-01T12:00:01.000Z"
    late = NOW + timedelta(microseconds=1)
    assert shown(job("QUEUED"), late)["eta"] == "2026-03-01T12:00:01.001Z"


def test_links_are_those_of_the_result() -> None:
    done = job("SUCCEEDED", end_time=0)
    done.status.result.CopyFrom(
        to_struct(
            {
                "links": [
                    {"entity": "eHealth/composition", "href": f"composition/{ID}", "x": 1},
                    {"entity": None, "href": "", "error": "not there"},
                    {"href": 7},
                    "composition",
                    None,
                ]
            }
        )
    )
    assert shown(done)["links"] == [
        {"entity": "eHealth/composition", "href": f"composition/{ID}"},
        {"entity": "eHealth/resources", "error": "not there"},
        {"entity": "eHealth/resources"},
    ]


@pytest.mark.parametrize("result", [{}, {"links": None}, {"links": {}}, {"links": "a"}])
def test_without_links_there_are_none(result: dict[str, Any]) -> None:
    done = job("SUCCEEDED", end_time=0)
    done.status.result.CopyFrom(to_struct(result))
    assert shown(done)["links"] == []
    assert shown(job("RUNNING"))["links"] == []


def test_a_failure_is_told_by_a_link() -> None:
    failed = job("FAILED", end_time=0)
    failed.status.error.message = "the signature is wrong"
    failed.status.message = "the attempt failed"
    wanted = [{"entity": "eHealth/resources", "error": "the signature is wrong"}]
    assert shown(failed)["links"] == wanted
    canceled = job("CANCELED", end_time=0)
    assert shown(canceled)["links"] == [{"entity": "eHealth/resources", "error": "canceled"}]
