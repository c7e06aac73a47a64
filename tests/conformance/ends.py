"""How work ends in the model of a store: delivered, called back, acknowledged, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from longshore.core.callbacks import CALLBACK_ACTION, CALLBACKS_QUEUE
from longshore.core.deliveries import Stage, Way
from longshore.core.events import EventKind
from longshore.core.operations import AT_ONCE, PUBLISHER, Kind, State
from tests.conformance.works import Work
from tests.conformance.world import MINUTE

if TYPE_CHECKING:
    from tests.conformance.model import Model

EXPIRE_AFTER = 10 * MINUTE


def succeed(model: Model, work: Work) -> None:
    """End work that was done or, if its result is to be delivered, begin with that."""
    if not work.way:
        end(model, work, State.SUCCEEDED)
        return
    work.session, work.wake = PUBLISHER, AT_ONCE
    _tell_stage(model, work, Stage.PENDING)


def advance(model: Model, work: Work) -> None:
    """Take a delivery on by one stage, unless something else happened in this batch."""
    if work.revision > model.committed:
        return
    if work.stage == Stage.PENDING:
        _tell_stage(model, work, Stage.ONGOING)
    else:
        _tell_stage(model, work, Stage.COMPLETE)
        end(model, work, State.SUCCEEDED)


def end(model: Model, work: Work, state: State) -> State:
    if state != State.SUCCEEDED and work.stage in (Stage.PENDING, Stage.ONGOING):
        fail_delivery(model, work)
    work.session = None
    work.wake = model.now + EXPIRE_AFTER
    model.turn(work, state)
    if work.way == Way.CHANNEL and work.retrieved is None:
        work.arrival = work.revision
    if work.callback:
        model.accept(
            Work(
                0,
                (CALLBACK_ACTION,),
                0,
                State.QUEUED,
                queue=CALLBACKS_QUEUE,
                max_attempts=20,
                callback_of=work.number,
            )
        )
    first = model.alive(work.callback_of)
    if first is not None:
        model.tell(EventKind.CALLBACK_SENT, first, first.state)
    return state


def fail_delivery(model: Model, work: Work) -> None:
    if work.way:
        _tell_stage(model, work, Stage.FAILED)


def _tell_stage(model: Model, work: Work, stage: Stage) -> None:
    work.stage = stage
    model.tell(EventKind.DELIVERY_CHANGED, work, State.RUNNING)


def acknowledge(model: Model, numbers: list[int]) -> str | None:
    """Acknowledge all results or none; return the refusal."""
    works = [model.alive(number) for number in numbers]
    named = [one for one in works if one is not None and one.kind == Kind.TASK]
    if len(named) < len(works):
        return "OperationNotFound"
    early = (Stage.NONE, Stage.PENDING)
    if any(not one.way or (not one.ended and one.stage in early) for one in named):
        return "WrongState"
    for work in named:
        if work.retrieved is None:
            work.retrieved, work.arrival = model.now, None
            model.tell(EventKind.DELIVERY_CHANGED, work, work.state)
    return None


def delete(model: Model, number: int) -> str | None:
    work = model.alive(number)
    if work is None:
        return "OperationNotFound"
    if not work.ended:
        return "WrongState"
    expire(model, work)
    return None


def expire(model: Model, work: Work) -> None:
    work.wake = work.arrival = None
    work.expired = model.tell(EventKind.EXPIRED, work, work.state)
