"""Failures: what an exception becomes, as the operation shows it and as its log keeps it."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Final, NamedTuple

from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from longshore.worker.errors import ActionError, InvalidArguments
from longshore.worker.words import LOG_BYTES, clipped, unicode

DOMAIN: Final = "longshore.dev"
_STATUS_BYTES: Final = 16 * 1024  #: For the whole tree of causes.
_MESSAGE_BYTES: Final = 4 * 1024  #: For one message in it.
_NODE_BYTES: Final = 512  #: Counted for each cause beside its message.
_FACT_BYTES: Final = 512
_FACTS: Final = 16
_VIOLATIONS: Final = 8


class Failure(NamedTuple):
    """Why an attempt failed; it can be pickled."""

    status: bytes  #: A serialized `google.rpc.Status`.
    permanent: bool
    trace: str  #: For the operation's log; may be empty.

    @property
    def error(self) -> Status:
        return Status.FromString(self.status)


def fail(
    code: StatusCode,
    message: str,
    reason: str,
    metadata: Mapping[str, str],
    *,
    permanent: bool = False,
) -> Failure:
    """Return a failure that the SDK itself found."""
    status = _status(code, message, reason, metadata)
    return Failure(status.SerializeToString(), permanent, "")


def failure_of(error: BaseException, action: str) -> Failure:
    """Return what an exception of an action becomes: a tree of its causes, and a traceback."""
    status, _ = _tree(error, action, _STATUS_BYTES)
    return Failure(
        status.SerializeToString(),
        permanent=isinstance(error, ActionError) and error.permanent,
        trace="" if isinstance(error, ActionError) else _trace(error),
    )


def _tree(error: BaseException, action: str, room: int) -> tuple[Status, int]:
    """Return the status of an exception and its causes, and the bytes of room left."""
    message = _fit(_words(error), min(_MESSAGE_BYTES, max(room, 64)))
    status = _status_of(error, message, action)
    room -= len(message.encode()) + _NODE_BYTES
    for cause in _causes(error):
        if room <= 0:
            break
        below, room = _tree(cause, action, room)
        status.details.add().Pack(below)
    return status, room


def _status_of(error: BaseException, message: str, action: str) -> Status:
    metadata = {"action": action, "type": type(error).__name__}
    if isinstance(error, ActionError):
        metadata |= {
            _fit(str(name), 64): _fit(str(text), _FACT_BYTES)
            for name, text in list(error.metadata.items())[:_FACTS]
        }
    if not isinstance(error, InvalidArguments):
        code = error.code if isinstance(error, ActionError) else StatusCode.INTERNAL
        return _with_wait(_status(code, message, "ACTION_FAILED", metadata), error)
    status = _status(error.code, message, "INVALID_FIELD", metadata)
    violations = [
        BadRequest.FieldViolation(
            field=_fit(one.field, _FACT_BYTES),
            description=_fit(one.description, _FACT_BYTES),
            reason=one.reason,
        )
        for one in error.violations[:_VIOLATIONS]
    ]
    status.details.add().Pack(BadRequest(field_violations=violations))
    return status


def _with_wait(status: Status, error: BaseException) -> Status:
    if isinstance(error, ActionError) and error.retry_after is not None:
        told = RetryInfo()
        told.retry_delay.FromTimedelta(error.retry_after)
        status.details.add().Pack(told)
    return status


def _status(code: StatusCode, message: str, reason: str, metadata: Mapping[str, str]) -> Status:
    status = Status(code=int(code.value[0]), message=_fit(message, _MESSAGE_BYTES))
    status.details.add().Pack(ErrorInfo(reason=reason, domain=DOMAIN, metadata=dict(metadata)))
    return status


def _fit(text: str, size: int) -> str:
    return clipped(unicode(text), size)


def _words(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # of an exception's author, who is not to stop us here
        text = "(its text cannot be read)"
    name = type(error).__name__
    if isinstance(error, ActionError) and type(error).__module__ == ActionError.__module__:
        return text or name
    return f"{name}: {text}" if text else name


def _causes(error: BaseException) -> list[BaseException]:
    causes = [] if error.__cause__ is None else [error.__cause__]
    if isinstance(error, BaseExceptionGroup):
        group: BaseExceptionGroup[BaseException] = error  # pyright: ignore[reportUnknownVariableType]
        causes += group.exceptions
    return causes


def _trace(error: BaseException) -> str:
    """Return the traceback from the action's own frame on; of a long one the end."""
    lines = traceback.format_exception(type(error), error, _own(error.__traceback__))
    encoded = unicode("".join(lines)).encode()
    if len(encoded) <= LOG_BYTES:
        return encoded.decode()
    return "…" + encoded[-(LOG_BYTES - 8) :].decode(errors="ignore")


def _own(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of this package, which called the action."""
    while trace is not None and trace.tb_next is not None:
        if not trace.tb_frame.f_globals.get("__name__", "").startswith(__package__ or ""):
            break
        trace = trace.tb_next
    return trace
