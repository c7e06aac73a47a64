"""Submits of jobs: plans that a contract's action names."""

from __future__ import annotations

import hashlib
from typing import Final, TypeAlias

import uuid_utils
from google.protobuf.struct_pb2 import Struct

from longshore.core.callers import Caller
from longshore.core.changes import Submit
from longshore.core.errors import (
    ActionNotFound,
    ContractNotFound,
    InvalidFields,
    NotFound,
    Violation,
)
from longshore.core.ids import text_of
from longshore.core.installation import DEFAULT_QUEUE
from longshore.core.operations import Kind
from longshore.server import submits
from longshore.server.checks import Flaws, at_most, no_controls, payload, queue_of_plans, slug
from longshore.server.directory import Offers
from longshore.server.file_arguments import Taken, taken_by
from longshore.server.options import DEFAULTS, Wanted, no_delivery, read_options
from longshore.server.plan_checks import Needs, at, check_actions
from longshore.server.structs import flaw_of_object
from longshore.v1.catalog_service_pb2 import Contract, ContractAction
from longshore.v1.job_service_pb2 import (
    Dataflow,
    Job,
    JobSpec,
    RunJobRequest,
    SubmitJobRequest,
    Workflow,
)
from longshore.v1.operation_pb2 import Options
from longshore.v1.task_service_pb2 import Task, TaskSpec

JobSubmission: TypeAlias = SubmitJobRequest | RunJobRequest

_EXTERNAL_ID_CHARACTERS: Final = 64


def job_change(
    request: JobSubmission,
    caller: Caller,
    traceparent: str | None,
    offers: Offers,
    contract: Contract | None,
) -> Submit:
    """Return the change that a submit asks for; raises as `Submissions` says."""
    spec, request_id = request.spec, request.request_id
    submits.check_request_id(request_id)
    flaws: Flaws = []
    _check_spec(spec, flaws)
    action = _action_of(spec, contract, flaws)
    wanted = _wanted(request, action, offers, flaws)
    needs = None if isinstance(action, NotFound) else _needs_of(action, offers, flaws)
    if flaws:
        raise InvalidFields(flaws)
    if isinstance(action, NotFound):
        raise action
    assert contract is not None
    assert needs is not None
    submits.refuse_unknown(wanted, offers, needs.missing)
    plan = _plan(spec, action)
    job_id = uuid_utils.uuid7().bytes
    request_id = request_id or caller.request_id
    return Submit(
        caller=caller,
        kind=Kind.JOB,
        id=job_id,
        queue=wanted.queue,
        actions=needs.keys,
        steps=len(action.template.actions),
        request=_document(request, contract, action),
        priority=wanted.priority,
        suspended=wanted.suspended,
        policy=wanted.policy,
        not_before=wanted.not_before,
        facts_request_id=request_id,
        traceparent=submits.trace_of(traceparent),
        attributes=_attributes(spec, contract, action, job_id, request_id, wanted),
        key=submits.key_of(
            request.request_id, Kind.JOB, submits.body_of(spec, _options_of(request))
        ),
        plan=plan.SerializeToString(),
        external_key=external_key(spec),
        concurrency_key=wanted.concurrency_key,
        fairness_key=wanted.fairness_key,
        files=tuple(one.file_id for one in _files_of(plan.spec, spec, offers)),
    )


def _options_of(request: JobSubmission) -> Options | None:
    return request.options if request.HasField("options") else None


def _check_spec(spec: JobSpec, flaws: Flaws) -> None:
    at_most("spec.external_id", _EXTERNAL_ID_CHARACTERS, len(spec.external_id))
    no_controls(spec.external_id, "spec.external_id", flaws)
    payload("spec.variables", spec.variables.ByteSize())
    payload("spec", spec.ByteSize())
    flaw = flaw_of_object(spec.variables.fields)
    if flaw is not None:
        flaws.append(Violation(f"spec.variables{flaw.where}", flaw.description))


def _action_of(
    spec: JobSpec, contract: Contract | None, flaws: Flaws
) -> ContractAction | NotFound:
    """Return what is asked for, or what to say if there is no such thing."""
    if contract is None:
        slug(spec.contract, "spec.contract", flaws)
        slug(spec.action, "spec.action", flaws)
        return at("spec.contract", ContractNotFound(spec.contract))
    for action in contract.actions:
        if action.name == spec.action:
            return action
    slug(spec.action, "spec.action", flaws)
    return at("spec.action", ActionNotFound(spec.action, contract=contract.name))


def _wanted(
    request: JobSubmission, action: ContractAction | NotFound, offers: Offers, flaws: Flaws
) -> Wanted:
    queue = DEFAULT_QUEUE if isinstance(action, NotFound) else action.queue or DEFAULT_QUEUE
    if request.HasField("options"):
        wanted = read_options(request.options, offers, flaws, queue)
        no_delivery(request.options, flaws)
        queue_of_plans(wanted.queue, "options.queue", flaws)
        return wanted
    return DEFAULTS._replace(queue=queue)


def _needs_of(action: ContractAction, offers: Offers, flaws: Flaws) -> Needs:
    """Check the plan against what workers offer now; the contract may be older than that."""
    unfit: Flaws = []
    needs = check_actions(action.template.actions, "", offers, "actions", unfit)
    for one in unfit:
        described = f"its plan does not fit what workers offer: {one.field}: {one.description}"
        flaws.append(Violation("spec.action", described, one.reason))
    if needs.missing is not None:
        at("spec.action", needs.missing)
    return needs


def _document(request: JobSubmission, contract: Contract, action: ContractAction) -> bytes:
    """Return the job as it is shown, but for what its attributes tell."""
    template = action.template
    job = Job(
        spec=request.spec,
        options=_options_of(request),
        contract_type=contract.type,
        actor=contract.actor,
        trigger=action.trigger,
        workflow=Workflow(
            template_id=template.id,
            template_name=template.name,
            template_revision=template.revision,
            template_description=template.description,
        ),
        dataflow=Dataflow(user_attributes=request.spec.user_attributes),
    )
    job.spec.ClearField("external_id")  # Who resubmits the job does not take it along.
    return job.SerializeToString()


def _plan(spec: JobSpec, action: ContractAction) -> Task:
    """Return what workers run: the template, over the contract's variables and the call's."""
    context = Struct()
    context.CopyFrom(action.variables)
    for name, value in spec.variables.fields.items():
        context.fields[name].CopyFrom(value)
    payload("spec.variables", context.ByteSize())
    return Task(spec=TaskSpec(actions=action.template.actions, context=context))


def files_of_job(spec: JobSpec, offers: Offers, contract: Contract | None) -> list[Taken]:
    """Return the files that a job takes."""
    action = _action_of(spec, contract, [])
    return (
        []
        if isinstance(action, NotFound)
        else _files_of(_plan(spec, action).spec, spec, offers)
    )


def _files_of(plan: TaskSpec, spec: JobSpec, offers: Offers) -> list[Taken]:
    """Return the files that a plan takes; what is none of the call's variables is its action's."""
    return [
        one._replace(field=_field_of(one, spec))
        for one in taken_by(plan.actions, plan.service, plan.context, offers)
    ]


def _field_of(taken: Taken, spec: JobSpec) -> str:
    origin, _, place = taken.field.partition(".")
    given = origin == "context" and place.partition(".")[0] in spec.variables.fields
    return f"spec.variables.{place}" if given else "spec.action"


def _attributes(
    spec: JobSpec,
    contract: Contract,
    action: ContractAction,
    job_id: bytes,
    request_id: str,
    wanted: Wanted,
) -> str | None:
    members: dict[str, str | int] = {
        "contract": contract.name,
        "action": action.name,
        "trigger": action.trigger,
        "contract_type": contract.type,
        "actor": contract.actor,
        "external_id": spec.external_id,
        "template_id": action.template.id,
        "template_name": action.template.name,
        "template_revision": action.template.revision,
        "dfiid": text_of(job_id),
        "lcid": request_id,
    }
    return submits.attributes_of(members, wanted.labels)


def external_key(spec: JobSpec) -> str | None:
    """Return what finds the first job with an external id; longer than any request id."""
    if not spec.external_id:
        return None
    digest = hashlib.sha256()
    for text in (spec.contract, spec.action, spec.external_id):
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(4) + encoded)
    return f"external:{digest.hexdigest()}"
