"""CatalogService: what can be asked for - services, contracts, schedules - and for whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypeVar, cast

from longshore.core.callers import Account, Caller
from longshore.core.catalog_changes import (
    DeleteContract,
    DeleteSchedule,
    DeregisterAccount,
    RegisterAccount,
)
from longshore.core.errors import (
    AccountNotFound,
    ContractNotFound,
    FileNotFound,
    InvalidFields,
    ScheduleNotFound,
    ServiceNotFound,
    Violation,
)
from longshore.core.ids import text_of
from longshore.core.installation import Contract, Schedule
from longshore.core.limits import TITLE_CHARACTERS
from longshore.core.page_tokens import question
from longshore.engine.engine import Engine
from longshore.server.checks import Flaws, at_most, printable
from longshore.server.contract_changes import contract_change
from longshore.server.contracts import contract_of
from longshore.server.directory import Directory, Offers
from longshore.server.gate import Call
from longshore.server.kept_secrets import schedule_without_secrets, without_secrets
from longshore.server.named_pages import named_page
from longshore.server.plan_checks import at
from longshore.server.schedule_changes import ScheduleChanges
from longshore.server.schedules import agreed, schedule_of
from longshore.server.submissions import Submissions
from longshore.v1 import catalog_service_pb2 as pb
from longshore.v1.operation_pb2 import ServiceKind
from longshore.v1.task_service_pb2 import TaskSpec

T = TypeVar("T")


class CatalogService:
    """Shows what a tenant's workers have published, and keeps what its people agree upon."""

    SERVICE: ClassVar[str] = "longshore.v1.CatalogService"

    def __init__(self, engine: Engine, directory: Directory, submissions: Submissions) -> None:
        self._engine = engine
        self._directory = directory
        self._schedule_changes = ScheduleChanges(directory, submissions)

    async def ListServices(
        self, request: pb.ListServicesRequest, call: Call
    ) -> pb.ListServicesResponse:
        if request.kind not in ServiceKind.values():
            raise InvalidFields([Violation("kind", "RULESET, OPERATION, or unset for all")])
        services = self._offers(call).services
        return pb.ListServicesResponse(
            services=[one for one in services.values() if request.kind in (0, one.kind)]
        )

    async def GetService(
        self, request: pb.GetServiceRequest, call: Call
    ) -> pb.GetServiceResponse:
        service = self._offers(call).services.get(request.slug)
        if service is None:
            raise ServiceNotFound(request.slug)
        return pb.GetServiceResponse(service=service)

    def _offers(self, call: Call) -> Offers:
        """Return what the caller may ask for."""
        return self._directory.offers(call.caller.tenant, call.principal.grants)

    async def ApplyContract(
        self, request: pb.ApplyContractRequest, call: Call
    ) -> pb.ApplyContractResponse:
        given, tenant = request.contract, call.caller.tenant
        offers = self._directory.offers(tenant)
        known = self._directory.contract(tenant, given.name)
        change = contract_change(given, call.caller, offers, known)
        kept = cast("Contract", await self._engine.writer.write(change))
        return pb.ApplyContractResponse(contract=self._contract(tenant, kept))

    async def GetContract(
        self, request: pb.GetContractRequest, call: Call
    ) -> pb.GetContractResponse:
        tenant = call.caller.tenant
        kept = self._engine.catalog.current.contracts.get((tenant, request.name))
        if kept is None:
            raise ContractNotFound(request.name)
        return pb.GetContractResponse(contract=self._contract(tenant, kept))

    async def ListContracts(
        self, request: pb.ListContractsRequest, call: Call
    ) -> pb.ListContractsResponse:
        tenant = call.caller.tenant
        contracts, token = named_page(
            request,
            question("contracts", tenant),
            _of(tenant, self._engine.catalog.current.contracts),
            lambda _, kept: self._contract(tenant, kept),
        )
        return pb.ListContractsResponse(contracts=contracts, next_page_token=token)

    def _contract(self, tenant: str, kept: Contract) -> pb.Contract:
        return without_secrets(contract_of(kept), self._directory.offers(tenant))

    async def DeleteContract(
        self, request: pb.DeleteContractRequest, call: Call
    ) -> pb.DeleteContractResponse:
        await self._engine.writer.write(DeleteContract(call.caller, request.name))
        return pb.DeleteContractResponse()

    async def ApplySchedule(
        self, request: pb.ApplyScheduleRequest, call: Call
    ) -> pb.ApplyScheduleResponse:
        given, caller = request.schedule, call.caller
        known = self._engine.catalog.current.schedules.get((caller.tenant, given.name))
        earlier = None if known is None else agreed(known.document)
        now = self._engine.clock.now()
        grants = call.principal.grants
        change = self._schedule_changes.change(given, caller, earlier, now, grants)
        await self._require_account(given.task, caller)
        await self._require_files(given, caller)
        kept = cast("Schedule", await self._engine.writer.write(change))
        return pb.ApplyScheduleResponse(schedule=self._schedule(caller.tenant, kept))

    async def _require_account(self, task: TaskSpec, caller: Caller) -> None:
        """Raise `AccountNotFound` if the submits of a schedule would."""
        if not task.account:
            return
        accounts = await self._engine.store.accounts(caller.tenant, caller.principal)
        if not any(one[:2] == (task.service, task.account) for one in accounts):
            missing = AccountNotFound(task.service, task.account)
            raise at("schedule.task.account", missing)

    async def _require_files(self, schedule: pb.Schedule, caller: Caller) -> None:
        """Raise `FileNotFound` if the submits of a schedule would, if they were made now."""
        taken = self._schedule_changes.files(schedule, caller)
        ids, now = [one.file_id for one in taken], self._engine.clock.now()
        found = await self._engine.store.files(caller.tenant, ids, now)
        for one, file in zip(taken, found, strict=True):
            if file is None:
                raise at(one.field, FileNotFound(text_of(one.file_id)))

    async def GetSchedule(
        self, request: pb.GetScheduleRequest, call: Call
    ) -> pb.GetScheduleResponse:
        tenant = call.caller.tenant
        kept = self._engine.catalog.current.schedules.get((tenant, request.name))
        if kept is None:
            raise ScheduleNotFound(request.name)
        return pb.GetScheduleResponse(schedule=self._schedule(tenant, kept))

    async def ListSchedules(
        self, request: pb.ListSchedulesRequest, call: Call
    ) -> pb.ListSchedulesResponse:
        tenant = call.caller.tenant
        schedules, token = named_page(
            request,
            question("schedules", tenant),
            _of(tenant, self._engine.catalog.current.schedules),
            lambda _, kept: self._schedule(tenant, kept),
        )
        return pb.ListSchedulesResponse(schedules=schedules, next_page_token=token)

    def _schedule(self, tenant: str, kept: Schedule) -> pb.Schedule:
        return schedule_without_secrets(schedule_of(kept), self._directory, tenant)

    async def DeleteSchedule(
        self, request: pb.DeleteScheduleRequest, call: Call
    ) -> pb.DeleteScheduleResponse:
        await self._engine.writer.write(DeleteSchedule(call.caller, request.name))
        return pb.DeleteScheduleResponse()

    async def RegisterAccount(
        self, request: pb.RegisterAccountRequest, call: Call
    ) -> pb.RegisterAccountResponse:
        service, username = request.service, request.username
        _check_account(service, username)
        if service not in self._offers(call).services:
            raise at("service", ServiceNotFound(service))
        change = RegisterAccount(call.caller, Account(service, username))
        create_time = cast("int", await self._engine.writer.write(change))
        return pb.RegisterAccountResponse(account=_account(service, username, create_time))

    async def DeregisterAccount(
        self, request: pb.DeregisterAccountRequest, call: Call
    ) -> pb.DeregisterAccountResponse:
        account = Account(request.service, request.username)
        await self._engine.writer.write(DeregisterAccount(call.caller, account))
        return pb.DeregisterAccountResponse()

    async def ListAccounts(
        self, request: pb.ListAccountsRequest, call: Call
    ) -> pb.ListAccountsResponse:
        tenant, principal = call.caller.tenant, call.caller.principal
        registered = await self._engine.store.accounts(tenant, principal)
        accounts, token = named_page(
            request,
            question("accounts", tenant, principal),
            {(one.service, one.username): one for one in registered},
            lambda _, one: _account(*one),
        )
        return pb.ListAccountsResponse(accounts=accounts, next_page_token=token)


def _of(tenant: str, kept: Mapping[tuple[str, str], T]) -> dict[tuple[str], T]:
    """Return what a tenant has of what all have, by name."""
    return {(name,): one for (owner, name), one in kept.items() if owner == tenant}


def _check_account(service: str, username: str) -> None:
    flaws: Flaws = []
    at_most("username", TITLE_CHARACTERS, len(username))
    if not service:
        flaws.append(Violation("service", "a service is needed", "MISSING"))
    if not username:
        flaws.append(Violation("username", "a name is needed", "MISSING"))
    printable(username, "username", flaws)
    if flaws:
        raise InvalidFields(flaws)


def _account(service: str, username: str, create_time: int) -> pb.Account:
    account = pb.Account(service=service, username=username)
    account.create_time.FromMilliseconds(create_time)
    return account
