"""Files, deliveries and callbacks in words."""

from __future__ import annotations

import pytest

from longshore.cli.sheets import sheet
from longshore.cli.wording import happened, origin
from longshore.v1.operation_pb2 import (
    Callback,
    CallbackSent,
    Delivery,
    DeliveryChanged,
    DeliveryMode,
    DeliveryState,
    Event,
    File,
    FileAdded,
    Options,
    Origin,
    Status,
)
from longshore.v1.task_service_pb2 import Task

STORE, CHANNEL = DeliveryMode.DELIVERY_MODE_STORE, DeliveryMode.DELIVERY_MODE_CHANNEL
PDF = File(path="a/b.pdf", size=3_100, content_type="application/pdf")


def delivered(state: DeliveryState.ValueType, stream: str = "") -> Event:
    mode = CHANNEL if stream else STORE
    delivery = Delivery(mode=mode, stream=stream, state=state)
    return Event(delivery_changed=DeliveryChanged(delivery=delivery))


def test_a_file_is_told_with_its_size_and_type() -> None:
    assert (
        happened(Event(file_added=FileAdded(file=PDF)))
        == "file a/b.pdf, 3.1 kB, application/pdf"
    )
    bare = File(path="c", size=7)
    assert happened(Event(file_added=FileAdded(file=bare))) == "file c, 7 bytes"


@pytest.mark.parametrize(
    "state, stream, told",
    [
        ("PENDING", "", "delivery PENDING: result is on its way to the store"),
        ("ONGOING", "", "delivery ONGOING: result can be fetched"),
        ("COMPLETE", "", "delivery COMPLETE: the store holds the result"),
        ("COMPLETE", "ada", "delivery COMPLETE: channel ada holds the result"),
        ("FAILED", "ada", "delivery FAILED: channel ada cannot hold the result"),
    ],
)
def test_every_stage_of_a_delivery_is_told(state: str, stream: str, told: str) -> None:
    stage = DeliveryState.Value(f"DELIVERY_STATE_{state}")
    assert happened(delivered(stage, stream)) == told


def test_a_result_that_has_arrived_is_told_with_its_time() -> None:
    event = delivered(DeliveryState.DELIVERY_STATE_COMPLETE)
    event.delivery_changed.delivery.retrieve_time.FromSeconds(1_000_000_000)
    assert "acknowledged at 2001" in happened(event)


@pytest.mark.parametrize(
    "by, told",
    [
        (Origin(principal="ada", request_id="r", address="10.0.0.7"), "ada@10.0.0.7"),
        (Origin(principal="ada", request_id="hourly"), "ada"),
        (None, "-"),
    ],
    ids=["a caller", "a schedule", "the server"],
)
def test_who_brought_an_event_about_is_told(by: Origin | None, told: str) -> None:
    assert origin(Event(origin=by)) == told


def test_what_became_of_a_callback_is_told() -> None:
    sent = CallbackSent(attempts=1, message="200 OK")
    assert happened(Event(callback_sent=sent)) == "callback answered: 200 OK"
    given_up = CallbackSent(given_up=True, attempts=20, message="500")
    assert happened(Event(callback_sent=given_up)) == "callback given up after 20 attempts: 500"


def test_an_operation_is_shown_with_its_files_its_delivery_and_its_callback() -> None:
    task = Task(
        options=Options(callback=Callback(url="http://ada.example")),
        status=Status(
            files=[PDF],
            delivery=Delivery(mode=STORE, state=DeliveryState.DELIVERY_STATE_NONE),
        ),
    )
    shown = dict(sheet(task))
    assert shown["files"] == "a/b.pdf, 3.1 kB, application/pdf"
    assert shown["delivery"] == "NONE: result will go to the store"
    assert shown["callback"] == "POST http://ada.example"
