"""The audit log: calls that were denied, and what operators and administrators did.

What is done to an operation stands in its history; everything else that somebody should be
able to look up stands here. An entry names the caller and never what it showed.
"""

from __future__ import annotations

from typing import Final

import structlog
from google.protobuf.message import Message

from longshore.core.errors import Denied, LongshoreError, RateLimited, Unauthenticated
from longshore.core.principals import Role
from longshore.server.roles import Needed
from longshore.server.visitors import Visitor

LOGGER: Final = "longshore.audit"

_log = structlog.get_logger(LOGGER)

#: What is about who calls, not about what is asked.
DENIALS: Final = (Unauthenticated, Denied, RateLimited)

_AUDITED: Final = frozenset({Role.OPERATOR, Role.ADMIN})


def is_audited(needed: Needed) -> bool:
    """Whether calls that need this are written down when they have succeeded."""
    return bool(needed) and _AUDITED.issuperset(needed)


def done(visitor: Visitor, request: Message) -> None:
    """Write down what somebody has done, and to what."""
    _log.info("done", **_who(visitor), asked=_told(request))


def denied(visitor: Visitor, error: LongshoreError) -> None:
    """Write down what somebody was not let do."""
    _log.warning("denied", **_who(visitor), reason=type(error).__name__, message=str(error))


def _told(request: Message) -> dict[str, object]:
    """Return what a request says in so many words, and of what is larger its name only."""
    told: dict[str, object] = {}
    for field, value in request.ListFields():
        if field.message_type is not None:
            told[field.name] = value.name
        elif field.enum_type is not None:
            told[field.name] = field.enum_type.values_by_number[value].name
        else:
            told[field.name] = list(value) if field.is_repeated else value
    return told


def _who(visitor: Visitor) -> dict[str, str | None]:
    return {
        "method": visitor.path,
        "principal": visitor.principal,
        "tenant": visitor.tenant,
        "request_id": visitor.request_id,
        "address": visitor.address,
        **({"through": visitor.through} if visitor.through else {}),
    }
