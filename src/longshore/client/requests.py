"""Requests in Python's manner: what is to be done, and how it is to be run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

import uuid_utils

from longshore.client.errors import InvalidValue
from longshore.client.values import to_duration, to_struct, to_timestamp
from longshore.v1.job_service_pb2 import JobSpec, SubmitJobRequest
from longshore.v1.launch_service_pb2 import LaunchSpec, SubmitLaunchRequest
from longshore.v1.operation_pb2 import (
    ActionCall,
    Assignment,
    Callback,
    DeliveryMode,
    Options,
    RetryPolicy,
)
from longshore.v1.task_service_pb2 import SubmitTaskRequest, TaskSpec


class OptionFields(TypedDict, total=False):
    """How an operation is to be run; `longshore.v1.Options` tells limits and defaults."""

    queue: str
    priority: int  #: From 0 to 9; higher starts first.
    labels: Mapping[str, str]
    start_time: datetime | timedelta  #: Not before this time, or this long from now.
    run_timeout: timedelta  #: How long one attempt may take.
    max_attempts: int
    initial_backoff: timedelta
    backoff_multiplier: float
    max_backoff: timedelta
    expire_after: timedelta  #: How long it is kept after its end.
    suspended: bool  #: Accept it, but hold it until it is resumed.
    allow_unregistered: bool  #: Accept actions and queues that no worker has offered yet.
    concurrency_key: str  #: What it needs for itself.
    concurrency_limit: int  #: How many with its `concurrency_key` may run at once.
    fairness_key: str  #: Whose it is: among equals, waiting keys take turns.
    callback: Callback  #: Whom to tell when it has ended.
    request_id: str  #: A key to repeat the submit safely. Default: a new UUIDv7.


class TaskFields(OptionFields, total=False):
    """What a task is to do, besides its one action, and how."""

    plan: Sequence[ActionCall]  #: Several actions in order, instead of one.
    context: Mapping[str, Any]  #: What the actions of a plan share.
    service: str
    account: str  #: For whom it is done: an account that is registered with the service.
    name: str
    delivery: DeliveryMode.ValueType  #: How its result reaches you. Default: by its status.


class JobFields(OptionFields, total=False):
    """What a job is to do, besides its contract's action and the variables, and how."""

    external_id: str  #: A key of the caller's: a second submit with it finds the first job.
    user_attributes: Mapping[str, str]  #: Handed on along the dataflow.


def call(
    action: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    paths: Mapping[str, str] | None = None,
    results: Sequence[str] = (),
    assign: Mapping[str, str] | None = None,
) -> ActionCall:
    """Return one step of a plan.

    `paths` are arguments read from the context when the step starts, by location path.
    `results` names those results that are kept (default all), `assign` what is written to
    the context afterwards: target path → path in the results.
    """
    return ActionCall(
        action=action,
        arguments=to_struct(arguments or {}, "arguments"),
        argument_paths=dict(paths or {}),
        results=results,
        assign=[Assignment(target=to, value=value) for to, value in (assign or {}).items()],
    )


def task(
    action: str = "",
    arguments: Mapping[str, Any] | None = None,
    **fields: Unpack[TaskFields],
) -> SubmitTaskRequest:
    """Return the request for a task: one action with its arguments, or a `plan`.

    Raises `InvalidValue` if a value is no JSON or if there are both, or neither, of the two.
    """
    plan = fields.get("plan", ())
    if bool(action) == bool(plan):
        raise InvalidValue("a task has either an action or a plan")
    if plan and arguments:
        raise InvalidValue("a plan's arguments stand in its calls")
    spec = TaskSpec(
        name=fields.get("name", ""),
        service=fields.get("service", ""),
        account=fields.get("account", ""),
        actions=plan or [call(action, arguments)],
    )
    if "context" in fields:
        spec.context.CopyFrom(to_struct(fields["context"], "context"))
    options = _options(fields)
    options.delivery = fields.get("delivery", DeliveryMode.DELIVERY_MODE_UNSPECIFIED)
    return SubmitTaskRequest(spec=spec, options=options, request_id=_request_id(fields))


def job(
    contract: str,
    action: str,
    variables: Mapping[str, Any] | None = None,
    **fields: Unpack[JobFields],
) -> SubmitJobRequest:
    """Return the request for a job: an action of a contract with variables of this run.

    Raises `InvalidValue` if a value is no JSON.
    """
    spec = JobSpec(
        contract=contract,
        action=action,
        variables=to_struct(variables or {}, "variables"),
        external_id=fields.get("external_id", ""),
        user_attributes=fields.get("user_attributes", {}),
    )
    return SubmitJobRequest(spec=spec, options=_options(fields), request_id=_request_id(fields))


def launch(
    service: str,
    arguments: Mapping[str, Any] | None = None,
    **fields: Unpack[OptionFields],
) -> SubmitLaunchRequest:
    """Return the request for a launch: a rule set or an operation service with arguments.

    Raises `InvalidValue` if a value is no JSON.
    """
    spec = LaunchSpec(service=service, arguments=to_struct(arguments or {}, "arguments"))
    return SubmitLaunchRequest(
        spec=spec, options=_options(fields), request_id=_request_id(fields)
    )


def _request_id(fields: OptionFields) -> str:
    request_id = fields.get("request_id")
    return str(uuid_utils.uuid7()) if request_id is None else request_id


def _options(fields: OptionFields) -> Options:
    options = Options(
        queue=fields.get("queue", ""),
        priority=fields.get("priority", 0),
        labels=fields.get("labels", {}),
        suspended=fields.get("suspended", False),
        allow_unregistered=fields.get("allow_unregistered", False),
        concurrency_key=fields.get("concurrency_key", ""),
        concurrency_limit=fields.get("concurrency_limit", 0),
        fairness_key=fields.get("fairness_key", ""),
        retry=_retry(fields),
        callback=fields.get("callback"),
    )
    if "start_time" in fields:
        options.start_time.CopyFrom(to_timestamp(fields["start_time"], "start_time"))
    if "run_timeout" in fields:
        options.run_timeout.CopyFrom(to_duration(fields["run_timeout"]))
    if "expire_after" in fields:
        options.expire_after.CopyFrom(to_duration(fields["expire_after"]))
    return options


def _retry(fields: OptionFields) -> RetryPolicy | None:
    policy = RetryPolicy(
        max_attempts=fields.get("max_attempts"),
        backoff_multiplier=fields.get("backoff_multiplier"),
    )
    if "initial_backoff" in fields:
        policy.initial_backoff.CopyFrom(to_duration(fields["initial_backoff"]))
    if "max_backoff" in fields:
        policy.max_backoff.CopyFrom(to_duration(fields["max_backoff"]))
    return policy if policy.ListFields() else None
