"""What a tenant has besides operations: queues, contracts, schedules, accounts."""

from __future__ import annotations

from typing import Final, NamedTuple

DEFAULT_QUEUE: Final = "default"  #: Is there, whether or not anybody has named it.
RULESETS_QUEUE: Final = "rulesets"  #: Of all rule-set launches.
OPERATIONS_QUEUE: Final = "operations"  #: Of all launches of operation services.
BUILT_IN_QUEUES: Final = frozenset({DEFAULT_QUEUE, RULESETS_QUEUE, OPERATIONS_QUEUE})

RESERVED_QUEUES: Final = "longshore."  #: Queues that begin so are the server's own.

#: How many rule sets run at once in the whole installation, whoever's they are.
RULESETS_LIMIT: Final = 1


class Queue(NamedTuple):
    """Where operations wait, and what holds them there. Times are milliseconds since 1970."""

    paused_by: str | None = None
    pause_time: int | None = None  #: Since when nothing of it starts; None: it is not paused.
    limit: int = 0  #: How many of it may run at once; 0: any number.

    @property
    def paused(self) -> bool:
        return self.pause_time is not None


class Template(NamedTuple):
    """A version of the plan of a contract's action."""

    action: str
    id: int  #: Stays when the template changes.
    revision: int  #: From 1.
    digest: bytes


class Contract(NamedTuple):
    """A contract: its opaque document and the versions of its templates."""

    document: bytes
    templates: tuple[Template, ...]

    def template(self, action: str) -> Template | None:
        """Return the version of an action's template."""
        return next((one for one in self.templates if one.action == action), None)


class Schedule(NamedTuple):
    """What is submitted again and again: an opaque document, and how far it has come."""

    document: bytes
    principal: str  #: On whose behalf it submits.
    next_time: int | None  #: Milliseconds since 1970; None: paused, or never again.
    last_id: bytes | None = None  #: 16 bytes; what it submitted last.
    stream: str = ""  #: Where the results go; as `Caller` has it.


class Registered(NamedTuple):
    """An account as it is listed."""

    service: str
    username: str
    create_time: int  #: Milliseconds since 1970.


def is_reserved(queue: str) -> bool:
    """Tell whether a queue is one of the server's own, which are shown only when named."""
    return queue.startswith(RESERVED_QUEUES)
