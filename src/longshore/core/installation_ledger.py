"""The installation ledger: what a batch knows of queues, contracts, schedules and their like."""

from __future__ import annotations

from collections.abc import Mapping

from longshore.core.callers import Account, Caller
from longshore.core.installation import Contract, Queue, Schedule
from longshore.core.rows import Rows


class InstallationLedger:
    """What work is asked of, as the batch leaves it; by tenant and name."""

    def __init__(self, rows: Rows, known_queues: Mapping[tuple[str, str], Queue]) -> None:
        self._rows = rows
        self._known_queues = known_queues
        self.queues: dict[tuple[str, str], Queue] = {}  #: Made or changed.
        self.contracts: dict[tuple[str, str], Contract | None] = {}  #: None: deleted.
        self.schedules: dict[tuple[str, str], Schedule | None] = {}  #: None: deleted.
        #: By tenant, principal, service and username; None: deregistered.
        self.accounts: dict[tuple[str, str, str, str], int | None] = {}
        self.services: dict[tuple[str, str], bytes] = {}  #: Published.

    def queue(self, tenant: str, name: str) -> Queue | None:
        """Return what holds a queue back; None if nobody has named it."""
        identity = (tenant, name)
        return self.queues.get(identity) or self._known_queues.get(identity)

    def ensure_queue(self, tenant: str, name: str) -> bool:
        """Make a queue unless there is one of the name; tell whether it was made."""
        if self.queue(tenant, name) is not None:
            return False
        self.queues[tenant, name] = Queue()
        return True

    def contract(self, tenant: str, name: str) -> Contract | None:
        if (tenant, name) in self.contracts:
            return self.contracts[tenant, name]
        return self._rows.contract(tenant, name)

    def schedule(self, tenant: str, name: str) -> Schedule | None:
        if (tenant, name) in self.schedules:
            return self.schedules[tenant, name]
        return self._rows.schedule(tenant, name)

    def account(self, caller: Caller, account: Account) -> int | None:
        """Return when the caller registered an account; None if never."""
        identity = (caller.tenant, caller.principal, account.service, account.username)
        if identity in self.accounts:
            return self.accounts[identity]
        return self._rows.account(caller.tenant, caller.principal, account)

    def publish(self, tenant: str, slug: str, document: bytes) -> bool:
        """Take a service as it is offered now; tell whether anything of it is new."""
        if (self.services.get((tenant, slug)) or self._rows.service(tenant, slug)) == document:
            return False
        self.services[tenant, slug] = document
        return True
