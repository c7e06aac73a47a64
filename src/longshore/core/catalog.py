"""Changes to what a tenant has agreed upon: contracts, schedules and accounts."""

from __future__ import annotations

from collections.abc import Mapping

from longshore.core.batch import Batch
from longshore.core.callers import Caller
from longshore.core.catalog_changes import (
    ApplyContract,
    ApplySchedule,
    DeleteContract,
    DeleteSchedule,
    DeregisterAccount,
    RegisterAccount,
)
from longshore.core.changes import FireSchedule, Mode, Submitted
from longshore.core.errors import (
    AccountExists,
    AccountNotFound,
    ContractNotFound,
    Maintenance,
    ScheduleNotFound,
)
from longshore.core.events import EventKind, detail
from longshore.core.installation import Contract, Schedule, Template
from longshore.core.submitting import find_first, submit


def apply_contract(change: ApplyContract, batch: Batch) -> Contract:
    """Make or change a contract. A template that differs becomes its next revision."""
    tenant, name = change.caller.tenant, change.name
    known = batch.installation.contract(tenant, name)
    if known is not None and known.document == change.document:
        return known
    earlier = {} if known is None else {one.action: one for one in known.templates}
    templates = tuple(
        _template(action, digest, earlier, batch) for action, digest in change.templates
    )
    contract = Contract(change.document, templates)
    batch.installation.contracts[tenant, name] = contract
    for queue in change.queues:
        batch.installation.ensure_queue(tenant, queue)
    batch.announce(EventKind.CATALOG, tenant, detail(contract=name))
    return contract


def _template(
    action: str, digest: bytes, earlier: Mapping[str, Template], batch: Batch
) -> Template:
    known = earlier.get(action)
    if known is None:
        batch.last_template += 1
        return Template(action, batch.last_template, 1, digest)
    if known.digest == digest:
        return known
    return known._replace(revision=known.revision + 1, digest=digest)


def delete_contract(change: DeleteContract, batch: Batch) -> None:
    """Forget a contract."""
    tenant, name = change.caller.tenant, change.name
    if batch.installation.contract(tenant, name) is None:
        raise ContractNotFound(name)
    batch.installation.contracts[tenant, name] = None
    batch.announce(EventKind.CATALOG, tenant, detail(contract=name))


def apply_schedule(change: ApplySchedule, batch: Batch) -> Schedule:
    """Make or change a schedule. What it has submitted last is remembered."""
    caller, name = change.caller, change.name
    known = batch.installation.schedule(caller.tenant, name)
    if known is not None and known.document == change.document:
        return known
    last_id = None if known is None else known.last_id
    schedule = Schedule(
        change.document, caller.principal, change.next_time, last_id, caller.stream
    )
    _keep(caller, name, schedule, batch)
    return schedule


def delete_schedule(change: DeleteSchedule, batch: Batch) -> None:
    """Forget a schedule."""
    if batch.installation.schedule(change.caller.tenant, change.name) is None:
        raise ScheduleNotFound(change.name)
    _keep(change.caller, change.name, None, batch)


def fire_schedule(change: FireSchedule, batch: Batch) -> list[Submitted] | None:
    """Submit what is due, once, however many servers ask for it."""
    known = batch.installation.schedule(change.caller.tenant, change.name)
    if known is None or known.next_time != change.due_time:
        return None
    if known.document != change.document:
        return None
    if change.submits and batch.mode == Mode.MAINTENANCE:
        raise Maintenance
    for one in change.submits:
        find_first(one, batch)  # A refusal must come before the first is accepted.
    done = [submit(one, batch) for one in change.submits]
    last_id = done[-1].operation.id if done else known.last_id
    fired = known._replace(next_time=change.next_time, last_id=last_id)
    _keep(change.caller, change.name, fired, batch)
    return done


def _keep(caller: Caller, name: str, schedule: Schedule | None, batch: Batch) -> None:
    batch.installation.schedules[caller.tenant, name] = schedule
    batch.announce(EventKind.CATALOG, caller.tenant, detail(schedule=name))


def register_account(change: RegisterAccount, batch: Batch) -> int:
    """Register an account of the caller's."""
    caller, account = change.caller, change.account
    if batch.installation.account(caller, account) is not None:
        raise AccountExists(*account)
    batch.installation.accounts[caller.tenant, caller.principal, *account] = batch.now
    batch.announce(EventKind.ACCOUNT, caller.tenant, detail(service=account.service))
    return batch.now


def deregister_account(change: DeregisterAccount, batch: Batch) -> None:
    """Forget an account of the caller's."""
    caller, account = change.caller, change.account
    if batch.installation.account(caller, account) is None:
        raise AccountNotFound(*account)
    batch.installation.accounts[caller.tenant, caller.principal, *account] = None
    batch.announce(EventKind.ACCOUNT, caller.tenant, detail(service=account.service))
