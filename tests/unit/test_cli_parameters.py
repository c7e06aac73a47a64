"""What may stand on a command line, and how it becomes a request."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any

import click
import pytest
from google.protobuf.struct_pb2 import Struct

from longshore.cli.parameters import Argument, Json, Lifetime, Moment, Pair, Span
from longshore.cli.requests import Order, job_options, launch_options, task_options
from longshore.client import from_struct
from longshore.v1.operation_pb2 import (
    ActionCall,
    Callback,
    CallbackFormat,
    DeliveryMode,
    Options,
)
from longshore.v1.task_service_pb2 import SubmitTaskRequest


def converted(kind: click.ParamType[Any], text: Any) -> Any:
    return kind.convert(text, None, None)


def ordered(
    options: Callable[[Callable[..., Any]], Callable[..., Any]], *words: str
) -> Order[Any]:
    """Return the order that a command line makes."""
    made: list[Order[Any]] = []

    def body(order: Order[Any]) -> None:
        made.append(order)

    command = click.command()(options(body))
    command.main(words, standalone_mode=False)
    return made[0]


def parsed(*words: str) -> SubmitTaskRequest:
    request = ordered(task_options, *words).request
    assert isinstance(request, SubmitTaskRequest)
    return request


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("30", 30),
        (1.5, 1.5),
        ("500ms", 0.5),
        ("90s", 90),
        ("1.5h", 5_400),
        ("1h30m", 5_400),
        ("2d", 172_800),
        (" 5m ", 300),
    ],
)
def test_a_span_is_written_with_units_or_in_seconds(text: Any, seconds: float) -> None:
    assert converted(Span(), text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "5 minutes", "m5", "5m3", "1e400", "nan"])
def test_what_is_no_span_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 30s, 5m, 1h30m or 2d"):
        converted(Span(), text)


def test_a_file_is_kept_for_a_span_or_never_removed() -> None:
    assert converted(Lifetime(), "2d") == timedelta(days=2)
    assert converted(Lifetime(), "never") < timedelta(0)
    with pytest.raises(click.BadParameter, match="write 30s, 5m, 1h30m or 2d"):
        converted(Lifetime(), "always")


def test_a_time_without_a_zone_is_local() -> None:
    assert converted(Moment(), "2026-03-01T12:00:00") == datetime(2026, 3, 1, 12).astimezone()
    assert converted(Moment(), "2026-03-01T12:00:00Z") == datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "tomorrow", "12:00", "2026-13-01"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 2026-03-01T12:00:00"):
        converted(Moment(), text)


@pytest.mark.parametrize(
    "text, value",
    [
        ("path=/x", ("path", "/x")),
        ("path=", ("path", "")),
        ("filter=a=b", ("filter", "a=b")),
        ("note=a:=b", ("note", "a:=b")),
        ("width:=640", ("width", 640)),
        ("names:=[1, null]", ("names", [1, None])),
        ('deep:={"a": true}', ("deep", {"a": True})),
    ],
)
def test_an_argument_is_text_or_json(text: str, value: tuple[str, Any]) -> None:
    assert converted(Argument(), text) == value


def test_an_argument_is_a_file_that_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "photo@home=1.png"
    file.touch()
    assert converted(Argument(), f"image@={file}") == ("image", file)
    assert converted(Argument(), f"image=@{file}") == ("image", f"@{file}")
    for wrong in (tmp_path, tmp_path / "nothing.png", ""):
        with pytest.raises(click.BadParameter):
            converted(Argument(), f"image@={wrong}")


@pytest.mark.parametrize("text", ["path", "=x", ":=1", "@=x", "width:=", "width:=six"])
def test_what_is_no_argument_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        converted(Argument(), text)


@pytest.mark.parametrize("text", ["team", "=north"])
def test_a_label_needs_a_name_and_a_value(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write name=value"):
        converted(Pair(), text)


def test_json_comes_from_the_command_line_or_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "arguments.json"
    file.write_text('{"path": "/x"}')
    assert converted(Json(dict), '{"path": "/x"}') == {"path": "/x"}
    assert converted(Json(dict), f"@{file}") == {"path": "/x"}


@pytest.mark.parametrize(
    "kind, text, said",
    [
        (dict, "[1]", "an object is wanted"),
        (list, "{}", "a list is wanted"),
        (dict, "{", "no JSON"),
        (dict, "@/nowhere/at/all", "cannot be read"),
    ],
)
def test_wrong_json_is_refused(kind: Callable[[], Any], text: str, said: str) -> None:
    with pytest.raises(click.BadParameter, match=said):
        converted(Json(kind), text)  # type: ignore[arg-type]


def test_a_command_line_makes_a_task_of_one_action() -> None:
    made = parsed("digest", "path=/x", "fast:=true", "--label", "team=north", "--priority", "3")
    (call,) = made.spec.actions
    assert call.action == "digest"
    assert from_struct(call.arguments) == {"path": "/x", "fast": True}
    assert made.options.labels == {"team": "north"}
    assert made.options.priority == 3
    assert made.request_id


def test_an_action_may_name_its_service() -> None:
    made = parsed("archive/digest")
    assert (made.spec.service, made.spec.actions[0].action) == ("archive", "digest")
    made = parsed("a/b", "--service", "archive")
    assert (made.spec.service, made.spec.actions[0].action) == ("archive", "a/b")


def test_arguments_given_one_by_one_win_over_those_given_at_once() -> None:
    made = parsed("digest", "b=2", "--arguments", '{"a": 1, "b": 1}')
    assert from_struct(made.spec.actions[0].arguments) == {"a": 1, "b": "2"}


def test_options_that_are_not_given_are_left_to_the_server() -> None:
    assert parsed("digest").options == Options()


def test_every_option_reaches_the_request() -> None:
    made = parsed(
        "digest",
        *("--queue", "night", "--name", "a digest", "--run-timeout", "90s"),
        *("--max-attempts", "1", "--expire-after", "1h", "--request-id", "r-1"),
        *("--start-at", "2026-03-01T12:00:00Z", "--suspended", "--allow-unregistered"),
        *("--concurrency-key", "press", "--concurrency-limit", "2", "--fairness-key", "ada"),
        *("--account", "ada", "--delivery", "store", "--callback", "http://ada.example"),
        *("--callback-method", "put", "--callback-format", "vitam"),
    )
    assert made.spec.account == "ada"
    assert made.spec.name == "a digest"
    assert made.request_id == "r-1"
    options = made.options
    assert (options.queue, options.suspended, options.allow_unregistered) == (
        "night",
        True,
        True,
    )
    assert (options.concurrency_key, options.concurrency_limit) == ("press", 2)
    assert options.fairness_key == "ada"
    assert options.delivery == DeliveryMode.DELIVERY_MODE_STORE
    assert options.callback == Callback(
        url="http://ada.example", method="PUT", format=CallbackFormat.CALLBACK_FORMAT_VITAM
    )
    assert options.run_timeout.ToSeconds() == 90
    assert options.expire_after.ToSeconds() == 3_600
    assert options.retry.max_attempts == 1
    assert options.start_time.ToJsonString() == "2026-03-01T12:00:00Z"


def test_a_plan_is_written_as_the_contract_has_it(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    steps = [
        {
            "action": "scan",
            "arguments": {"path": "/x"},
            "assign": [{"target": "a", "value": "b"}],
        },
        {"action": "digest", "argument_paths": {"path": "a"}},
    ]
    file.write_text(json.dumps(steps))
    made = parsed("--plan", f"@{file}", "--context", '{"c": 1}', "--service", "archive")
    assert [call.action for call in made.spec.actions] == ["scan", "digest"]
    assert made.spec.actions[1] == ActionCall(action="digest", argument_paths={"path": "a"})
    assert from_struct(made.spec.context) == {"c": 1}


def test_a_job_is_an_action_of_a_contract_with_variables() -> None:
    made = ordered(
        job_options,
        *("archive", "ingest", "folder=/srv/7", "times:=3", "--variables", '{"times": 1}'),
        *("--external-id", "box-7", "--attribute", "owner=ada", "--queue", "night"),
    ).request
    spec = made.spec
    assert (spec.contract, spec.action, spec.external_id) == ("archive", "ingest", "box-7")
    assert from_struct(spec.variables) == {"folder": "/srv/7", "times": 3}
    assert spec.user_attributes == {"owner": "ada"}
    assert made.options.queue == "night"
    assert made.request_id


def test_a_launch_is_a_service_with_arguments() -> None:
    made = ordered(launch_options, "yearly-report", "year:=2026", "--suspended").request
    assert made.spec.service == "yearly-report"
    assert from_struct(made.spec.arguments) == {"year": 2026}
    assert made.options == Options(suspended=True)


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "either an action or a plan"),
        (["digest", "--plan", '[{"action": "scan"}]'], "either an action or a plan"),
        (["--plan", '[{"action": "scan"}, {"verb": "x"}]'], "step 1"),
        (["--plan", '["scan"]'], "step 0"),
        (["digest", "size:=NaN"], "arguments.size: nan is no JSON number"),
        (["digest", "--start-in", "5m", "--start-at", "2026-01-01"], "either --start-in or"),
        (["digest", "--callback-format", "native"], "go with a --callback"),
    ],
)
def test_contradictions_are_refused_before_anything_is_sent(
    words: list[str], said: str
) -> None:
    with pytest.raises(click.UsageError, match=said):
        parsed(*words)


def of_its_action(made: SubmitTaskRequest) -> Struct:
    return made.spec.actions[0].arguments


@pytest.mark.parametrize(
    "options, words, where",
    [
        (task_options, ("resize",), of_its_action),
        (job_options, ("pictures", "resize"), attrgetter("spec.variables")),
        (launch_options, ("resize",), attrgetter("spec.arguments")),
    ],
)
def test_a_file_that_is_uploaded_first_stands_among_the_arguments_by_its_id(
    options: Any, words: tuple[str, ...], where: Callable[[Any], Any], tmp_path: Path
) -> None:
    file = tmp_path / "photo.png"
    file.touch()
    order = ordered(options, *words, f"image@={file}", "width:=640")
    assert order.files == {"image": file}
    request = order.completed({"image": "f-1"})
    assert from_struct(where(request)) == {"image": "f-1", "width": 640}
    assert request.request_id == order.request.request_id
