"""Sessions: a worker's life across reconnects, and what becomes of its leases."""

from __future__ import annotations

from collections.abc import Container

from longshore.core import leasing
from longshore.core.batch import Batch
from longshore.core.changes import CloseSession, ExpireSessions, Opened, OpenSession
from longshore.core.errors import SessionTakenOver
from longshore.core.events import EventKind, detail
from longshore.core.failures import Code
from longshore.core.lanes import Session, marked
from longshore.core.lifecycle import fail_attempt


def open_session(change: OpenSession, batch: Batch) -> Opened:
    """Begin a session, or take one up again under a higher epoch; publish what it offers."""
    secret = marked(change.secret, change.caller.principal)
    # Those that were opened before secrets were marked are anybody's who knows the secret.
    earlier = _by_secret((secret, change.secret), change.caller.tenant, batch)
    if earlier is None:
        batch.last_session += 1
    session = Session(
        number=batch.last_session if earlier is None else earlier.number,
        secret=secret,
        epoch=1 if earlier is None else earlier.epoch + 1,
        tenant=change.caller.tenant,
        worker=change.worker,
        queues=change.queues,
        offers=change.offers,
        slots=change.slots,
        open_time=batch.now if earlier is None else earlier.open_time,
    )
    batch.sessions[session.number] = session
    _tell(session, "opened" if earlier is None else "resumed", batch)
    _publish(change, batch)
    held = [] if earlier is None else batch.held_by(session.number)
    return Opened(
        session.number, session.epoch, earlier is not None, leasing.assignments(held, batch)
    )


def _by_secret(secrets: Container[bytes], tenant: str, batch: Batch) -> Session | None:
    for session in batch.all_sessions():
        if session.secret in secrets and session.tenant == tenant:
            return session
    return None


def _tell(session: Session, change: str, batch: Batch) -> None:
    told = detail(session=session.number, worker=session.worker, change=change)
    batch.announce(EventKind.SESSION, session.tenant, told)


def _publish(change: OpenSession, batch: Batch) -> None:
    tenant = change.caller.tenant
    known = batch.installation
    changed = [one.slug for one in change.services if known.publish(tenant, *one)]
    new_queues = [queue for queue in change.queues if known.ensure_queue(tenant, queue)]
    if changed or new_queues:
        batch.announce(EventKind.CATALOG, tenant, detail(services=changed))


def close_session(change: CloseSession, batch: Batch) -> None:
    """End a session whose worker said goodbye; what it still holds is lost to it."""
    session = batch.session(change.session)
    if session is None or session.epoch != change.epoch:
        raise SessionTakenOver("" if session is None else session.worker)
    _end(session, "closed", batch)


def expire_sessions(change: ExpireSessions, batch: Batch) -> None:
    """End silent sessions, unless one was taken up again meanwhile."""
    for number, epoch in change.sessions:
        session = batch.session(number)
        if session is not None and session.epoch == epoch:
            _end(session, "expired", batch)


def _end(session: Session, how: str, batch: Batch) -> None:
    batch.sessions[session.number] = None
    _tell(session, how, batch)
    for operation in batch.held_by(session.number):
        failure = batch.codec.failure(
            Code.UNAVAILABLE,
            f"worker {session.worker!r} was lost during attempt {operation.attempt}",
            "WORKER_LOST",
            {"worker": session.worker, "attempt": str(operation.attempt)},
        )
        fail_attempt(operation, failure, batch)
