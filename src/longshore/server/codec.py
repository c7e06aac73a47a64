"""The codec: what the core's opaque documents hold.

A request document is the `Task` (`Job`, `Launch`) that was submitted, with its spec and
options alone. So it is shown as it is stored, with what has become of it joined on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from longshore.core.failures import Failure
from longshore.core.ids import text_of
from longshore.core.limits import CANCEL_MESSAGE_BYTES
from longshore.core.operations import Kind, Operation, State
from longshore.core.paths import Object
from longshore.core.plans import Assign, Call, Plan, SimpleCall, StepFailed
from longshore.server import structs
from longshore.server.errors import DOMAIN
from longshore.server.paths import parse_target, parse_value
from longshore.v1.job_service_pb2 import Job
from longshore.v1.launch_service_pb2 import Launch
from longshore.v1.operation_pb2 import ActionCall, CallbackFormat
from longshore.v1.task_service_pb2 import Task, TaskSpec

_FORMATS: Final = {
    CallbackFormat.CALLBACK_FORMAT_MDWORKBENCH: "mdworkbench",
    CallbackFormat.CALLBACK_FORMAT_VITAM: "vitam",
}
_KEPT_BYTES: Final = 64 * 1024
_read_task = Task.FromString
_READ: Final[dict[int, Callable[[bytes], Task | Job | Launch]]] = {
    Kind.TASK: _read_task,
    Kind.JOB: Job.FromString,
    Kind.LAUNCH: Launch.FromString,
}


class ProtoCodec:
    """Implements `core.plans.Codec` by the messages of the contract."""

    def plan(self, request: bytes) -> Plan:
        """Return the plan of a request whose path expressions were checked at submit."""
        return _kept_plan(request) if len(request) <= _KEPT_BYTES else _plan(request)

    def call(self, request: bytes) -> SimpleCall:
        """Return the only action of a request, its arguments as a serialized Struct."""
        spec = _read_task(request).spec
        action = spec.actions[0]
        return SimpleCall(spec.service, action.action, action.arguments.SerializeToString())

    def encode(self, value: Object) -> bytes:
        """Return the serialized Struct of an object. Raises `StepFailed` if it is too deep."""
        try:
            return structs.to_struct(value).SerializeToString()
        except structs.Unrepresentable as error:
            raise StepFailed(str(error), {"path": error.path}) from error

    def decode(self, document: bytes) -> Object:
        """Return the object of a serialized Struct."""
        return structs.to_object(Struct.FromString(document))

    def callback(self, request: bytes, operation: Operation, action: str) -> bytes:
        """Return the request of the task that calls what an operation asks for at its end."""
        asked = _READ[operation.kind](request).options.callback
        arguments: Object = {
            "operation_id": text_of(operation.id),
            "number": operation.number,
            "kind": Kind(operation.kind).name,
            "state": State(operation.state).name,
            "url": asked.url,
            "method": asked.method or "POST",
            "format": _FORMATS.get(asked.format, "native"),
        }
        call = ActionCall(action=action, arguments=structs.to_struct(arguments))
        return Task(spec=TaskSpec(name="callback", actions=[call])).SerializeToString()

    def failure(self, code: int, message: str, reason: str, facts: dict[str, str]) -> Failure:
        """Return a failure whose document is a `google.rpc.Status` with an `ErrorInfo`."""
        message = message[:CANCEL_MESSAGE_BYTES]
        status = Status(code=code, message=message)
        if reason:
            status.details.add().Pack(_info(reason, facts))
        return Failure(code, message, status.SerializeToString())

    def explained(self, failure: Failure, action: str) -> Failure:
        """Return a failure with an `ErrorInfo`, which its worker left out."""
        status = Status.FromString(failure.document)
        status.details.add().Pack(_info("ACTION_FAILED", {"action": action}))
        return failure._replace(document=status.SerializeToString())


def _info(reason: str, facts: dict[str, str]) -> ErrorInfo:
    return ErrorInfo(reason=reason, domain=DOMAIN, metadata=facts)


def _plan(request: bytes) -> Plan:
    spec = _read_task(request).spec
    context = structs.to_object(spec.context)
    return Plan(spec.service, tuple(map(_call, spec.actions)), context)


# A plan is asked for at every step. Nobody changes the objects in it.
_kept_plan = lru_cache(maxsize=256)(_plan)


def _call(call: ActionCall) -> Call:
    return Call(
        call.action,
        structs.to_object(call.arguments),
        tuple((name, parse_value(text)) for name, text in sorted(call.argument_paths.items())),
        tuple(call.results),
        tuple(Assign(parse_target(one.target), parse_value(one.value)) for one in call.assign),
    )
