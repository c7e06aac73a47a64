"""Identities: the metadata of operations, encoded."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, cast

from longshore.core.ids import text_of
from longshore.core.operations import Facts, Operation
from longshore.server import wire
from longshore.v1 import operation_pb2 as pb

_ID_TAG: Final = wire.part(pb.Metadata.ID_FIELD_NUMBER, bytes(36))[:-36]
_NUMBER_TAG: Final = wire.number(pb.Metadata.NUMBER_FIELD_NUMBER, 0)[:-1]
_CREATE_TIME: Final = pb.Metadata.CREATE_TIME_FIELD_NUMBER
_REQUEST_ID: Final = pb.Metadata.REQUEST_ID_FIELD_NUMBER


def metadata_bytes(operation: Operation, facts: Facts, labels: Mapping[str, str]) -> bytes:
    """Return an encoded `Metadata`."""
    submitter, request_id, create_time = facts[:3]
    common = _common(operation.kind, operation.tenant, submitter, create_time, request_id)
    # Joined with operators, and tags as they are: it is done for everything that is accepted.
    metadata = (
        _ID_TAG
        + text_of(operation.id).encode()
        + _NUMBER_TAG
        + wire.varint(operation.number)
        + common
    )
    return metadata + pb.Metadata(labels=labels).SerializeToString() if labels else metadata


def brief_metadata(operation_id: bytes, create_time: int) -> bytes:
    """Return an encoded `Metadata` that says no more than which operation, and when."""
    return _ID_TAG + text_of(operation_id).encode() + wire.time(_CREATE_TIME, create_time)


# Within a call or a millisecond, what is accepted differs in little but its id.
@lru_cache(maxsize=64)
def _common(kind: int, tenant: str, submitter: str, create_time: int, request_id: str) -> bytes:
    owner = _owner(kind, tenant, submitter)
    request = wire.part(_REQUEST_ID, request_id.encode())
    return owner + wire.time(_CREATE_TIME, create_time) + request


@lru_cache(maxsize=1_024)
def _owner(kind: int, tenant: str, submitter: str) -> bytes:
    metadata = pb.Metadata(tenant=tenant, submitter=submitter)
    metadata.kind = cast("pb.Kind.ValueType", kind)
    return metadata.SerializeToString()
