"""Glances: tasks as look-ups of thousands show them, without what may be long."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, cast

from google.rpc.status_pb2 import Status

from longshore.core.deliveries import Delivery
from longshore.core.operations import Glance, Part
from longshore.server import wire
from longshore.server.events import delivery_message
from longshore.server.identities import brief_metadata
from longshore.v1 import operation_pb2 as pb
from longshore.v1.task_service_pb2 import Task

_ERROR_BYTES: Final = 100


def brief(glance: Glance, documents: Mapping[int, bytes]) -> bytes:
    """Return an encoded `Task` that says how it stands."""
    time = wire.time
    status = _head(glance.state, glance.cancel)
    status += time(pb.Status.UPDATE_TIME_FIELD_NUMBER, glance.update_time)
    status += time(pb.Status.START_TIME_FIELD_NUMBER, glance.start_time)
    if glance.end_time is not None:
        status += time(pb.Status.END_TIME_FIELD_NUMBER, glance.end_time)
        status += time(pb.Status.EXPIRE_TIME_FIELD_NUMBER, glance.wake_time)
        error = documents.get(Part.ERROR)
        if error is not None:
            status += wire.part(pb.Status.ERROR_FIELD_NUMBER, _cut(error))
    if Part.DELIVERY in documents:
        status += wire.part(pb.Status.DELIVERY_FIELD_NUMBER, _delivery(documents))
    metadata = brief_metadata(glance.id, glance.create_time)
    return wire.part(Task.METADATA_FIELD_NUMBER, metadata) + wire.part(
        Task.STATUS_FIELD_NUMBER, status
    )


@lru_cache(maxsize=64)
def _head(state: int, cancel: int) -> bytes:
    head = pb.Status(cancel_requested=cancel != 0)
    head.state = cast("pb.State.ValueType", state)
    return head.SerializeToString()


def _delivery(documents: Mapping[int, bytes]) -> bytes:
    delivery = Delivery.decode(documents[Part.DELIVERY])
    return delivery_message(delivery._replace(stream="")).SerializeToString()


def _cut(document: bytes) -> bytes:
    error = Status.FromString(document)
    message = error.message.encode()[:_ERROR_BYTES].decode(errors="ignore")
    cut: bytes = Status(code=error.code, message=message).SerializeToString()
    return cut
