"""Principals: who may call, and what each of them may do."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from longshore.core.errors import TenantNotPermitted
from longshore.core.installation import is_reserved

ANY: Final = "*"  #: Among tenants, services, actions: all there are.
DEFAULT_TENANT: Final = "default"


class Role(enum.StrEnum):
    """What a principal may do; see `IMPLIED` for what else comes with it."""

    VIEWER = "viewer"  #: Reads: operations, files, queues, the catalog, the server.
    SUBMITTER = "submitter"  #: Asks for work, steers it, takes its results.
    WORKER = "worker"  #: Does work: offers actions, reports, saves what it made.
    OPERATOR = "operator"  #: Steers queues, modes, schedules and the order of launches.
    ADMIN = "admin"  #: Everything, also contracts.


IMPLIED: Final[Mapping[Role, frozenset[Role]]] = MappingProxyType(
    {
        Role.VIEWER: frozenset({Role.VIEWER}),
        Role.SUBMITTER: frozenset({Role.SUBMITTER, Role.VIEWER}),
        Role.WORKER: frozenset({Role.WORKER}),
        Role.OPERATOR: frozenset({Role.OPERATOR, Role.SUBMITTER, Role.VIEWER}),
        Role.ADMIN: frozenset(Role),
    }
)


class Delivery(enum.IntEnum):
    """How results reach a principal where a dialect leaves that to it."""

    NONE = 1
    STORE = 2
    CHANNEL = 3


class ParameterName(NamedTuple):
    """A parameter of an action; the service is empty for actions that belong to none."""

    service: str
    action: str
    parameter: str


class Grants(NamedTuple):
    """What a principal may ask for, or offer as a worker. Hashable, to compile tables by it."""

    #: Pairs of service and action, each a name or `ANY`; the service may be empty: none.
    actions: tuple[tuple[str, str], ...] = ((ANY, ANY),)
    #: What may be sent as a parameter, of those that are confined; as text.
    values: tuple[tuple[ParameterName, frozenset[str]], ...] = ()

    def permits(self, service: str, action: str) -> bool:
        """Whether an action may be asked for, or offered."""
        return any(
            of_service in (ANY, service) and of_action in (ANY, action)
            for of_service, of_action in self.actions
        )


EVERYTHING: Final = Grants()


class Principal(NamedTuple):
    """Somebody who may call."""

    name: str
    roles: frozenset[Role]  #: With those that they imply.
    tenants: tuple[str, ...] = (DEFAULT_TENANT,)  #: At least one; `ANY` is all.
    grants: Grants = EVERYTHING
    #: Queues that it may serve as a worker; empty: all but the reserved ones; `ANY`: all.
    queues: tuple[str, ...] = ()
    delivery: Delivery = Delivery.NONE
    stream: str = ""  #: The id of its stream of results; empty: its name.
    #: Whether it asks for others, and is believed from which addresses these call.
    go_between: bool = False

    @property
    def stream_id(self) -> str:
        return self.stream or self.name

    def tenant(self, wanted: str) -> str:
        """Return the tenant that it speaks for. Raises `TenantNotPermitted`.

        It is the one that it wants, or else its first.
        """
        if not wanted:
            first = self.tenants[0]
            return DEFAULT_TENANT if first == ANY else first
        if wanted != ANY and (wanted in self.tenants or ANY in self.tenants):
            return wanted
        raise TenantNotPermitted(wanted)

    def may_serve(self, queue: str) -> bool:
        """Whether it may take work of a queue; reserved ones are for those that name them."""
        if not self.queues:
            return not is_reserved(queue)
        return queue in self.queues or ANY in self.queues


def with_implied(roles: Iterable[Role]) -> frozenset[Role]:
    """Return the roles with all that they imply."""
    return frozenset(implied for role in roles for implied in IMPLIED[role])


#: Who everybody is where no principals are configured.
ANONYMOUS: Final = Principal("anonymous", frozenset(Role), (DEFAULT_TENANT, ANY), queues=(ANY,))
