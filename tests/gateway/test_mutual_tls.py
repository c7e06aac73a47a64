"""A gateway that shows its servers a certificate: nobody else is taken for it by that."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from longshore.access.editing import Entry, add
from longshore.access.keeper import Keeper
from longshore.client import Client, Tls
from longshore.engine.engine import Engine
from longshore.gateway.running import Entrance, running
from longshore.gateway.settings import GatewaySettings
from longshore.server.app import Server
from longshore.server.codec import ProtoCodec
from longshore.server.tls import Tls as ServerTls
from longshore.stores.blobs import ObstoreBlobs
from longshore.stores.sqlite.store import SqliteStore
from tests.tools.certificates import Authority

HERE = "127.0.0.1"
OWN = Entry(
    name="gate",
    roles=("viewer", "submitter", "worker"),
    tenants=("*",),
    queues=("longshore.callbacks",),
    certificates=("gate.example.org",),
    go_between=True,
)


@dataclass(slots=True)
class Site:
    """A gateway, and Ada who goes around it."""

    http: httpx.AsyncClient
    ada: Client
    token: str


@asynccontextmanager
async def site(folder: Path, authority: Authority, *, token: bool) -> AsyncGenerator[Site]:
    """Run a server that wants to see certificates, and a gateway that has one, or a token too."""
    principals = folder / "principals.toml"
    own = add(principals, OWN, with_token=token)
    ada = add(principals, Entry(name="ada", roles=("admin",)), with_token=True)
    assert ada.token is not None
    store = folder / "longshore.db"
    engine = Engine(SqliteStore(store, ProtoCodec()), ObstoreBlobs(f"{store}.files"))
    pair, server_pair = authority.issue("gate.example.org"), authority.server
    shown = Tls(authority.ca, pair.certificate, pair.key)
    async with (
        engine,
        Keeper(principals) as keeper,
        Server(
            engine, f"{HERE}:0", access=keeper, tls=ServerTls(*server_pair, authority.ca)
        ) as server,
        running(
            GatewaySettings(listen=f"{HERE}:0"),
            Entrance(
                servers=server.address,
                tls=shown,
                token=own.token.secret_text if own.token else None,
            ),
            1,
        ) as address,
        Client(server.address, tls=shown, token=ada.token.secret_text) as behind,
        httpx.AsyncClient(base_url=f"http://{address}", timeout=30) as http,
    ):
        yield Site(http, behind, ada.token.secret_text)


@pytest.mark.parametrize("token", [True, False], ids=["token", "certificate"])
async def test_callers_without_a_credential_are_nobody(
    tmp_path: Path, authority: Authority, *, token: bool
) -> None:
    async with site(tmp_path, authority, token=token) as here:
        for path in (
            *("/v1/tasks", "/v1/caller", "/ghibli-rest/v2/job-manager/jobs"),
            *("/asapi/account/", "/vitam/v1/tasks", "/ehealth/patients/composition/job/x"),
        ):
            answer = await here.http.get(path)
            assert answer.status_code == 401, (path, answer.text)
            empty = {"authorization": "", "x-vitam-key": "", "api-key": ""}
            answer = await here.http.get(path, headers=empty)
            assert answer.status_code == 401, (path, answer.text)
        answer = await here.http.put("/mdworkbench/server/state?value=suspended")
        assert answer.status_code == 401


@pytest.mark.parametrize("token", [True, False], ids=["token", "certificate"])
async def test_others_are_who_they_say(
    tmp_path: Path, authority: Authority, *, token: bool
) -> None:
    async with site(tmp_path, authority, token=token) as here:
        shown = {"authorization": f"Bearer {here.token}"}
        answer = await here.http.get("/v1/caller", headers=shown)
        assert answer.json()["principal"] == "ada", answer.text
        assert (await here.http.get("/readyz")).status_code == 200
        stored = await here.http.post("/mdworkbench/storage", content=b"a")
        assert (await here.http.get(stored.headers["content-location"])).content == b"a"
