"""Worker messages: a worker's stream in the words of the core, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from longshore.core import limits, policies
from longshore.core.callers import Caller
from longshore.core.changes import Publication
from longshore.core.errors import InvalidFields, Violation
from longshore.core.events import detail
from longshore.core.failures import Failure
from longshore.core.ids import text_of
from longshore.core.installation import DEFAULT_QUEUE, is_reserved
from longshore.core.lanes import action_key
from longshore.core.principals import ANY, Principal
from longshore.core.reports import (
    Assignment,
    Body,
    Completed,
    Failed,
    Logged,
    LogKind,
    Progressed,
    PropertySet,
    Released,
    Stopped,
)
from longshore.engine.conversation import (
    Acknowledgement,
    HeldLease,
    Hello,
    Outgoing,
    WorkerReport,
)
from longshore.server import structs
from longshore.server.checks import Flaws, at_most, printable, slug
from longshore.server.directory import unnamed_slug
from longshore.server.errors import status_of
from longshore.v1 import worker_service_pb2 as pb
from longshore.v1.catalog_service_pb2 import Service, ServiceAction
from longshore.v1.operation_pb2 import End, ServiceKind

#: Of one action's error, so that a status fits into every answer it is shown in.
_ERROR_BYTES: Final = 64 * 1024
_LONGEST_WAIT_MS: Final = 24 * 3600 * 1_000


def hello_of(hello: pb.Hello, caller: Caller, principal: Principal, secret: bytes) -> Hello:
    """Return how a worker introduces itself. Raises `InvalidFields`, `LimitExceeded`."""
    flaws = _flaws_of(hello) or _not_permitted(hello, caller, principal)
    if flaws:
        raise InvalidFields(flaws)
    offers = {
        key
        for service in hello.services
        for action in service.actions
        for key in (action.slug, action_key(service.slug, action.slug))
    }
    return Hello(
        caller=caller,
        secret=secret,
        worker=hello.worker,
        queues=tuple(dict.fromkeys(hello.queues)) or (DEFAULT_QUEUE,),
        offers=tuple(sorted(offers)),
        slots=hello.slots,
        services=tuple(_publications(hello.services)),
        leases=tuple(HeldLease(one.number, one.lease_token) for one in hello.leases),
    )


def _publications(services: Iterable[Service]) -> Iterator[Publication]:
    """Yield what callers are shown of services: not what only the server itself asks for."""
    for service in services:
        shown = Service()
        shown.CopyFrom(service)
        for index in reversed(range(len(service.actions))):
            if is_reserved(service.actions[index].slug):
                del shown.actions[index]
        if not service.slug:
            yield from map(_unnamed, shown.actions)
        elif shown.actions or not service.actions:
            yield Publication(service.slug, shown.SerializeToString(deterministic=True))


def _unnamed(action: ServiceAction) -> Publication:
    """Return what keeps an action that belongs to no service, whoever else offers others."""
    shown = Service(actions=[action])
    return Publication(unnamed_slug(action.slug), shown.SerializeToString(deterministic=True))


def _flaws_of(hello: pb.Hello) -> Flaws:
    flaws: Flaws = []
    at_most("hello.worker", limits.NAME_CHARACTERS, len(hello.worker))
    printable(hello.worker, "hello.worker", flaws)
    if not hello.worker:
        flaws.append(Violation("hello.worker", "a name is needed", "MISSING"))
    if not 1 <= hello.slots <= limits.SLOTS:
        flaws.append(Violation("hello.slots", f"from 1 to {limits.SLOTS}"))
    for index, queue in enumerate(hello.queues):
        slug(queue, f"hello.queues[{index}]", flaws)
    if not any(service.actions for service in hello.services):
        at_least_one = "a worker offers at least one action"
        flaws.append(Violation("hello.services", at_least_one, "MISSING"))
    for index, service in enumerate(hello.services):
        _check_service(service, f"hello.services[{index}]", flaws)
    return flaws


def _not_permitted(hello: pb.Hello, caller: Caller, principal: Principal) -> Flaws:
    """Return what a principal may not serve, or offer."""
    flaws: Flaws = []
    for index, queue in enumerate(hello.queues or (DEFAULT_QUEUE,)):
        if not principal.may_serve(queue):
            told = f"{principal.name!r} may not serve {queue!r}"
        elif caller.tenant == ANY and not is_reserved(queue):
            told = "all tenants at once are served on the server's own queues only"
        else:
            continue
        flaws.append(Violation(f"hello.queues[{index}]", told, "NOT_PERMITTED"))
    for index, service in enumerate(hello.services):
        for position, action in enumerate(service.actions):
            if not principal.grants.permits(service.slug, action.slug):
                field = f"hello.services[{index}].actions[{position}].slug"
                told = f"{principal.name!r} may not offer it"
                flaws.append(Violation(field, told, "NOT_PERMITTED"))
    return flaws


def _check_service(service: Service, path: str, flaws: Flaws) -> None:
    if service.slug or service.kind:  # what is launched, is launched by its name
        slug(service.slug, f"{path}.slug", flaws)
    if service.kind not in ServiceKind.values():
        flaws.append(Violation(f"{path}.kind", "RULESET, OPERATION, or unset: no launches"))
    elif service.kind and len(service.actions) != 1:
        flaws.append(Violation(f"{path}.actions", "a service with a kind has one action"))
    seen: set[str] = set()
    for index, action in enumerate(service.actions):
        place = f"{path}.actions[{index}]"
        slug(action.slug, f"{place}.slug", flaws)
        if action.slug in seen:
            flaws.append(Violation(f"{place}.slug", "offered twice"))
        seen.add(action.slug)
        for position, parameter in enumerate(action.parameters):
            where = f"{place}.parameters[{position}]"
            slug(parameter.slug, f"{where}.slug", flaws)
            if not parameter.type:
                flaws.append(Violation(f"{where}.type", "a parameter has a type", "MISSING"))


def reports_of(reports: Iterable[pb.Report]) -> list[WorkerReport]:
    """Return reports. What cannot be kept fails the attempt; an empty report is refused."""
    return [
        WorkerReport(one.number, one.lease_token, one.sequence, _body_of(one))
        for one in reports
    ]


def _body_of(report: pb.Report) -> Body:
    kind = report.WhichOneof("detail")
    if kind is None or report.sequence < 1:
        field = "reports.detail" if kind is None else "reports.sequence"
        raise InvalidFields([Violation(field, "every report has one, from 1", "MISSING")])
    return _BODIES[kind](getattr(report, kind))


def _completed(completed: pb.ActionCompleted) -> Body:
    results = completed.results
    if results and len(results) <= limits.PAYLOAD_BYTES:
        try:
            structs.parse(results)
        except structs.Unrepresentable as error:
            return _impossible(f"the result is not JSON: {error}")
    return Completed(results)


def _failed(failed: pb.ActionFailed) -> Body:
    document = failed.error.SerializeToString()
    if len(document) > _ERROR_BYTES:
        return _impossible(f"the action failed with an error of {len(document)} bytes")
    code = failed.error.code or 2
    message = failed.error.message[: limits.CANCEL_MESSAGE_BYTES]
    return Failed(Failure(code, message, document), failed.permanent, _wait(failed.error))


def _wait(error: Status) -> int:
    """Return how many milliseconds the next attempt is to wait, at most a day."""
    told = RetryInfo()
    if any(detail.Unpack(told) for detail in error.details):
        wait: int = told.retry_delay.ToMilliseconds()
        return min(max(wait, 0), _LONGEST_WAIT_MS)
    return 0


def _impossible(message: str) -> Failed:
    error = InvalidFields([Violation("results", message)])
    status = status_of(error)
    return Failed(Failure(status.code, message, status.SerializeToString()), permanent=True)


def _progress(progress: Any) -> Body:
    told = detail(
        done=_finite(progress.done),
        total=_finite(progress.total) or None,
        unit=progress.unit[:64] or None,
        message=progress.message[:1_024] or None,
    )
    return Progressed(told or "{}")


def _finite(number: float) -> float:
    return number if abs(number) < float("inf") else 0.0


def _property(prop: Any) -> Body:
    return PropertySet(prop.name[: limits.NAME_CHARACTERS], prop.value)


_BODIES: Final[dict[str, Callable[[Any], Body]]] = {
    "completed": _completed,
    "failed": _failed,
    "progress": _progress,
    "log": lambda entry: Logged(entry.kind or LogKind.OUTPUT, entry.message),
    "property": _property,
    "released": lambda _: Released(),
    "stopped": lambda _: Stopped(),
}


def responses_of(outgoing: Outgoing) -> Iterator[bytes]:
    """Yield the messages that tell a worker everything; an empty one is a beat."""
    message = pb.WorkResponse()
    size = 0
    for order in outgoing.stops:
        message.stops.add(number=order.number, lease_token=order.token, reason=order.reason)
    message.acknowledgements.extend(_acknowledgements(outgoing.acknowledgements))
    for assignment in outgoing.assignments:
        if size > limits.PAGE_BYTES:
            yield message.SerializeToString()
            message, size = pb.WorkResponse(), 0
        message.assignments.append(_assignment(assignment))
        size += len(assignment.arguments) + 100
    if outgoing.end:
        message.end = End.END_RECONNECT
    yield message.SerializeToString()


def _acknowledgements(settled: Iterable[Acknowledgement]) -> Iterator[pb.Acknowledgement]:
    """Yield one acknowledgement per lease, of its latest report, and every refusal."""
    latest = {(one.number, one.token, one.error is None): one for one in settled}
    for one in latest.values():
        error = None if one.error is None else status_of(one.error)
        yield pb.Acknowledgement(
            number=one.number, lease_token=one.token, sequence=one.sequence, error=error
        )


def _assignment(assignment: Assignment) -> pb.WorkAssignment:
    operation = assignment.operation
    made = pb.WorkAssignment(
        number=operation.number,
        operation_id=text_of(operation.id),
        lease_token=operation.token,
        kind=operation.kind,  # type: ignore[arg-type]
        service=assignment.service,
        action=assignment.action,
        arguments=assignment.arguments,
        attempt=operation.attempt,
        step=operation.step,
        traceparent=assignment.traceparent or "",
        tenant=operation.tenant,
    )
    if operation.policy is not None:
        timeout = policies.decode(operation.policy).run_timeout
        if timeout is not None:
            made.run_timeout.FromMilliseconds(timeout)
    return made
