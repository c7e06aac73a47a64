"""Command lines that become orders: what a task, a job or a launch is to do."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import click
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.struct_pb2 import Struct

from longshore.cli import suggestions
from longshore.cli.options import becomes, delivery_option, given
from longshore.cli.parameters import Argument, Json, Pair, merged
from longshore.client import InvalidValue, job, launch, task, to_struct
from longshore.v1.job_service_pb2 import SubmitJobRequest
from longshore.v1.launch_service_pb2 import SubmitLaunchRequest
from longshore.v1.operation_pb2 import ActionCall
from longshore.v1.task_service_pb2 import SubmitTaskRequest

Request = SubmitTaskRequest | SubmitJobRequest | SubmitLaunchRequest
R = TypeVar("R", bound=Request)

Single = tuple[tuple[str, Any], ...]
Whole = dict[str, Any] | None

_SINGLE: Final = click.argument("single", nargs=-1, type=Argument(), metavar="[KEY=TEXT]...")

_ARGUMENTS: Final = (
    _SINGLE,
    click.option("--arguments", "whole", type=Json(dict), help="All arguments at once."),
)


@dataclass(frozen=True, slots=True)
class Order(Generic[R]):
    """A request, and the files that are uploaded before it is sent."""

    request: R
    files: Mapping[str, Path]  #: By the argument that takes each.

    def completed(self, ids: Mapping[str, str]) -> R:
        """Return the request with the ids of its files, by argument."""
        request = copy.deepcopy(self.request)
        _arguments(request).update(ids)
        return request


def _arguments(request: Request) -> Struct:
    """Return where the arguments of a command line stand."""
    if isinstance(request, SubmitJobRequest):
        return request.spec.variables
    if isinstance(request, SubmitLaunchRequest):
        return request.spec.arguments
    return request.spec.actions[0].arguments


def _parted(whole: Whole, single: Single) -> tuple[dict[str, Any], dict[str, Path]]:
    """Return arguments, and the files among them, whose ids are not known yet."""
    values = merged(whole, single)
    files = {name: value for name, value in values.items() if isinstance(value, Path)}
    return {**values, **dict.fromkeys(files, "")}, files


def _task(
    action: str | None,
    single: Single,
    whole: Whole,
    plan: list[Any] | None,
    context: Whole,
    service: str,
    account: str,
    name: str,
    **options: Any,
) -> Order[SubmitTaskRequest]:
    if action and "/" in action and not service:
        service, _, action = action.partition("/")
    arguments, files = _parted(whole, single)
    request = task(
        action or "",
        arguments,
        plan=[_call(index, one) for index, one in enumerate(plan or ())],
        service=service,
        account=account,
        name=name,
        **given(**options),
    )
    if context is not None:
        request.spec.context.CopyFrom(to_struct(context, "context"))
    return Order(request, files)


def _call(index: int, step: Any) -> ActionCall:
    """Read a step of a plan as JSON has it."""
    try:
        return ParseDict(step, ActionCall())
    except (ParseError, TypeError, AttributeError) as error:
        raise InvalidValue(f"--plan, step {index}: {error}") from None


def _job(
    contract: str,
    action: str,
    single: Single,
    whole: Whole,
    external_id: str,
    user_attributes: tuple[tuple[str, str], ...],
    **options: Any,
) -> Order[SubmitJobRequest]:
    variables, files = _parted(whole, single)
    request = job(
        contract,
        action,
        variables,
        external_id=external_id,
        user_attributes=dict(user_attributes),
        **given(**options),
    )
    return Order(request, files)


def _launch(
    service: str, single: Single, whole: Whole, **options: Any
) -> Order[SubmitLaunchRequest]:
    arguments, files = _parted(whole, single)
    return Order(launch(service, arguments, **given(**options)), files)


task_options: Final = becomes(
    _task,
    click.argument(
        "action",
        required=False,
        metavar="[[SERVICE/]ACTION]",
        shell_complete=suggestions.actions,
    ),
    *_ARGUMENTS,
    click.option(
        "--plan",
        type=Json(list),
        help="Several actions instead of one: a list of the contract's ActionCalls.",
    ),
    click.option("--context", type=Json(dict), help="What the actions of a plan share."),
    click.option(
        "--service",
        default="",
        shell_complete=suggestions.services,
        help="Whose actions these are; SERVICE/ACTION says it as well.",
    ),
    click.option(
        "--account", default="", help="For whom: one of your accounts with the service."
    ),
    click.option("--name", default="", help="A name for people."),
    delivery_option,
)

job_options: Final = becomes(
    _job,
    click.argument("contract", shell_complete=suggestions.contracts),
    click.argument("action", shell_complete=suggestions.contract_actions),
    _SINGLE,
    click.option("--variables", "whole", type=Json(dict), help="All variables at once."),
    click.option(
        "--external-id",
        default="",
        help="Your key for this job: a second submit with it finds the first one's job.",
    ),
    click.option(
        "--attribute",
        "user_attributes",
        type=Pair(),
        multiple=True,
        help="Handed on along the dataflow; may be repeated.",
    ),
)

launch_options: Final = becomes(
    _launch, click.argument("service", shell_complete=suggestions.launchable), *_ARGUMENTS
)
