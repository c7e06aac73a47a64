"""Contract changes: from a contract on the wire to the change that applies it, every check on."""

from __future__ import annotations

import hashlib

from longshore.core.callers import Caller
from longshore.core.catalog_changes import ApplyContract
from longshore.core.errors import InvalidFields, Violation
from longshore.core.limits import NAME_CHARACTERS, TITLE_CHARACTERS
from longshore.server.checks import (
    Flaws,
    at_most,
    payload,
    printable,
    prose,
    queue_name,
    queue_of_plans,
    slug,
)
from longshore.server.directory import Offers
from longshore.server.kept_secrets import restore, revoke, without_secrets
from longshore.server.plan_checks import check_actions
from longshore.server.structs import flaw_of_object
from longshore.v1.catalog_service_pb2 import Contract, ContractAction, WorkflowTemplate


def contract_change(
    given: Contract, caller: Caller, offers: Offers, kept: Contract | None
) -> ApplyContract:
    """Return the change that makes a contract what is given; what only we say is left out.

    Secrets of the one that is `kept` stay where they are given as they were shown. Raises
    `InvalidFields` with every violation, `LimitExceeded`, `PayloadTooLarge`.
    """
    contract = Contract()
    contract.CopyFrom(given)
    if kept is not None:
        restore(contract, without_secrets(kept, offers), kept)
    _check(contract, offers)
    if contract != given:
        revoke(contract, without_secrets(contract, offers), given)
        _check(contract, offers)
    for action in contract.actions:
        action.template.ClearField("id")
        action.template.ClearField("revision")
    document = contract.SerializeToString(deterministic=True)
    payload("contract", len(document))
    return ApplyContract(
        caller,
        contract.name,
        document,
        tuple((one.name, _digest(one.template)) for one in contract.actions),
        tuple(sorted({one.queue for one in contract.actions if one.queue})),
    )


def _digest(template: WorkflowTemplate) -> bytes:
    return hashlib.sha256(template.SerializeToString(deterministic=True)).digest()


def _check(contract: Contract, offers: Offers) -> None:
    flaws: Flaws = []
    slug(contract.name, "contract.name", flaws)
    _words(contract.type, "contract.type", flaws)
    _words(contract.actor, "contract.actor", flaws)
    if not contract.actions:
        needed = "at least one action is needed"
        flaws.append(Violation("contract.actions", needed, "MISSING"))
    names: set[str] = set()
    for index, action in enumerate(contract.actions):
        path = f"contract.actions[{index}]"
        _check_action(action, offers, path, flaws)
        if action.name in names:
            flaws.append(Violation(f"{path}.name", "two actions have this name"))
        names.add(action.name)
    if flaws:
        raise InvalidFields(flaws)


def _check_action(action: ContractAction, offers: Offers, path: str, flaws: Flaws) -> None:
    slug(action.name, f"{path}.name", flaws)
    _words(action.trigger, f"{path}.trigger", flaws)
    if action.queue:
        queue_name(action.queue, f"{path}.queue", flaws)
        queue_of_plans(action.queue, f"{path}.queue", flaws)
    flaw = flaw_of_object(action.variables.fields)
    if flaw is not None:
        flaws.append(Violation(f"{path}.variables{flaw.where}", flaw.description))
    template, place = action.template, f"{path}.template"
    at_most(f"{place}.name", NAME_CHARACTERS, len(template.name))
    if not template.name:
        flaws.append(Violation(f"{place}.name", "a name is needed", "MISSING"))
    printable(template.name, f"{place}.name", flaws)
    prose(template.description, f"{place}.description", flaws)
    # Workers may come later, so what nobody has offered yet is fine.
    check_actions(template.actions, "", offers, f"{place}.actions", flaws)


def _words(text: str, field: str, flaws: Flaws) -> None:
    at_most(field, TITLE_CHARACTERS, len(text))
    printable(text, field, flaws)
