"""Submissions: from a submit on the wire to the change that asks for it, every check on."""

from __future__ import annotations

from typing import TypeAlias

from longshore.core.callers import Caller
from longshore.core.changes import Recall, Submit
from longshore.core.errors import AccountNotFound, FileNotFound
from longshore.core.ids import text_of
from longshore.core.operations import Kind
from longshore.core.principals import EVERYTHING, Grants
from longshore.server import submits
from longshore.server.directory import Directory
from longshore.server.file_arguments import Taken
from longshore.server.job_submissions import (
    JobSubmission,
    external_key,
    files_of_job,
    job_change,
)
from longshore.server.launch_submissions import (
    LaunchSubmission,
    files_of_launch,
    launch_change,
)
from longshore.server.plan_checks import at
from longshore.server.task_submissions import TaskSubmission, files_of_task, task_change
from longshore.v1.job_service_pb2 import JobSpec
from longshore.v1.launch_service_pb2 import LaunchSpec
from longshore.v1.task_service_pb2 import TaskSpec

Submission: TypeAlias = TaskSubmission | JobSubmission | LaunchSubmission


class Submissions:
    """Makes changes of submits, checked against contracts and what workers offer.

    `grants` are those of whoever asks. What they leave out is not found.

    Every method raises `InvalidFields` with every violation, `LimitExceeded`,
    `PayloadTooLarge`, or a `NotFound` for what the spec names.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def task(
        self,
        request: TaskSubmission,
        caller: Caller,
        traceparent: str | None = None,
        grants: Grants = EVERYTHING,
    ) -> Submit:
        """Return the change that the submit of a task asks for."""
        offers = self._directory.offers(caller.tenant, grants)
        return task_change(request, caller, traceparent, offers)

    def job(
        self,
        request: JobSubmission,
        caller: Caller,
        traceparent: str | None = None,
        grants: Grants = EVERYTHING,
    ) -> Submit:
        """Return the change that the submit of a job asks for."""
        offers = self._directory.offers(caller.tenant, grants)
        contract = self._directory.contract(caller.tenant, request.spec.contract)
        return job_change(request, caller, traceparent, offers, contract)

    def launch(
        self,
        request: LaunchSubmission,
        caller: Caller,
        traceparent: str | None = None,
        grants: Grants = EVERYTHING,
    ) -> Submit:
        """Return the change that the submit of a launch asks for."""
        offers = self._directory.offers(caller.tenant, grants)
        return launch_change(request, caller, traceparent, offers)

    def files(self, request: Submission, caller: Caller) -> list[Taken]:
        """Return the files that a submit takes, which have passed its checks."""
        offers, spec = self._directory.offers(caller.tenant), request.spec
        if isinstance(spec, TaskSpec):
            return files_of_task(spec, offers)
        if isinstance(spec, LaunchSpec):
            return files_of_launch(spec, offers)
        contract = self._directory.contract(caller.tenant, spec.contract)
        return files_of_job(spec, offers, contract)

    def named(self, error: BaseException, request: Submission, caller: Caller) -> BaseException:
        """Say which field names the account or the file that the store did not find."""
        if isinstance(error, AccountNotFound):
            return at("spec.account", error)
        if isinstance(error, FileNotFound):
            for one in self.files(request, caller):
                if text_of(one.file_id) == error.facts["file_id"]:
                    return at(one.field, error)
        return error


def recall_of(request: Submission, kind: Kind, caller: Caller) -> Recall | None:
    """Return the change that finds what a repeat asks for; None if nothing can tell."""
    options = request.options if request.HasField("options") else None
    body = submits.body_of(request.spec, options)
    key = submits.key_of(request.request_id, kind, body)
    external = external_key(request.spec) if isinstance(request.spec, JobSpec) else None
    return None if key is None and external is None else Recall(caller, key, external)
