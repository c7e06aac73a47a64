"""Submissions: what is asked for on demand, and whether it was asked for before."""

from __future__ import annotations

from typing import Annotated, Any

import structlog
from pydantic import Field, ValidationError

from longshore.client import (
    InvalidArgument,
    InvalidValue,
    JobHandle,
    Relayed,
    from_struct,
    job,
)
from longshore.gateway.dataone.shapes import Shape
from longshore.gateway.faults import Fault, Malformed

log = structlog.get_logger()


class NoSuchAction(Fault):
    """A contract has no action of this name."""

    status = 404


_Name = Annotated[str, Field(min_length=1)]


class Submission(Shape):
    """An action of a contract, to be run with these variables over the contract's."""

    # Nothing but the identifier may be missing (3b.2, 3b.4), and nothing is null.
    contract_name: _Name
    action_name: _Name
    action_variables: dict[str, Any]
    ext_ipid: Annotated[
        str,
        Field(
            max_length=64,
            description="With the user, the contract and the action it finds the first job "
            "that was submitted so. Empty: every call makes a new one.",
        ),
    ] = ""


def submission_of(body: dict[str, Any]) -> Submission:
    """Read a submission. Raises `Malformed`."""
    try:
        return Submission.model_validate(body, by_name=False)
    except ValidationError as error:
        first = error.errors()[0]
        raise Malformed(first["msg"], ".".join(map(str, first["loc"]))) from None


async def submit(asking: Relayed, wanted: Submission) -> JobHandle:
    """Submit a job; the handle tells whether it was made. Raises `Malformed`, `CallError`."""
    try:
        request = job(
            wanted.contract_name,
            wanted.action_name,
            wanted.action_variables,
            external_id=wanted.ext_ipid,
        )
    except InvalidValue as error:
        raise Malformed(str(error), "actionVariables") from None
    try:
        found = await asking.jobs.submit(request)
    except InvalidArgument:
        await _refuse_unknown(asking, wanted)
        raise
    if not found.created:
        # Secrets among the variables are not shown, and so seem to be others.
        same = from_struct(found.message.spec.variables) == wanted.action_variables
        log.info("submitted_again", job=found.number, same_variables=same)
    return found


async def _refuse_unknown(asking: Relayed, wanted: Submission) -> None:
    """Raise `NotFound` or `NoSuchAction`, also for what can be no name: nothing has it."""
    contract = await asking.catalog.contract(wanted.contract_name)
    if not any(action.name == wanted.action_name for action in contract.actions):
        raise NoSuchAction(
            f"contract {wanted.contract_name!r} has no action {wanted.action_name[:100]!r}"
        )
