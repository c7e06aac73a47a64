"""What is shown of workers: what they are, and how they do here or at other servers."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from longshore.core.lanes import Session
from longshore.core.store import Attendance
from longshore.engine.live import LiveSession
from longshore.v1.worker_service_pb2 import WorkerInfo


def info_of(session: Session) -> WorkerInfo:
    """Return what a worker is; never the secret of its session."""
    bare = {key for key in session.offers if "/" not in key}
    within = [key for key in session.offers if "/" in key]
    named = {key.partition("/")[2] for key in within}
    return WorkerInfo(
        id=str(session.number),
        name=session.worker,
        queues=session.queues,
        actions=sorted([*within, *(bare - named)]),
        slots=session.slots,
        epoch=session.epoch,
    )


def show_live(info: WorkerInfo, live: LiveSession) -> None:
    """Show how a worker does whose stream ends here."""
    info.connected = True
    info.running = len(live.held)
    info.draining = live.draining
    info.connect_time.CopyFrom(_time(live.connect_time))
    info.last_seen_time.CopyFrom(_time(live.last_seen_time))


def show_elsewhere(info: WorkerInfo, known: Attendance, since: int) -> None:
    """Show how a worker does elsewhere; who was not heard of since then has no stream."""
    info.running = known.running
    if known.connect_time is not None:
        info.connect_time.CopyFrom(_time(known.connect_time))
    if known.heard_time is not None:
        info.last_seen_time.CopyFrom(_time(known.heard_time))
        info.connected = known.heard_time >= since


def _time(milliseconds: int) -> Timestamp:
    time = Timestamp()
    time.FromMilliseconds(milliseconds)
    return time
