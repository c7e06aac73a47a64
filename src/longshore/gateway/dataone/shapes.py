"""Shapes: jobs as Data One shows them, every member a text, empty where nothing is known."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import ClassVar, Final, Literal, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

from longshore.v1 import job_service_pb2 as pb
from longshore.v1.operation_pb2 import (
    STATE_CANCELED,
    STATE_FAILED,
    STATE_QUEUED,
    STATE_RUNNING,
    STATE_SUCCEEDED,
    STATE_SUSPENDED,
    State,
)

Status: TypeAlias = Literal[
    "SUBMITTED", "SUSPENDED", "RUNNING", "ERROR", "ABORTED", "COMPLETED"
]

#: The order of the states is that of their names here, backwards.
STATUSES: Final = MappingProxyType[State.ValueType, Status](
    {
        STATE_SUSPENDED: "SUSPENDED",
        STATE_QUEUED: "SUBMITTED",
        STATE_RUNNING: "RUNNING",
        STATE_FAILED: "ERROR",
        STATE_SUCCEEDED: "COMPLETED",
        STATE_CANCELED: "ABORTED",
    }
)


def _member(name: str) -> str:
    """Return a member's name as this API writes it."""
    return to_camel(name).replace("Ipid", "IPID")


class Shape(BaseModel):
    """An object of this API, with its members' names as they are written there."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=_member, populate_by_name=True, frozen=True
    )


class WorkflowInstance(Shape):
    """The run of a workflow template."""

    id: str
    workflow_template_id: str
    workflow_template_name: str
    workflow_template_revision: str
    workflow_template_description: str


class Dfic(Shape):
    """The context of a dataflow instance."""

    dfiid: str
    lcid: str
    user_attrs: dict[str, str]


class Job(Shape):
    """A job; all scalars are texts."""

    id: str = Field(description="A whole number, in decimal.")
    status: Status
    status_message: str
    created_at: str = Field(description="ISO 8601, with offset.")
    updated_at: str = Field(description="ISO 8601, with offset.")
    submitted_by: str
    queue: str
    actor: str
    contract: str
    contract_type: str
    contract_action: str
    contract_action_trigger: str
    contract_action_workflow_instance: WorkflowInstance
    dfic: Dfic
    ext_ipid: str


class JobList(Shape):
    """A page of jobs."""

    jobs: list[Job]
    next: str | SkipJsonSchema[None] = Field(
        default=None, description="The next page, from the context path; not on the last."
    )


class Login(Shape):
    """What a name and a password are good for."""

    model_config: ClassVar[ConfigDict] = ConfigDict(alias_generator=None)

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - no password
    expires_in: int = Field(description="Seconds.")


class Failure(Shape):
    """Why a call failed."""

    result: Literal["failed"] = "failed"
    timestamp: str
    message: str
    error_type: str


def job_shape(job: pb.Job) -> Job:
    """Return a job as it is shown, in full."""
    workflow, dataflow = job.workflow, job.dataflow
    return Job(
        id=str(job.metadata.number),
        status=STATUSES[job.status.state],
        status_message=job.status.message or job.status.error.message,
        created_at=time_shape(job.metadata.create_time),
        updated_at=time_shape(job.status.update_time),
        submitted_by=job.metadata.submitter,
        queue=job.options.queue,
        actor=job.actor,
        contract=job.spec.contract,
        contract_type=job.contract_type,
        contract_action=job.spec.action,
        contract_action_trigger=job.trigger,
        contract_action_workflow_instance=WorkflowInstance(
            id=workflow.id,
            workflow_template_id=str(workflow.template_id),
            workflow_template_name=workflow.template_name,
            workflow_template_revision=str(workflow.template_revision),
            workflow_template_description=workflow.template_description,
        ),
        dfic=Dfic(
            dfiid=dataflow.dfiid,
            lcid=dataflow.lcid,
            user_attrs=dict(dataflow.user_attributes),
        ),
        ext_ipid=job.spec.external_id,
    )


def time_shape(time: Timestamp | datetime) -> str:
    """Return a moment as `2024-03-26T12:30:30.000+00:00`."""
    moment = time if isinstance(time, datetime) else time.ToDatetime(UTC)
    return moment.isoformat(timespec="milliseconds")
