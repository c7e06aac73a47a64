"""Submits of launches: the one action of a service that has a kind."""

from __future__ import annotations

from typing import Final, TypeAlias

import uuid_utils

from longshore.core.callers import Caller
from longshore.core.changes import Submit
from longshore.core.errors import InvalidFields, NotFound, ServiceNotFound, Violation
from longshore.core.installation import DEFAULT_QUEUE, OPERATIONS_QUEUE, RULESETS_QUEUE
from longshore.core.lanes import action_key
from longshore.core.operations import Kind
from longshore.server import submits
from longshore.server.checks import Flaws, payload, slug
from longshore.server.directory import Offers
from longshore.server.file_arguments import Taken, taken_by
from longshore.server.options import DEFAULTS, Wanted, no_delivery, read_options
from longshore.server.plan_checks import at, check_arguments
from longshore.v1.catalog_service_pb2 import Service
from longshore.v1.launch_service_pb2 import LaunchSpec, RunLaunchRequest, SubmitLaunchRequest
from longshore.v1.operation_pb2 import ActionCall, Options, ServiceKind
from longshore.v1.task_service_pb2 import Task, TaskSpec

LaunchSubmission: TypeAlias = SubmitLaunchRequest | RunLaunchRequest

#: Where launches wait, by the kind of their service.
QUEUES: Final[dict[int, str]] = {
    ServiceKind.SERVICE_KIND_RULESET: RULESETS_QUEUE,
    ServiceKind.SERVICE_KIND_OPERATION: OPERATIONS_QUEUE,
}


def launch_change(
    request: LaunchSubmission, caller: Caller, traceparent: str | None, offers: Offers
) -> Submit:
    """Return the change that a submit asks for; raises as `Submissions` says."""
    spec, request_id = request.spec, request.request_id
    submits.check_request_id(request_id)
    document = _document(request, keyed=bool(request_id))
    flaws: Flaws = []
    service = _service_of(spec, offers, flaws)
    wanted = _wanted(request, service, offers, flaws)
    if not isinstance(service, NotFound) and service.kind in QUEUES:
        tables = offers.actions[service.slug, service.actions[0].slug]
        check_arguments(spec.arguments.fields, {}, tables, "spec", flaws)
    if flaws:
        raise InvalidFields(flaws)
    if isinstance(service, NotFound):
        raise service
    action = service.actions[0].slug
    plan = _plan(spec, action)
    return Submit(
        caller=caller,
        kind=Kind.LAUNCH,
        id=uuid_utils.uuid7().bytes,
        queue=wanted.queue,
        actions=(action_key(service.slug, action),),
        steps=0,
        request=document,
        priority=wanted.priority,
        suspended=wanted.suspended,
        policy=wanted.policy,
        not_before=wanted.not_before,
        facts_request_id=request_id or caller.request_id,
        traceparent=submits.trace_of(traceparent),
        attributes=submits.attributes_of({"service": service.slug}, wanted.labels),
        key=submits.key_of(request_id, Kind.LAUNCH, document),
        plan=plan.SerializeToString(),
        concurrency_key=wanted.concurrency_key,
        files=tuple(one.file_id for one in _files_of(plan.spec, offers)),
    )


def files_of_launch(spec: LaunchSpec, offers: Offers) -> list[Taken]:
    """Return the files that a launch takes."""
    service = offers.services.get(spec.service)
    if service is None:
        return []
    return _files_of(_plan(spec, service.actions[0].slug).spec, offers)


def _files_of(plan: TaskSpec, offers: Offers) -> list[Taken]:
    found = taken_by(plan.actions, plan.service, plan.context, offers)
    return [one._replace(field=f"spec.{one.field.partition('.')[2]}") for one in found]


def _service_of(spec: LaunchSpec, offers: Offers, flaws: Flaws) -> Service | NotFound:
    """Return what is to be launched, or what to say if nobody has published it."""
    service = offers.services.get(spec.service) if spec.service else None
    if service is None:
        slug(spec.service, "spec.service", flaws)
        return at("spec.service", ServiceNotFound(spec.service))
    if service.kind not in QUEUES:
        flaws.append(Violation("spec.service", "a service without a kind cannot be launched"))
    return service


def _wanted(
    request: LaunchSubmission, service: Service | NotFound, offers: Offers, flaws: Flaws
) -> Wanted:
    queue = None if isinstance(service, NotFound) else QUEUES.get(service.kind)
    if not request.HasField("options"):
        return DEFAULTS._replace(queue=queue or DEFAULT_QUEUE)
    options = request.options
    if queue is not None and options.queue not in ("", queue):
        flaws.append(Violation("options.queue", f"{queue!r} or none", "NOT_PERMITTED"))
    if options.fairness_key:
        one_order = "launches start in the one order of their queue"
        flaws.append(Violation("options.fairness_key", one_order, "NOT_PERMITTED"))
    no_delivery(options, flaws)
    return read_options(options, offers, flaws, queue or DEFAULT_QUEUE)


def _document(request: LaunchSubmission, *, keyed: bool) -> bytes:
    payload("spec.arguments", request.spec.arguments.ByteSize())
    spec = request.spec.SerializeToString(deterministic=keyed)
    payload("spec", len(spec))
    options: Options | None = request.options if request.HasField("options") else None
    return submits.document_of(spec, options, keyed=keyed)


def _plan(spec: LaunchSpec, action: str) -> Task:
    """Return what workers run."""
    call = ActionCall(action=action, arguments=spec.arguments)
    return Task(spec=TaskSpec(service=spec.service, actions=[call]))
