"""Jobs: plans that a contract names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from longshore.client.connection import Connection
from longshore.client.handles import JobHandle
from longshore.client.kinds import JOB
from longshore.client.requests import JobFields, job
from longshore.client.rooms import Room
from longshore.client.watching import Watch
from longshore.v1.job_service_pb2 import Job, JobChange, MoveJobRequest, SubmitJobRequest


class Jobs(Room[Job, JobChange, JobHandle]):
    """Plans that a contract names."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, JOB, JobHandle)

    async def submit(
        self,
        contract: str | SubmitJobRequest,
        action: str = "",
        variables: Mapping[str, Any] | None = None,
        **fields: Unpack[JobFields],
    ) -> JobHandle:
        """Submit a job: an action of a contract, or a request that `job` made of these.

        With an `external_id` that the same contract and action had before, it is the job of
        then, and the handle says that it was not `created`. When this returns, the job is on
        the server's disk.
        """
        return await self._submit(_request(contract, action, variables, fields))

    def run(
        self,
        contract: str | SubmitJobRequest,
        action: str = "",
        variables: Mapping[str, Any] | None = None,
        *,
        include_logs: bool = False,
        **fields: Unpack[JobFields],
    ) -> Watch[JobChange]:
        """Submit a job, as `submit` does, and watch it to its end.

        The first change shows the job. `result_of` reads the last one's.
        """
        request = _request(contract, action, variables, fields)
        return self._calls.run(request, include_logs=include_logs)

    async def move(self, id: str, queue: str) -> JobHandle:  # noqa: A002 - the contract's word
        """Move a job to another queue; one that runs goes on."""
        return await self._one(MoveJobRequest(id=id, queue=queue))


def _request(
    contract: str | SubmitJobRequest,
    action: str,
    variables: Mapping[str, Any] | None,
    fields: JobFields,
) -> SubmitJobRequest:
    if isinstance(contract, SubmitJobRequest):
        return contract
    return job(contract, action, variables, **fields)
