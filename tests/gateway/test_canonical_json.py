"""Canonical JSON is protobuf's: of any message, of any query, for any path."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import quote, urlencode

import pytest
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import ListValue, NullValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longshore.client import Violation
from longshore.gateway.canonical.accepting import preferred
from longshore.gateway.canonical.bindings import Binding, Routes, bindings
from longshore.gateway.canonical.faults import Invalid
from longshore.gateway.canonical.filling import UNREADABLE
from longshore.gateway.canonical.filling import fill as fill_from
from longshore.gateway.canonical.printing import printed
from longshore.gateway.canonical.queries import query_fields, values_of
from longshore.gateway.canonical.reading import message_of
from longshore.gateway.canonical.templates import Template
from longshore.gateway.settings import Limits
from longshore.v1.task_service_pb2 import SubmitTaskRequest
from tests.gateway.canonical import request_of

BINDINGS = bindings()
KINDS = sorted(
    {kind for one in BINDINGS for kind in (one.input, one.output)},
    key=lambda one: one.full_name,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=8),
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_STRING: TEXT,
}
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
#: Values of which each fits some fields and not others.
ODD = (
    JSON
    | st.sampled_from(["1", "1e3", "007", "-1", "1.5s", "2026-11-23T12:00:00Z", "a,b", "YWI="])
    | st.sampled_from([1e30, 2**63, -1, 1.0, "NaN", "VIEW_BASIC", float("inf")])
    | st.lists(st.sampled_from(["a", 1, None, "VIEW_FULL"]), max_size=2)
)


def structs(draw: Callable[[Any], Any]) -> Struct:
    return json_format.ParseDict(draw(st.dictionaries(TEXT, JSON)), Struct())


@st.composite
def messages(draw: Callable[[Any], Any], kind: Descriptor, depth: int = 0) -> Message:
    """Return a message of a type, in which anything is that can be printed."""
    made: Any = GetMessageClass(kind)()
    match kind.full_name:
        case "google.protobuf.Struct":
            return structs(draw)
        case "google.protobuf.Timestamp":
            made.FromNanoseconds(draw(st.integers(-(10**18), 4 * 10**18)))
            return cast("Message", made)
        case "google.protobuf.Duration":
            made.FromNanoseconds(draw(st.integers(-(10**18), 10**18)))
            return cast("Message", made)
        case "google.protobuf.Any":
            made.Pack(draw(st.sampled_from([Struct(), ListValue(), Value(bool_value=True)])))
            return cast("Message", made)
        case _:
            pass
    fields = (
        st.lists(st.sampled_from(list(kind.fields)), max_size=6) if kind.fields else st.just([])
    )
    for field in draw(fields):
        fill(draw, made, field, depth)
    return cast("Message", made)


def fill(draw: Callable[[Any], Any], made: Any, field: FieldDescriptor, depth: int) -> None:
    inner = field.message_type
    if inner is None:
        values = scalars(field)
        if field.is_repeated:
            getattr(made, field.name).extend(draw(st.lists(values, max_size=3)))
        else:
            setattr(made, field.name, draw(values))
    elif inner.GetOptions().map_entry:
        fill_map(draw, getattr(made, field.name), inner, depth)
    elif depth < 4 and field.is_repeated:
        for _ in range(draw(st.integers(0, 2))):
            getattr(made, field.name).add().CopyFrom(draw(messages(inner, depth + 1)))
    elif depth < 4:
        getattr(made, field.name).CopyFrom(draw(messages(inner, depth + 1)))


def fill_map(draw: Callable[[Any], Any], place: Any, entry: Descriptor, depth: int) -> None:
    value = entry.fields_by_name["value"]
    for key in draw(st.lists(TEXT, max_size=2)):
        if value.message_type is None:
            place[key] = draw(scalars(value))
        elif depth < 4:
            place[key].CopyFrom(draw(messages(value.message_type, depth + 1)))


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is None:
        return SCALARS[field.type]
    return st.sampled_from([value.number for value in field.enum_type.values]) | st.just(4711)


@settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_messages_are_printed_as_protobuf_prints_them(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    message = data.draw(messages(kind))
    own = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    shown = json.loads(printed(message))
    assert shown == own
    back = json_format.ParseDict(shown, GetMessageClass(kind)())
    assert "nan" in str(message) or back == message


def test_zero_keeps_its_sign() -> None:
    assert printed(Value(number_value=0.0)) == b"0"
    assert printed(Value(number_value=-0.0)) == b"-0.0"


def test_what_a_struct_cannot_mean_in_json_is_written_all_the_same() -> None:
    made = Struct()
    made["whole"], made["half"], made["large"] = 3.0, 0.5, 1e300
    made["none"], made["never"] = None, math.inf
    made.fields["null"].null_value = NullValue.NULL_VALUE
    made.fields["unset"].CopyFrom(Value())
    assert json.loads(printed(made)) == {
        "whole": 3,
        "half": 0.5,
        "large": 1e300,
        "none": None,
        "never": "Infinity",
        "null": None,
        "unset": None,
    }
    assert b'"whole":3,' in printed(made) or printed(made).endswith(b'"whole":3}')


def test_what_is_packed_is_shown_with_its_type() -> None:
    packed = AnyMessage()
    packed.Pack(Struct())
    kind = "type.googleapis.com/google.protobuf.Struct"
    assert json.loads(printed(packed)) == {"@type": kind, "value": {}}
    assert json.loads(printed(AnyMessage())) == {}


@pytest.mark.parametrize(
    "name, content",
    [
        ("google.rpc.RetryInfo", RetryInfo(retry_delay=Duration(seconds=10**15))),
        ("google.protobuf.Duration", Duration(seconds=10**15)),
        ("google.protobuf.Timestamp", Timestamp(seconds=10**15)),
        ("google.rpc.RetryInfo", b"\xff\xff"),
        ("nobody.knows.This", b"abc"),
    ],
)
def test_what_is_packed_and_has_no_form_in_json_is_shown_as_bytes(
    name: str, content: Message | bytes
) -> None:
    data = content if isinstance(content, bytes) else content.SerializeToString()
    packed = AnyMessage(type_url=f"type.googleapis.com/{name}", value=data)
    shown = json.loads(printed(Status(code=2, details=[packed])))["details"]
    told = base64.b64encode(data).decode()
    assert shown == [{"@type": f"type.googleapis.com/{name}", "value": told}]


def reads(one: Binding) -> bool:
    return one.verb == "GET" and any(query_fields(one.input, one.template.fields))


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_queries_say_whatever_fields_of_a_message_can_be(data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(list(filter(reads, BINDINGS))))
    fields = [field for _, field in query_fields(one.input, one.template.fields)]
    asked: Any = one.request()
    for field in data.draw(st.lists(st.sampled_from(fields))):
        fill(data.draw, asked, field, 0)
    in_json = json_format.MessageToDict(asked)
    by_name = json_format.MessageToDict(asked, preserving_proto_field_name=True)
    for said in (in_json, by_name):
        query = urlencode(dict(said), doseq=True).encode()
        query = query.replace(b"=True", b"=true").replace(b"=False", b"=false")
        values = values_of(query, one.input, one.template.fields) if query else {}
        read = json_format.ParseDict(values, one.request())
        assert read == asked


def fill_from_json(values: dict[str, Any], made: Message) -> None:
    fill_from(made, values)


def outcome(
    read: Callable[[dict[str, Any], Message], object], values: dict[str, Any], made: Message
) -> str:
    """Return a message that was filled, or why it could not be."""
    try:
        read(values, made)
    except UNREADABLE as error:
        return str(error)
    return str(made)


@st.composite
def objects(draw: Callable[[Any], Any], kind: Descriptor, depth: int = 0) -> dict[str, Any]:
    """Return JSON with the names of a type and values that may fit or not."""
    made: dict[str, Any] = {}
    if not kind.fields:
        return made
    for field in draw(st.lists(st.sampled_from(list(kind.fields)), max_size=5)):
        inner = field.message_type
        value: st.SearchStrategy[Any] = ODD
        if inner is not None and depth < 3:
            is_map = inner.GetOptions().map_entry
            deeper = (
                objects(inner.fields_by_name["value"].message_type or inner, depth + 1)
                if is_map
                else objects(inner, depth + 1)
            )
            value |= deeper | (st.lists(deeper, max_size=2) if field.is_repeated else deeper)
            value |= st.dictionaries(TEXT, deeper, max_size=2)
        made[draw(st.sampled_from([field.name, field.json_name]))] = draw(value)
    return made


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_messages_are_read_as_protobuf_reads_them(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    message = data.draw(messages(kind))
    by_name = data.draw(st.booleans())
    shown = json_format.MessageToDict(message, preserving_proto_field_name=by_name)
    for values in (shown, {**shown, **data.draw(objects(kind))}):
        class_ = GetMessageClass(kind)
        own = outcome(json_format.ParseDict, values, class_())
        assert outcome(fill_from_json, values, class_()) == own


def test_what_is_usual_needs_no_second_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: dict[str, Any] = {"x": [1, 0.5, "y", None, True, {"z": {}}]}
    said: dict[str, Any] = {
        "spec": {"actions": [{"action": "a", "arguments": arguments}]},
        "options": {"queue": "q", "priority": 3, "labels": {"team": "x"}, "runTimeout": "3.5s"},
        "request_id": "one",
    }
    own = json_format.ParseDict(said, SubmitTaskRequest())
    monkeypatch.delattr(json_format, "ParseDict")
    task = SubmitTaskRequest()
    fill_from(task, said)
    assert task == own


@settings(max_examples=50, deadline=None)
@given(name=st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_text_can_be_one_segment_of_a_path(name: str) -> None:
    path = f"/v1/tasks/{quote(name, safe='')}:cancel"
    binding = (Routes(BINDINGS).find(path) or {})["POST"]
    assert binding.method.name == "CancelTask"
    assert binding.template.bind(path) == {"id": name}


@pytest.mark.parametrize(
    "template, path, fields",
    [
        ("/v1/{a}", "/v1/x%2Fy", {"a": "x/y"}),
        ("/v1/{a}", "/v1/x/y", None),
        ("/v1/{a.b}:do", "/v1/x:do", {"a.b": "x"}),
        ("/v1/{a.b}:do", "/v1/x:undo", None),
        ("/v1/{a=x/*/y}/{b}", "/v1/x/1/y/2", {"a": "x/1/y", "b": "2"}),
        ("/v1/{a=x/**}", "/v1/x/1/%41%2f2", {"a": "x/1/A%2f2"}),
        ("/v1/{a=x}", "/v1/x", {"a": "x"}),
        ("/v1/*/{a}", "/v1/any/x", {"a": "x"}),
        ("/v1/**", "/v1/a/b", {}),
        ("/v1/a.b", "/v1/axb", None),
    ],
)
def test_templates_match_paths_as_the_annotations_mean_it(
    template: str, path: str, fields: dict[str, str] | None
) -> None:
    parsed = Template.parse(template)
    matched = parsed.pattern.fullmatch(path) is not None
    assert (parsed.bind(path) if matched else None) == fields


def test_a_verb_after_a_colon_comes_before_a_name_that_has_one() -> None:
    routes = Routes(BINDINGS)
    assert set(routes.find("/v1/operations/a:cancel") or ()) == {"POST"}
    assert set(routes.find("/v1/operations/a:b") or ()) == {"GET", "DELETE"}
    assert set(routes.find("/v1/contracts/a:b") or ()) == {"GET", "PUT", "DELETE"}
    assert set(routes.find("/v1/tasks:watch") or ()) == {"GET"}
    assert routes.find("/v1/operations/") is None


async def test_an_event_that_was_seen_last_is_what_a_stream_goes_on_after() -> None:
    watch = (Routes(BINDINGS).find("/v1/tasks:watch") or {})["GET"]
    request = request_of(b"after_revision=3&ids=a", {"last-event-id": "17"})
    read: Any = await message_of(request, watch, {}, Limits())
    assert (read.after_revision, list(read.ids)) == (17, ["a"])
    history = (Routes(BINDINGS).find("/v1/any/1/history") or {})["GET"]
    read = await message_of(
        request_of(b"", {"last-event-id": "x"}), history, {"id": "1"}, Limits()
    )
    assert read.id == "1"


def test_all_unknown_names_are_told_and_no_others() -> None:
    binding = (Routes(BINDINGS).find("/v1/tasks") or {})["GET"]
    with pytest.raises(Invalid) as caught:
        values_of(b"a=1&pageSize=1&b.c=2&page_size.x=3", binding.input, ())
    assert caught.value.violations == tuple(
        Violation(name, "no such field", "UNKNOWN") for name in ("a", "b.c", "page_size.x")
    )


@pytest.mark.parametrize(
    "accept, wanted",
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*;q=0.5", "application/json"),
        ("text/event-stream", "text/event-stream"),
        ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "text/html"),
        ("application/json, text/event-stream", "application/json"),
        ("application/json;q=0.5, text/event-stream", "text/event-stream"),
        ("application/x-ndjson", "application/json"),
        ("image/png;q=0, */*", "application/json"),
        ("image/png;q=odd", "application/json"),
    ],
)
def test_what_a_client_prefers_is_what_it_says_first_with_the_highest_quality(
    accept: str, wanted: str
) -> None:
    assert preferred(accept) == wanted
