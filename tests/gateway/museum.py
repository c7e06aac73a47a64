"""A museum that uses Data One: its contracts, its worker, and who works there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from longshore.access.editing import Entry, add
from longshore.client import Client, call, to_struct
from longshore.gateway.settings import GatewaySettings
from longshore.v1.catalog_service_pb2 import Contract, ContractAction, WorkflowTemplate
from longshore.worker import PermanentError, Worker
from tests.gateway.harness import World, gateway

PATH = "/ghibli-rest/v2/job-manager/jobs"
PASSWORD = "correct horse battery staple ü"


@dataclass(slots=True)
class Museum:
    """The gateway of the museum, and the work that is done there."""

    world: World
    tokens: dict[str, str]
    root: Client
    open: asyncio.Event  #: What is ingested waits for it.

    async def post(self, body: Any, who: str = "ada", **fields: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.tokens[who]}"}
        return await self.world.http.post(PATH, json=body, headers=headers, **fields)

    async def get(self, query: str = "", who: str = "ada") -> httpx.Response:
        """List by a query as it is written."""
        headers = {"authorization": f"Bearer {self.tokens[who]}"}
        return await self.world.http.get(f"{PATH}?{query}" if query else PATH, headers=headers)

    async def ids(self, query: str) -> list[int]:
        answer = await self.get(query)
        assert answer.status_code == 200, answer.text
        return [int(job["id"]) for job in answer.json()["jobs"]]


def asked(**fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "contractName": "museum",
        "actionName": "ingest",
        "actionVariables": {"file": "a.txt"},
    }
    return {**body, **fields}


@asynccontextmanager
async def museum(
    folder: Path, settings: GatewaySettings | None = None
) -> AsyncGenerator[Museum]:
    add(
        folder / "principals.toml",
        Entry(name="jürgen", roles=("submitter",)),
        password=PASSWORD,
    )
    async with (
        gateway(
            folder,
            settings,
            "dataone",
            ada=Entry(name="ada", roles=("submitter",)),
            bob=Entry(name="bob", roles=("submitter",)),
            eve=Entry(name="eve", roles=("viewer",)),
            una=Entry(name="una", roles=("worker",)),
            zoe=Entry(name="zoe", roles=("submitter",), tenants=("north",)),
            root=Entry(name="root", roles=("admin",)),
        ) as (world, tokens),
        world.client(tokens["root"]) as root,
    ):
        opened = asyncio.Event()
        await world.work(_worker(opened))
        await _apply(root)
        yield Museum(world, tokens, root, opened)
        opened.set()


def _worker(opened: asyncio.Event) -> Worker:
    worker = Worker("stevedore", queues=("default", "nightly"), slots=50)

    @worker.action
    async def ingest(file: str) -> dict[str, str]:
        await opened.wait()
        if file == "bad":
            raise PermanentError("the file is bad")
        return {"file": file}

    return worker


async def _apply(root: Client) -> None:
    template = WorkflowTemplate(
        name="ingest it",
        description="In it goes.",
        actions=[call("ingest", paths={"file": "file"})],
    )
    await root.catalog.apply_contract(
        Contract(
            name="museum",
            type="deposit",
            actor="curator",
            actions=[
                ContractAction(name="ingest", trigger="upload", template=template),
                ContractAction(
                    name="keep",
                    queue="nightly",
                    variables=to_struct({"file": "b.txt"}),
                    template=WorkflowTemplate(name="keep it", actions=template.actions),
                ),
            ],
        )
    )
