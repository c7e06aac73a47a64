"""The catalog: what can be asked for, and what stands behind it."""

from __future__ import annotations

from collections.abc import Sequence

from longshore.client.connection import Connection
from longshore.client.paging import Page, Pages, paged
from longshore.v1.catalog_service_pb2 import (
    Account,
    ApplyContractRequest,
    ApplyContractResponse,
    ApplyScheduleRequest,
    ApplyScheduleResponse,
    Contract,
    DeleteContractRequest,
    DeleteContractResponse,
    DeleteScheduleRequest,
    DeleteScheduleResponse,
    DeregisterAccountRequest,
    DeregisterAccountResponse,
    GetContractRequest,
    GetContractResponse,
    GetScheduleRequest,
    GetScheduleResponse,
    GetServiceRequest,
    GetServiceResponse,
    ListAccountsRequest,
    ListAccountsResponse,
    ListContractsRequest,
    ListContractsResponse,
    ListSchedulesRequest,
    ListSchedulesResponse,
    ListServicesRequest,
    ListServicesResponse,
    RegisterAccountRequest,
    RegisterAccountResponse,
    Schedule,
    Service,
)
from longshore.v1.operation_pb2 import ServiceKind


class Catalog:
    """Services that workers offer; contracts, schedules and accounts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # Services

    async def services(self, kind: ServiceKind.ValueType | None = None) -> Sequence[Service]:
        """List what workers offer or have offered; only what is launched so, if a `kind`."""
        request = ListServicesRequest(kind=kind or ServiceKind.SERVICE_KIND_UNSPECIFIED)
        return (await self._connection.ask(request, ListServicesResponse)).services

    async def service(self, slug: str) -> Service:
        """Get a service; the empty slug is that of the actions without one."""
        request = GetServiceRequest(slug=slug)
        return (await self._connection.ask(request, GetServiceResponse)).service

    # Contracts

    async def apply_contract(self, contract: Contract) -> Contract:
        """Make a contract, or make it what is given. Templates that change get a revision."""
        request = ApplyContractRequest(contract=contract)
        return (await self._connection.ask(request, ApplyContractResponse)).contract

    async def contract(self, name: str) -> Contract:
        """Get a contract."""
        request = GetContractRequest(name=name)
        return (await self._connection.ask(request, GetContractResponse)).contract

    def contracts(self, *, page_size: int = 0) -> Pages[Contract]:
        """List the contracts by name."""
        return paged(
            self._connection,
            ListContractsRequest(page_size=page_size),
            ListContractsResponse,
            lambda told: Page(told.contracts, told.next_page_token),
        )

    async def delete_contract(self, name: str) -> None:
        """Delete a contract; jobs that it has started go on."""
        await self._connection.ask(DeleteContractRequest(name=name), DeleteContractResponse)

    # Schedules

    async def apply_schedule(self, schedule: Schedule) -> Schedule:
        """Make a schedule, or make it what is given."""
        request = ApplyScheduleRequest(schedule=schedule)
        return (await self._connection.ask(request, ApplyScheduleResponse)).schedule

    async def schedule(self, name: str) -> Schedule:
        """Get a schedule."""
        request = GetScheduleRequest(name=name)
        return (await self._connection.ask(request, GetScheduleResponse)).schedule

    def schedules(self, *, page_size: int = 0) -> Pages[Schedule]:
        """List the schedules by name."""
        return paged(
            self._connection,
            ListSchedulesRequest(page_size=page_size),
            ListSchedulesResponse,
            lambda told: Page(told.schedules, told.next_page_token),
        )

    async def delete_schedule(self, name: str) -> None:
        """Delete a schedule; what it has submitted goes on."""
        await self._connection.ask(DeleteScheduleRequest(name=name), DeleteScheduleResponse)

    # Accounts

    async def register_account(self, service: str, username: str) -> Account:
        """Register an account with a service, for the caller alone."""
        request = RegisterAccountRequest(service=service, username=username)
        return (await self._connection.ask(request, RegisterAccountResponse)).account

    async def deregister_account(self, service: str, username: str) -> None:
        """Deregister an account of the caller; tasks that name it go on."""
        request = DeregisterAccountRequest(service=service, username=username)
        await self._connection.ask(request, DeregisterAccountResponse)

    def accounts(self, *, page_size: int = 0) -> Pages[Account]:
        """List the caller's accounts, by service and username."""
        return paged(
            self._connection,
            ListAccountsRequest(page_size=page_size),
            ListAccountsResponse,
            lambda told: Page(told.accounts, told.next_page_token),
        )
