"""Submissions: what forms ask for.

All that is wrong with a form is told at once: contract 2a has errors as a map of its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, ParamSpec, TypeVar

from longshore.client import CallError, InvalidValue, Relayed, TaskHandle
from longshore.gateway.asapi.errors import (
    NO_SUCH_ACCOUNT,
    Problem,
    Refused,
    invalid,
    problems_of,
)
from longshore.gateway.asapi.forms import Form, value_of
from longshore.gateway.asapi.parameters import arguments_of
from longshore.gateway.asapi.shapes import action_of, service_of
from longshore.v1.catalog_service_pb2 import Service, ServiceAction
from longshore.v1.operation_pb2 import DeliveryMode

P = ParamSpec("P")
T = TypeVar("T")

_ACCOUNTS_AT_ONCE: Final = 1_000  #: Most that a call lists.


class _Findings:
    """What is wrong with a form, by field, as far as it has been read."""

    def __init__(self) -> None:
        self.problems: dict[str, list[Problem]] = {}

    def add(self, problems: Mapping[str, Sequence[Problem]]) -> None:
        for field, found in problems.items():
            self.problems.setdefault(field, []).extend(found)

    def reading(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return what is read, or None, when what is wrong with it has been noted."""
        try:
            return read(*args, **kwargs)
        except Refused as refused:
            self.add(refused.problems)
            return None


async def account_of(client: Relayed, form: Form) -> tuple[str, str]:
    """Return the slug of the service and the username that a form names. Raises `Refused`."""
    findings = _Findings()
    service = findings.reading(_service, await client.catalog.services(), form)
    username = findings.reading(value_of, form, "username")
    if service is None or username is None:
        raise Refused(findings.problems)
    return service.slug, username


async def submit(client: Relayed, form: Form, delivery: DeliveryMode.ValueType) -> TaskHandle:
    """Submit what a form asks for. Raises `CallError`, and `Refused` if the form is wrong.

    Whether there is the account is asked only when something else is wrong: else it is the
    submit that finds out.
    """
    findings = _Findings()
    service = findings.reading(_service, await client.catalog.services(), form)
    action = findings.reading(_action, service, form)
    account = findings.reading(value_of, form, "account")
    arguments = None if action is None else findings.reading(arguments_of, action, form)
    if service is None or account is None:
        raise Refused(findings.problems)
    if action is not None and arguments is not None:
        try:
            return await client.tasks.submit(
                action.slug,
                arguments,
                service=service.slug,
                account=account,
                delivery=delivery,
            )
        except (CallError, InvalidValue) as error:
            findings.add(_refusal(error).problems)
    known = "account" in findings.problems
    if not known and not await _is_registered(client, service.slug, account):
        findings.add({"account": [NO_SUCH_ACCOUNT]})
    raise Refused(findings.problems)


def _refusal(error: CallError | InvalidValue) -> Refused:
    """Return what is wrong with a form by what came of its submit. Raises what is no fault of
    the form.
    """
    if isinstance(error, InvalidValue):
        return invalid(str(error))
    problems = problems_of(error)
    if problems is None:
        raise error
    return Refused(problems)


def _service(services: Sequence[Service], form: Form) -> Service:
    return service_of(services, value_of(form, "service"))


def _action(service: Service | None, form: Form) -> ServiceAction | None:
    """Return the action that a form names; None if its service is not known."""
    name = value_of(form, "action")
    return None if service is None else action_of(service, name)


async def _is_registered(client: Relayed, service: str, username: str) -> bool:
    async for one in client.catalog.accounts(page_size=_ACCOUNTS_AT_ONCE):
        if (one.service, one.username) == (service, username):
            return True
    return False
