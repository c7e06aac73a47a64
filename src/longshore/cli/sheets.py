"""All that is known of one operation, as names and values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from google.protobuf.struct_pb2 import Struct

from longshore.cli.describing import subject
from longshore.cli.wording import (
    about_file,
    delivery,
    failure_lines,
    moment,
    progress,
    span,
    struct_text,
)
from longshore.client.handles import state_name
from longshore.client.kinds import Operation
from longshore.v1.job_service_pb2 import Job
from longshore.v1.launch_service_pb2 import Launch
from longshore.v1.operation_pb2 import ActionStatus, Options, Status
from longshore.v1.task_service_pb2 import Task

Rows = Iterator[tuple[str, str]]


def sheet(operation: Operation) -> Rows:
    """Yield names and values; those without a value are of no interest."""
    about, options, status = operation.metadata, operation.options, operation.status
    yield "id", about.id
    yield "number", str(about.number)
    yield from _what(operation)
    yield "state", state_name(status.state)
    yield "message", status.message
    yield "cancel", "requested" if status.cancel_requested else ""
    yield "progress", progress(status.progress)
    yield "steps", _steps(status)
    yield from _how(options)
    yield "attempt", str(status.attempt or "")
    yield "worker", status.worker
    yield "submitter", f"{about.submitter} of {about.tenant}"
    yield "labels", _pairs(about.labels)
    yield "created", moment(about.create_time)
    yield "not before", moment(options.start_time)
    yield "started", moment(status.start_time)
    yield "ended", moment(status.end_time)
    yield "kept until", moment(status.expire_time)
    yield from sorted(status.properties.items())
    yield "files", "\n".join(map(about_file, status.files))
    yield "delivery", delivery(status.delivery) if status.HasField("delivery") else ""
    yield "error", "\n".join(failure_lines(status.error)) if status.HasField("error") else ""
    if status.HasField("result"):
        yield "result", struct_text(status.result, indent=2)


def _what(operation: Operation) -> Rows:
    """Yield what it is to do."""
    if isinstance(operation, Task):
        yield "name", operation.spec.name
        yield "actions", subject(operation.spec)
    elif isinstance(operation, Job):
        yield from _job(operation)
    else:
        yield from _launch(operation)


def _job(job: Job) -> Rows:
    yield "contract", job.spec.contract
    yield "action", job.spec.action
    yield "type", job.contract_type
    yield "actor", job.actor
    yield "trigger", job.trigger
    template = job.workflow
    yield "template", f"{template.template_name}, revision {template.template_revision}"
    yield "external id", job.spec.external_id
    chain = job.dataflow
    yield "dataflow", chain.dfiid if chain.dfiid != job.metadata.id else ""
    yield "attributes", _pairs(chain.user_attributes)
    yield "variables", _given(job.spec.variables)


def _launch(launch: Launch) -> Rows:
    yield "service", launch.spec.service
    yield "arguments", _given(launch.spec.arguments)


def _how(options: Options) -> Rows:
    """Yield how it is run."""
    yield "queue", f"{options.queue}, priority {options.priority}"
    if options.concurrency_key:
        yield "concurrency", f"{options.concurrency_key}, at most {options.concurrency_limit}"
    yield "fairness", options.fairness_key
    yield "run timeout", span(options.run_timeout)
    if options.HasField("callback"):
        yield "callback", f"{options.callback.method or 'POST'} {options.callback.url}"


def _steps(status: Status) -> str:
    """Say what became of each step, where there are several."""
    return "\n".join(map(_step, status.actions)) if len(status.actions) > 1 else ""


def _step(step: ActionStatus) -> str:
    return f"{step.action} {state_name(step.state)}"


def _pairs(pairs: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={text}" for name, text in sorted(pairs.items()))


def _given(struct: Struct) -> str:
    return struct_text(struct) if struct.fields else ""
