"""Submits of tasks: plans that the submitter writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import uuid_utils

from longshore.core.callers import Account, Caller
from longshore.core.changes import Submit
from longshore.core.errors import InvalidFields, Violation
from longshore.core.limits import TITLE_CHARACTERS
from longshore.core.operations import Kind
from longshore.server import submits
from longshore.server.checks import Flaws, at_most, payload, printable, queue_of_plans
from longshore.server.directory import Offers
from longshore.server.file_arguments import Taken, taken_by
from longshore.server.options import DEFAULTS, read_options
from longshore.server.plan_checks import check_actions, check_service
from longshore.server.structs import flaw_of_object
from longshore.v1.task_service_pb2 import RunTaskRequest, SubmitTaskRequest, TaskSpec

TaskSubmission: TypeAlias = SubmitTaskRequest | RunTaskRequest

_SMALL_BYTES: Final = 4_096  #: Most specs are small, and counting a part of them is not free.


def task_change(
    request: TaskSubmission, caller: Caller, traceparent: str | None, offers: Offers
) -> Submit:
    """Return the change that a submit asks for; raises as `Submissions` says."""
    spec, request_id = request.spec, request.request_id
    submits.check_request_id(request_id)
    flaws: Flaws = []
    document = _document(request, keyed=bool(request_id))
    wanted = DEFAULTS
    if request.HasField("options"):
        wanted = read_options(request.options, offers, flaws)
        queue_of_plans(wanted.queue, "options.queue", flaws)
    _check_spec(spec, flaws)
    service, account = spec.service, spec.account
    missing = check_service(service, offers, "spec.service", flaws)
    needs = check_actions(spec.actions, service, offers, "spec.actions", flaws)
    if flaws:
        raise InvalidFields(flaws)
    submits.refuse_unknown(wanted, offers, missing or needs.missing)
    # By position, in the order of `Submit`: a name for each costs as much as a check.
    return Submit(
        caller,
        Kind.TASK,
        uuid_utils.uuid7().bytes,
        wanted.queue,
        needs.keys,
        0 if needs.simple else len(spec.actions),
        document,
        wanted.priority,
        wanted.suspended,
        wanted.policy,
        wanted.not_before,
        request_id or caller.request_id,
        submits.trace_of(traceparent),
        _attributes(spec, wanted.labels),
        submits.key_of(request_id, Kind.TASK, document),
        None,  # plan
        None,  # external_key
        Account(service, account) if account else None,
        wanted.concurrency_key,
        wanted.fairness_key,
        tuple([one.file_id for one in files_of_task(spec, offers)]) if offers.files else (),
    )


def files_of_task(spec: TaskSpec, offers: Offers) -> list[Taken]:
    """Return the files that a task takes."""
    found = taken_by(spec.actions, spec.service, spec.context, offers)
    return [one._replace(field=f"spec.{one.field}") for one in found]


def _document(request: TaskSubmission, *, keyed: bool) -> bytes:
    spec = request.spec.SerializeToString(deterministic=keyed)
    if len(spec) > _SMALL_BYTES:
        payload("spec.context", request.spec.context.ByteSize())
        payload("spec", len(spec))
    options = request.options if request.HasField("options") else None
    return submits.document_of(spec, options, keyed=keyed)


def _check_spec(spec: TaskSpec, flaws: Flaws) -> None:
    name, account = spec.name, spec.account
    if name:
        _check_title(name, "spec.name", flaws)
    if account:
        _check_title(account, "spec.account", flaws)
        if not spec.service:
            needed = "an account is one with a service"
            flaws.append(Violation("spec.service", needed, "MISSING"))
    if spec.HasField("context"):
        flaw = flaw_of_object(spec.context.fields)
        if flaw is not None:
            flaws.append(Violation(f"spec.context{flaw.where}", flaw.description))


def _check_title(text: str, field: str, flaws: Flaws) -> None:
    at_most(field, TITLE_CHARACTERS, len(text))
    printable(text, field, flaws)


def _attributes(spec: TaskSpec, labels: Mapping[str, str] | None) -> str | None:
    name, service, account = spec.name, spec.service, spec.account
    if not (name or service or account or labels):
        return None
    return submits.attributes_of({"name": name, "service": service, "account": account}, labels)
