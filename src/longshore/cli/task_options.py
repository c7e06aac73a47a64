"""The options that say what a task is, and how it is to be run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import click
from google.protobuf.json_format import ParseDict, ParseError

from longshore.cli.parameters import Argument, Json, Moment, Pair, Span, merged
from longshore.client import InvalidValue, task
from longshore.client.requests import TaskFields
from longshore.v1.operation_pb2 import ActionCall
from longshore.v1.task_service_pb2 import SubmitTaskRequest

_OPTIONS: Final = (
    click.argument("action", required=False, metavar="[[SERVICE/]ACTION]"),
    click.argument("arguments", nargs=-1, type=Argument(), metavar="[KEY=TEXT]..."),
    click.option("--arguments", "whole", type=Json(dict), help="All arguments at once."),
    click.option(
        "--plan",
        type=Json(list),
        help="Several actions instead of one: a list of the contract's ActionCalls.",
    ),
    click.option("--context", type=Json(dict), help="What the actions of a plan share."),
    click.option("--service", help="Whose actions these are; SERVICE/ACTION says it as well."),
    click.option("--queue", help="Where to wait. Default: `default`."),
    click.option("--priority", type=int, help="From 0 to 9; higher starts first."),
    click.option("--label", "labels", type=Pair(), multiple=True, help="May be repeated."),
    click.option("--name", help="A name for people."),
    click.option("--start-in", type=Span(), help="Not before so much time has passed."),
    click.option("--start-at", type=Moment(), help="Not before this time."),
    click.option("--run-timeout", type=Span(), help="How long one attempt may take."),
    click.option(
        "--max-attempts", type=int, help="How many attempts there may be. Default: 3."
    ),
    click.option("--expire-after", type=Span(), help="Kept so long after its end."),
    click.option("--request-id", help="A key to repeat this safely. Default: a new one."),
    click.option(
        "--suspended", is_flag=True, default=None, help="Hold it until it is resumed."
    ),
    click.option(
        "--allow-unregistered",
        is_flag=True,
        default=None,
        help="Accept actions and queues that no worker has offered yet.",
    ),
)


#: What `request` takes.
_FIELDS: Final = frozenset(
    (
        *("action", "arguments", "whole", "plan", "context", "service", "queue", "priority"),
        *("labels", "name", "start_in", "start_at", "run_timeout", "max_attempts"),
        *("expire_after", "request_id", "suspended", "allow_unregistered"),
    )
)


def task_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Declare all that says what a task is; the command gets the `request` that it makes."""

    @functools.wraps(command)
    def body(**options: Any) -> Any:
        fields = {name: options.pop(name) for name in _FIELDS}
        try:
            made = request(**fields)
        except InvalidValue as error:
            raise click.UsageError(str(error)) from None
        return command(request=made, **options)

    for option in reversed(_OPTIONS):
        body = option(body)
    return body


def request(
    action: str | None,
    arguments: tuple[tuple[str, Any], ...],
    whole: dict[str, Any] | None,
    plan: list[Any] | None,
    labels: tuple[tuple[str, str], ...],
    start_in: timedelta | None,
    start_at: datetime | None,
    **fields: Any,
) -> SubmitTaskRequest:
    """Return the request that the options of a command make.

    Raises `InvalidValue` where they contradict one another or cannot be sent.
    """
    if start_in is not None and start_at is not None:
        raise InvalidValue("either --start-in or --start-at says when it may start")
    if action and "/" in action and not fields.get("service"):
        fields["service"], _, action = action.partition("/")
    given: dict[str, Any] = {
        **fields,
        "plan": [_call(index, one) for index, one in enumerate(plan)] if plan else None,
        "labels": dict(labels) or None,
        "start_time": start_in if start_in is not None else start_at,
    }
    set_ = TaskFields(**{name: one for name, one in given.items() if one is not None})  # type: ignore[typeddict-item]
    return task(action or "", merged(whole, arguments), **set_)


def _call(index: int, step: Any) -> ActionCall:
    """Read a step of a plan as JSON has it."""
    try:
        return ParseDict(step, ActionCall())
    except (ParseError, TypeError, AttributeError) as error:
        raise InvalidValue(f"--plan, step {index}: {error}") from None
