"""Submissions: from a submit on the wire to the change that asks for it, every check on."""

from __future__ import annotations

from typing import TypeAlias

from longshore.core.changes import Caller, Recall, Submit
from longshore.core.operations import Kind
from longshore.server import submits
from longshore.server.directory import Directory
from longshore.server.job_submissions import JobSubmission, external_key, job_change
from longshore.server.launch_submissions import LaunchSubmission, launch_change
from longshore.server.task_submissions import TaskSubmission, task_change
from longshore.v1.job_service_pb2 import JobSpec

Submission: TypeAlias = TaskSubmission | JobSubmission | LaunchSubmission


class Submissions:
    """Makes changes of submits, checked against contracts and what workers offer.

    Every method raises `InvalidFields` with every violation, `LimitExceeded`,
    `PayloadTooLarge`, or a `NotFound` for what the spec names.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def task(
        self, request: TaskSubmission, caller: Caller, traceparent: str | None = None
    ) -> Submit:
        """Return the change that the submit of a task asks for."""
        offers = self._directory.offers(caller.tenant)
        return task_change(request, caller, traceparent, offers)

    def job(
        self, request: JobSubmission, caller: Caller, traceparent: str | None = None
    ) -> Submit:
        """Return the change that the submit of a job asks for."""
        offers = self._directory.offers(caller.tenant)
        contract = self._directory.contract(caller.tenant, request.spec.contract)
        return job_change(request, caller, traceparent, offers, contract)

    def launch(
        self, request: LaunchSubmission, caller: Caller, traceparent: str | None = None
    ) -> Submit:
        """Return the change that the submit of a launch asks for."""
        offers = self._directory.offers(caller.tenant)
        return launch_change(request, caller, traceparent, offers)


def recall_of(request: Submission, kind: Kind, caller: Caller) -> Recall | None:
    """Return the change that finds what a repeat asks for; None if nothing can tell."""
    options = request.options if request.HasField("options") else None
    body = submits.body_of(request.spec, options)
    key = submits.key_of(request.request_id, kind, body)
    external = external_key(request.spec) if isinstance(request.spec, JobSpec) else None
    return None if key is None and external is None else Recall(caller, key, external)
