"""The options that say how an operation is to be run, whatever its kind."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

import click

from longshore.cli.parameters import Moment, Pair, Span
from longshore.cli.suggestions import queues
from longshore.client import InvalidValue
from longshore.client.requests import OptionFields
from longshore.v1.operation_pb2 import Callback, CallbackFormat, DeliveryMode

#: The methods that the contract knows.
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "OPTIONS", "HEAD")

_FORMATS: Final = {
    "native": CallbackFormat.CALLBACK_FORMAT_NATIVE,
    "mdworkbench": CallbackFormat.CALLBACK_FORMAT_MDWORKBENCH,
    "vitam": CallbackFormat.CALLBACK_FORMAT_VITAM,
}

_DELIVERIES: Final = {
    "store": DeliveryMode.DELIVERY_MODE_STORE,
    "channel": DeliveryMode.DELIVERY_MODE_CHANNEL,
}

_COMMON: Final = (
    click.option(
        "--queue",
        shell_complete=queues,
        help="Where to wait. Default: that of what is asked for.",
    ),
    click.option("--priority", type=int, help="From 0 to 9; higher starts first."),
    click.option(
        "--label", "labels", type=Pair(), multiple=True, help="To find it by; may be repeated."
    ),
    click.option("--start-in", type=Span(), help="Not before so much time has passed."),
    click.option("--start-at", type=Moment(), help="Not before this time."),
    click.option("--run-timeout", type=Span(), help="How long one attempt may take."),
    click.option(
        "--max-attempts", type=int, help="How many attempts there may be. Default: 3."
    ),
    click.option("--expire-after", type=Span(), help="Kept so long after its end."),
    click.option(
        "--suspended", is_flag=True, default=None, help="Hold it until it is resumed."
    ),
    click.option(
        "--concurrency-key",
        help="Of those with equal keys at most --concurrency-limit run at once.",
    ),
    click.option("--concurrency-limit", type=int, help="Needed with a --concurrency-key."),
    click.option("--fairness-key", help="Of equal priority, keys take turns in starting."),
    click.option("--callback", metavar="URL", help="Whom to tell when it has ended."),
    click.option(
        "--callback-method",
        type=click.Choice(_METHODS, case_sensitive=False),
        help="How to. Default: POST.",
    ),
    click.option(
        "--callback-format",
        type=click.Choice(tuple(_FORMATS)),
        help="What is sent. Default: native, the operation as --json shows it.",
    ),
    click.option("--request-id", help="A key to repeat this safely. Default: a new one."),
    click.option(
        "--allow-unregistered",
        is_flag=True,
        default=None,
        help="Accept actions and queues that no worker has offered yet.",
    ),
)

#: How the result of a task reaches its consumer.
delivery_option: Final = click.option(
    "--delivery",
    type=click.Choice(tuple(_DELIVERIES)),
    help="Keep the result until it is fetched, or send it on your channel. Default: show it.",
)


def becomes(
    make: Callable[..., Any], *parameters: Callable[[Any], Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare parameters and the common options; the command gets the `order` they `make`."""
    declared = (*parameters, *_COMMON)
    names = _names(declared)

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def body(**options: Any) -> Any:
            fields = {name: options.pop(name) for name in names}
            try:
                order = make(**fields)
            except InvalidValue as error:
                raise click.UsageError(str(error)) from None
            return command(order=order, **options)

        return _declare(declared, body)

    return decorate


def given(
    labels: tuple[tuple[str, str], ...],
    start_in: timedelta | None,
    start_at: datetime | None,
    callback: str | None,
    callback_method: str | None,
    callback_format: str | None,
    delivery: str | None = None,
    **fields: Any,
) -> OptionFields:
    """Return what the client takes of the common options: those that somebody has given.

    Raises `InvalidValue` where they contradict one another.
    """
    if start_in is not None and start_at is not None:
        raise InvalidValue("either --start-in or --start-at says when it may start")
    fields["labels"] = dict(labels) or None
    fields["start_time"] = start_at if start_in is None else start_in
    fields["callback"] = _callback(callback, callback_method, callback_format)
    fields["delivery"] = _DELIVERIES[delivery] if delivery else None
    return cast(
        "OptionFields", {name: value for name, value in fields.items() if value is not None}
    )


def _callback(url: str | None, method: str | None, format_: str | None) -> Callback | None:
    if url is not None:
        return Callback(url=url, method=method or "", format=_FORMATS[format_ or "native"])
    if method or format_:
        raise InvalidValue("--callback-method and --callback-format go with a --callback")
    return None


def _declare(
    parameters: Sequence[Callable[[Any], Any]], command: Callable[..., Any]
) -> Callable[..., Any]:
    for parameter in reversed(parameters):
        command = parameter(command)
    return command


def _names(parameters: Sequence[Callable[[Any], Any]]) -> Sequence[str]:
    """Return under which names a command is handed the values of its parameters."""

    def nothing(**_: Any) -> None:
        return None

    command = click.command()(_declare(parameters, nothing))
    return [str(parameter.name) for parameter in command.params]
