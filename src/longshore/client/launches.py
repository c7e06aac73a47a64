"""Launches: rule sets and operation services, in one queue that people order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Unpack

from longshore.client.connection import Connection
from longshore.client.downloads import Download
from longshore.client.handles import LaunchHandle
from longshore.client.kinds import LAUNCH
from longshore.client.paging import Page, Pages, paged
from longshore.client.requests import OptionFields, launch
from longshore.client.rooms import Room
from longshore.client.uploads import Tell
from longshore.client.watching import Watch
from longshore.v1.launch_service_pb2 import (
    Direction,
    DownloadLaunchFilesRequest,
    GetLaunchQueueRequest,
    GetLaunchQueueResponse,
    Launch,
    LaunchChange,
    MoveLaunchesRequest,
    MoveLaunchesResponse,
    SubmitLaunchRequest,
)
from longshore.v1.operation_pb2 import ServiceKind


class Launches(Room[Launch, LaunchChange, LaunchHandle]):
    """Rule sets and operation services."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, LAUNCH, LaunchHandle)

    async def submit(
        self,
        service: str | SubmitLaunchRequest,
        arguments: Mapping[str, Any] | None = None,
        **options: Unpack[OptionFields],
    ) -> LaunchHandle:
        """Submit a launch: a service with arguments, or a request that `launch` made of these.

        When this returns, the launch is on the server's disk.
        """
        return await self._submit(_request(service, arguments, options))

    def run(
        self,
        service: str | SubmitLaunchRequest,
        arguments: Mapping[str, Any] | None = None,
        *,
        include_logs: bool = False,
        **options: Unpack[OptionFields],
    ) -> Watch[LaunchChange]:
        """Submit a launch, as `submit` does, and watch it to its end.

        The first change shows the launch. `result_of` reads the last one's.
        """
        request = _request(service, arguments, options)
        return self._calls.run(request, include_logs=include_logs)

    def queue(
        self, kind: ServiceKind.ValueType | None = None, *, page_size: int = 0
    ) -> Pages[LaunchHandle]:
        """List what runs, then what waits, in the order of start; only of a `kind`, if any."""
        request = GetLaunchQueueRequest(
            kind=kind or ServiceKind.SERVICE_KIND_UNSPECIFIED, page_size=page_size
        )
        return paged(
            self._calls.connection,
            request,
            GetLaunchQueueResponse,
            lambda told: Page(self._handles(told), told.next_page_token, told.revision),
        )

    async def move(self, direction: Direction.ValueType, *ids: str) -> Sequence[LaunchHandle]:
        """Move launches that wait: DIRECTION_TOP, _UP, _DOWN or _BOTTOM; they keep their order.

        Returns those that waited; the others are skipped.
        """
        request = MoveLaunchesRequest(ids=ids, direction=direction)
        return self._handles(await self._calls.connection.ask(request, MoveLaunchesResponse))

    async def download(
        self,
        id: str,  # noqa: A002 - the contract's word
        to: str | PathLike[str],
        *,
        told: Tell | None = None,
    ) -> Path:
        """Download all files that a launch has made as one zip, and return where it is.

        `to` is the file to write, which may be there already, or a folder. It is written as a
        whole or not at all. `told` is called with the number of bytes that have arrived.
        """
        request = DownloadLaunchFilesRequest(id=id)
        zipped = Download(self._calls.connection, request, f"{id}.zip")
        return await zipped.save(to, told=told)


def _request(
    service: str | SubmitLaunchRequest,
    arguments: Mapping[str, Any] | None,
    options: OptionFields,
) -> SubmitLaunchRequest:
    if isinstance(service, SubmitLaunchRequest):
        return service
    return launch(service, arguments, **options)
