"""Worker messages: a worker's stream in the words of the core, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from longshore.core import limits, policies
from longshore.core.callers import Caller
from longshore.core.changes import Publication
from longshore.core.errors import InvalidFields, Violation
from longshore.core.events import detail
from longshore.core.ids import text_of
from longshore.core.installation import DEFAULT_QUEUE, is_reserved
from longshore.core.lanes import action_key
from longshore.core.principals import ANY, Principal
from longshore.core.reports import (
    Assignment,
    Body,
    Completed,
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
from longshore.server.work_errors import failed_of, impossible
from longshore.v1 import worker_service_pb2 as pb
from longshore.v1.catalog_service_pb2 import ParameterType, Service, ServiceAction
from longshore.v1.operation_pb2 import End, ServiceKind

_LOG_KINDS: Final = frozenset(LogKind)
_PARAMETER_TYPES: Final = frozenset(ParameterType.values()) - {
    ParameterType.PARAMETER_TYPE_UNSPECIFIED
}


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
    names: set[str] = set()
    unnamed: set[str] = set()  # Actions of no service, which may come in several parts.
    for index, service in enumerate(hello.services):
        path = f"hello.services[{index}]"
        if service.slug:
            _only_once(service.slug, f"{path}.slug", names, flaws)
        _check_service(service, path, set() if service.slug else unnamed, flaws)
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


def _check_service(service: Service, path: str, seen: set[str], flaws: Flaws) -> None:
    if service.slug or service.kind:  # what is launched, is launched by its name
        slug(service.slug, f"{path}.slug", flaws)
    if service.kind not in ServiceKind.values():
        flaws.append(Violation(f"{path}.kind", "RULESET, OPERATION, or unset: no launches"))
    elif service.kind and len(service.actions) != 1:
        flaws.append(Violation(f"{path}.actions", "a service with a kind has one action"))
    for index, action in enumerate(service.actions):
        _check_action(action, f"{path}.actions[{index}]", seen, flaws)


def _check_action(action: ServiceAction, path: str, seen: set[str], flaws: Flaws) -> None:
    slug(action.slug, f"{path}.slug", flaws)
    _only_once(action.slug, f"{path}.slug", seen, flaws)
    parameters: set[str] = set()
    for index, parameter in enumerate(action.parameters):
        where = f"{path}.parameters[{index}]"
        slug(parameter.slug, f"{where}.slug", flaws)
        _only_once(parameter.slug, f"{where}.slug", parameters, flaws)
        if not parameter.type:
            flaws.append(Violation(f"{where}.type", "a parameter has a type", "MISSING"))
        elif parameter.type not in _PARAMETER_TYPES:
            flaws.append(Violation(f"{where}.type", "none of the types of parameters"))


def _only_once(name: str, field: str, seen: set[str], flaws: Flaws) -> None:
    if name and name in seen:
        flaws.append(Violation(field, "offered twice"))
    seen.add(name)


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
            return impossible(f"the result is not JSON: {error}")
    return Completed(results)


def _progress(progress: Any) -> Body:
    told = detail(
        done=_amount(progress.done),
        total=_amount(progress.total) or None,
        unit=progress.unit[:64] or None,
        message=progress.message[:1_024] or None,
    )
    return Progressed(told or "{}")


def _amount(number: float) -> float:
    """Return how much there is of something: 0 for less than nothing, and for no number."""
    return number if 0 < number < float("inf") else 0.0


def _log(entry: Any) -> Body:
    kind = entry.kind if entry.kind in _LOG_KINDS else LogKind.OUTPUT
    return Logged(kind, entry.message)


def _property(prop: Any) -> Body:
    return PropertySet(prop.name[: limits.NAME_CHARACTERS], prop.value)


_BODIES: Final[dict[str, Callable[[Any], Body]]] = {
    "completed": _completed,
    "failed": failed_of,
    "progress": _progress,
    "log": _log,
    "property": _property,
    "released": lambda _: Released(),
    "stopped": lambda _: Stopped(),
}


def responses_of(outgoing: Outgoing) -> Iterator[bytes]:
    """Yield the messages that tell a worker everything; an empty one is a beat."""
    message = pb.WorkResponse()
    size = 0
    for order in outgoing.stops:
        if size > limits.PAGE_BYTES:
            yield message.SerializeToString()
            message, size = pb.WorkResponse(), 0
        message.stops.add(
            number=order.number,
            lease_token=order.token,
            reason=order.reason,
            message=order.message,
        )
        size += 4 * len(order.message) + 100
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
