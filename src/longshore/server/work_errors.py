"""Work errors: what a worker says of a failed attempt, as everybody can be shown it.

Lists and watches show an error beside the work of others, in protobuf and in JSON: what cannot
be read in both is not kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as Detail
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from google.rpc.code_pb2 import UNKNOWN
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from longshore.core import limits
from longshore.core.errors import InvalidFields, Violation
from longshore.core.failures import Failure
from longshore.core.reports import Failed
from longshore.server.errors import status_of
from longshore.v1 import worker_service_pb2 as pb

_Json: TypeAlias = "dict[str, _Json] | list[_Json] | str | float | bool | None"

#: Of one action's error, so that a status fits into every answer it is shown in.
_ERROR_BYTES: Final = 64 * 1024
_LONGEST_WAIT_MS: Final = 24 * 3600 * 1_000
_CODES: Final = range(1, 17)  #: Those of failures, in `google.rpc.Code`.

# Printers of JSON take about 250 objects and lists within each other.
_MOST_CAUSES: Final = 32  #: One of another.
_MOST_LEVELS: Final = 100  #: Of a detail.

_REASON: Final = ErrorInfo.DESCRIPTOR.full_name
_RETRY: Final = RetryInfo.DESCRIPTOR.full_name
_UNREADABLE: Final = (DecodeError, json_format.Error, RecursionError, TypeError, ValueError)


def failed_of(failed: pb.ActionFailed) -> Failed:
    """Return how an attempt failed; an error that is too large is told instead of itself."""
    told = failed.error
    size = told.ByteSize()
    if size > _ERROR_BYTES:
        return impossible(f"the action failed with an error of {size} bytes")
    error = _kept(told, causes=0)
    failure = Failure(
        error.code, error.message[: limits.CANCEL_MESSAGE_BYTES], error.SerializeToString()
    )
    bare = not any(detail.TypeName() == _REASON for detail in error.details)
    return Failed(failure, failed.permanent, _wait(told.details), bare)


def impossible(message: str) -> Failed:
    """Return the failure of an attempt of which a worker says what cannot be kept."""
    error = InvalidFields([Violation("results", message)])
    status = status_of(error)
    return Failed(Failure(status.code, message, status.SerializeToString()), permanent=True)


def _kept(error: Status, causes: int) -> Status:
    """Return an error with what can be read of it; `causes` stand above it."""
    code = error.code if error.code in _CODES else UNKNOWN
    return Status(code=code, message=error.message, details=_readable(error.details, causes))


def _readable(details: Iterable[Detail], causes: int) -> Iterator[Detail]:
    """Yield the details that can be read, or whose type nobody here knows."""
    for detail in details:
        if not detail.type_url:
            continue
        try:
            kind = Default().FindMessageTypeByName(detail.TypeName())
        except KeyError:
            yield detail
            continue
        try:
            packed = GetMessageClass(kind).FromString(detail.value)
            if isinstance(packed, Status):
                if causes < _MOST_CAUSES:
                    cause = _kept(packed, causes + 1)
                    yield Detail(type_url=detail.type_url, value=cause.SerializeToString())
            elif _levels(json_format.MessageToDict(packed)) <= _MOST_LEVELS:
                yield detail
        except _UNREADABLE:
            continue


def _levels(value: _Json) -> int:
    """Return how many objects and lists there are within each other."""
    if isinstance(value, dict):
        return 1 + max(map(_levels, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_levels, value), default=0)
    return 0


def _wait(details: Iterable[Detail]) -> int:
    """Return how many milliseconds the next attempt is to wait, at most a day."""
    told = RetryInfo()
    for detail in details:
        if detail.TypeName() == _RETRY:
            try:
                told.ParseFromString(detail.value)
            except DecodeError:
                continue
            wait: int = told.retry_delay.ToMilliseconds()
            return min(max(wait, 0), _LONGEST_WAIT_MS)
    return 0
