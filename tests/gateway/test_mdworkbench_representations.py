from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from longshore.client import to_struct
from longshore.gateway.faults import NotAcceptable
from longshore.gateway.mdworkbench.representations import Media, accepted, rendered
from longshore.gateway.mdworkbench.shapes import details, iso_duration, summary
from longshore.v1.launch_service_pb2 import Launch, LaunchSpec
from longshore.v1.operation_pb2 import File, LogEntry, LogKind, Metadata, State, Status

BASE = "https://work.example.org/mdworkbench"
NOW = datetime(2026, 3, 1, 13, 1, 1, 500_000, tzinfo=UTC)


def asking(*accept: str) -> Request:
    headers = [(b"accept", one.encode()) for one in accept]
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize(
    "accept,media",
    [
        ((), Media.JSON),
        (("",), Media.JSON),
        (("*/*",), Media.JSON),
        (("application/*",), Media.JSON),
        (("application/json",), Media.JSON),
        (("application/xml",), Media.XML),
        (("Application/XML; charset=utf-8",), Media.XML),
        (("text/xml",), Media.XML),
        (("text/*",), Media.XML),
        (("application/xml, application/json",), Media.JSON),
        (("application/json;q=0.5, application/xml;q=0.9",), Media.XML),
        (("application/json;q=0.9, application/xml;q=0.5",), Media.JSON),
        (("application/json; q=0.4, */*; q=0.5",), Media.XML),
        (("application/json;q=0, */*",), Media.XML),
        (("text/html, application/xml;q=0.9, */*;q=0.8",), Media.XML),
        (("text/html, */*;q=0.1",), Media.JSON),
        (("text/html", "application/xml"), Media.XML),
        (("application/xml;q=nonsense, application/json;q=0.1",), Media.JSON),
    ],
)
def test_the_client_is_answered_in_what_it_likes_best(
    accept: tuple[str, ...], media: Media
) -> None:
    assert accepted(asking(*accept)) is media


@pytest.mark.parametrize(
    "accept",
    ["text/html", "application/json;q=0", "*/*;q=0.0", "nonsense", "application/xml;q=2", "/"],
)
def test_what_cannot_be_had_is_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        accepted(asking(accept))


def test_of_a_header_without_end_the_beginning_is_read() -> None:
    assert accepted(asking("a/b," * 50 + "application/xml")) is Media.XML
    with pytest.raises(NotAcceptable):
        accepted(asking("a/b," * 10_000 + "application/xml"))


@given(st.text(max_size=40))
def test_any_accept_header_is_answered(accept: str) -> None:
    request = Request({"type": "http", "headers": [(b"accept", accept.encode())]})
    with suppress(NotAcceptable):
        assert accepted(request) in Media


@pytest.mark.parametrize(
    "span,text",
    [
        (timedelta(), "PT0S"),
        (timedelta(milliseconds=1_234), "PT1.234S"),
        (timedelta(milliseconds=10), "PT0.01S"),
        (timedelta(seconds=60), "PT1M"),
        (timedelta(hours=26, seconds=5, milliseconds=500), "PT26H5.5S"),
        (timedelta(seconds=-1), "PT0S"),
    ],
)
def test_durations_are_iso_8601(span: timedelta, text: str) -> None:
    assert iso_duration(span) == text


def ended(state: State.ValueType = State.STATE_SUCCEEDED) -> Launch:
    launch = Launch(
        metadata=Metadata(id="0198c2d4-0000-7000-8000-000000000001", number=17),
        spec=LaunchSpec(
            service="naming",
            arguments=to_struct(
                {
                    "text": "ü",
                    "pin": None,
                    "whole": 3,
                    "truth": True,
                    "list": ["a", 1.5],
                    "table": "files/0198c2d4-0000-7000-8000-00000000000a",
                }
            ),
        ),
        status=Status(
            state=state,
            properties={"b": "2", "a": "1"},
            files=[File(file_id="0198c2d4-0000-7000-8000-00000000000b", path="x/y.txt")],
        ),
    )
    launch.metadata.create_time.FromJsonString("2026-03-01T12:00:00Z")
    launch.status.start_time.FromJsonString("2026-03-01T12:00:01Z")
    if state > State.STATE_RUNNING:
        launch.status.end_time.FromJsonString("2026-03-01T12:01:02.5Z")
    return launch


def log() -> list[LogEntry]:
    entry = LogEntry(
        kind=LogKind.LOG_KIND_WARNING, message="hm", elapsed=Duration(seconds=2, nanos=10**8)
    )
    entry.time.FromJsonString("2026-03-01T12:00:03.1Z")
    return [entry]


def shown(launch: Launch) -> dict[str, Any]:
    node: dict[str, Any] = json.loads(
        rendered("launch", details(launch, log(), BASE, NOW), Media.JSON)
    )
    return node


def test_a_launch_is_the_same_in_json_and_xml() -> None:
    uri = f"{BASE}/launch/0198c2d4-0000-7000-8000-000000000001"
    node = details(ended(), log(), BASE, NOW)
    assert (
        rendered("launch", node, Media.JSON)
        == (
            '{"id":"0198c2d4-0000-7000-8000-000000000001",'
            f'"uri":"{uri}",'
            '"service":"naming","state":"completed","requestNumber":17,'
            '"requestTime":"2026-03-01T12:00:00.000Z","startTime":"2026-03-01T12:00:01.000Z",'
            '"endTime":"2026-03-01T12:01:02.500Z","duration":"PT1M1.5S",'
            '"arguments":[{"name":"list","value":"[\\"a\\",1.5]"},'
            f'{{"name":"table","value":"{BASE}/storage/0198c2d4-0000-7000-8000-00000000000a"}},'
            '{"name":"text","value":"ü"},{"name":"truth","value":"true"},'
            '{"name":"whole","value":"3"}],'
            '"status":[{"name":"a","value":"1"},{"name":"b","value":"2"}],'
            '"logEntries":[{"kind":"warning","message":"hm","time":"2026-03-01T12:00:03.100Z",'
            '"duration":"PT2.1S"}],'
            f'"result":{{"uri":"{uri}/files","files":[{{"path":"x/y.txt",'
            f'"uri":"{BASE}/storage/0198c2d4-0000-7000-8000-00000000000b"}}]}}}}'
        ).encode()
    )
    assert (
        rendered("launch", node, Media.XML)
        == (
            "<?xml version='1.0' encoding='utf-8'?>\n"
            '<launch id="0198c2d4-0000-7000-8000-000000000001" '
            f'uri="{uri}" service="naming" state="completed" requestNumber="17" '
            'requestTime="2026-03-01T12:00:00.000Z" startTime="2026-03-01T12:00:01.000Z" '
            'endTime="2026-03-01T12:01:02.500Z" duration="PT1M1.5S">'
            '<arguments><argument name="list" value="[&quot;a&quot;,1.5]" />'
            f'<argument name="table" value="{BASE}/storage/0198c2d4-0000-7000-8000-00000000000a" />'
            '<argument name="text" value="ü" /><argument name="truth" value="true" />'
            '<argument name="whole" value="3" /></arguments>'
            '<status><property name="a" value="1" /><property name="b" value="2" /></status>'
            '<logEntries><logEntry kind="warning" message="hm" time="2026-03-01T12:00:03.100Z" '
            'duration="PT2.1S" /></logEntries>'
            f'<result uri="{uri}/files"><files><file path="x/y.txt" '
            f'uri="{BASE}/storage/0198c2d4-0000-7000-8000-00000000000b" /></files></result>'
            "</launch>"
        ).encode()
    )


def test_a_running_launch_has_been_running_until_now() -> None:
    node = shown(ended(State.STATE_RUNNING))
    assert node["duration"] == "PT1H1M0.5S"
    assert "endTime" not in node


@pytest.mark.parametrize("state", [State.STATE_QUEUED, State.STATE_SUSPENDED])
def test_a_launch_that_waits_for_another_attempt_has_not_started(
    state: State.ValueType,
) -> None:
    node = shown(ended(state))
    assert node["state"] == "waiting"
    assert not {"startTime", "duration", "endTime"} & set(node)


def test_a_list_of_none_is_an_empty_array_and_an_empty_element() -> None:
    assert rendered("launches", [], Media.JSON) == b"[]"
    assert rendered("launches", [], Media.XML).endswith(b"\n<launches />")


def test_a_launch_that_is_to_stop_is_canceled_in_a_summary_only() -> None:
    launch = ended(State.STATE_RUNNING)
    launch.status.cancel_requested = True
    assert summary(launch, BASE).state == "canceled"
    assert shown(launch)["state"] == "running"


@given(st.text(), st.text())
def test_any_text_is_well_formed_xml(name: str, message: str) -> None:
    launch = ended()
    launch.status.properties[name] = message
    entry = LogEntry(message=message)
    xml = rendered("launch", details(launch, [entry], BASE, NOW), Media.XML)
    found = ET.fromstring(xml).find("logEntries/logEntry")
    assert found is not None
    read = found.attrib["message"]
    assert len(read) == len(message)
    assert all(a in (b, "\ufffd") for a, b in zip(read, message, strict=True))
