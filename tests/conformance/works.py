"""What the model test's plain model is made of: operations and sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from longshore.core.deliveries import Stage
from longshore.core.operations import Kind, State
from tests.conformance.world import SECOND

Lane: TypeAlias = tuple[str, tuple[str, ...]]  #: Queue and actions.


@dataclass
class Work:
    """An operation."""

    number: int
    actions: tuple[str, ...]
    steps: int
    state: State
    priority: int = 0
    kind: Kind = Kind.TASK
    queue: str = "default"
    position: int = 0
    key: str | None = None
    limit: int = 0
    fairness: str | None = None
    max_attempts: int = 3
    backoff: int = SECOND
    run_timeout: int | None = None
    attempt: int = 0
    step: int = 0
    session: int | None = None
    token: int = 0
    reports: int = 0
    cancel: bool = False
    wake: int | None = None
    revision: int = 0
    expired: int | None = None  #: Revision of its expiry.
    progress_told: int = 0
    way: int = 0  #: How its result is delivered; 0: it is not.
    stage: Stage = Stage.NONE
    retrieved: int | None = None  #: When its result was acknowledged.
    arrival: int | None = None  #: Revision of its end, while it waits in a channel.
    callback: bool = False
    callback_of: int = 0
    again: bool = False  #: A resubmit.

    @property
    def ended(self) -> bool:
        return self.state in (State.SUCCEEDED, State.FAILED, State.CANCELED)

    @property
    def fetchable(self) -> bool:
        """Whether it can be acknowledged, and was not yet."""
        if not self.way or self.retrieved is not None or self.expired:
            return False
        return self.ended or self.stage == Stage.ONGOING

    @property
    def reserved(self) -> bool:
        return self.queue.startswith("longshore.")

    @property
    def waiting(self) -> bool:
        """Whether it may be leased as soon as there is room for it."""
        return self.state == State.QUEUED and self.wake is None

    @property
    def order(self) -> tuple[int, int, int]:
        return -self.priority, self.position, self.number

    @property
    def place(self) -> tuple[int, int]:
        return self.priority, self.position

    @property
    def lane(self) -> Lane:
        return self.queue, self.actions


@dataclass
class Worker:
    """A session."""

    number: int
    secret: bytes
    epoch: int
    offers: tuple[str, ...]
    slots: int

    def serves(self, lane: Lane) -> bool:
        return set(lane[1]) <= set(self.offers)  # Every session serves every queue.
