"""Generic operations: what every kind of operation looks like to clients that know none."""

from __future__ import annotations

from typing import Final

from google.longrunning import operations_proto_pb2 as pb
from google.protobuf.any_pb2 import Any
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from longshore.core.ids import text_of
from longshore.core.limits import MESSAGE_BYTES
from longshore.core.operations import Kind, Part, Record, State
from longshore.server import wire
from longshore.server.messages import Messages
from longshore.v1.job_service_pb2 import Job
from longshore.v1.launch_service_pb2 import Launch
from longshore.v1.task_service_pb2 import Task

COLLECTION: Final = "operations"  #: Before the slash of every name.

_NAME, _METADATA = pb.Operation.NAME_FIELD_NUMBER, pb.Operation.METADATA_FIELD_NUMBER
_DONE: Final = wire.number(pb.Operation.DONE_FIELD_NUMBER, 1)
_ERROR, _RESPONSE = pb.Operation.ERROR_FIELD_NUMBER, pb.Operation.RESPONSE_FIELD_NUMBER
_TYPE_URLS: Final = {
    kind: Any(
        type_url=f"type.googleapis.com/{message.DESCRIPTOR.full_name}"
    ).SerializeToString()
    for kind, message in ((Kind.TASK, Task), (Kind.JOB, Job), (Kind.LAUNCH, Launch))
}
#: Of name, metadata and response; a little is left for what is around them.
_ROOM_BYTES: Final = MESSAGE_BYTES - 1_024
_VALUE: Final = Any.VALUE_FIELD_NUMBER


class GenericOperations:
    """Shows operations as encoded `google.longrunning.Operation`."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    def of(self, record: Record) -> bytes:
        """Return an operation; its record has all documents that are shown in full."""
        operation = record.operation
        shown = wire.part(_NAME, f"{COLLECTION}/{text_of(operation.id)}".encode())
        shown += wire.part(_METADATA, self._any(record, full=False))
        if not operation.ended:
            return shown
        if operation.state != State.SUCCEEDED:
            return shown + _DONE + wire.part(_ERROR, _error(record))
        response = self._any(record, full=True)
        if len(shown) + len(response) > _ROOM_BYTES:
            response = self._any(record, full=False)
        return shown + _DONE + wire.part(_RESPONSE, response)

    def _any(self, record: Record, *, full: bool) -> bytes:
        content = self._messages.operation(record, full=full)
        return _TYPE_URLS[Kind(record.operation.kind)] + wire.part(_VALUE, content)


def _error(record: Record) -> bytes:
    """Return the encoded status that says why there is no response."""
    failure = record.documents.get(Part.ERROR)
    if failure is not None:
        return failure
    said = record.operation.message or "the operation was canceled"
    canceled: bytes = Status(code=Code.CANCELLED, message=said).SerializeToString()
    return canceled
