from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from longshore.client import Relay
from longshore.gateway.callers import Way
from longshore.gateway.dialects import Gateway
from longshore.gateway.links import Links
from longshore.gateway.serving import serving
from longshore.gateway.settings import GatewaySettings, Mount
from tests.gateway.workbench import ADMIN, workbench

UNKNOWN = "0198c2d4-0000-7000-8000-000000000000"
CALLS = [
    ("GET", "/launch"),
    ("POST", "/launch?id=naming"),
    ("PUT", f"/launch?id={UNKNOWN}&direction=top"),
    ("GET", f"/launch/{UNKNOWN}"),
    ("DELETE", f"/launch/{UNKNOWN}"),
    ("GET", f"/launch/{UNKNOWN}/files"),
    ("GET", "/service"),
    ("GET", "/service/naming"),
    ("POST", "/storage"),
    ("GET", f"/storage/{UNKNOWN}"),
    ("PUT", f"/storage/{UNKNOWN}"),
    ("DELETE", f"/storage/{UNKNOWN}"),
    ("GET", "/server/state"),
    ("PUT", "/server/state?value=active"),
]


@asynccontextmanager
async def alone(
    server: str, token: str, timeout: float = 30.0
) -> AsyncGenerator[httpx.AsyncClient]:
    """Run a gateway in front of a server as it is, with such a token of its own."""
    settings = GatewaySettings(
        listen="127.0.0.1:0", mounts={"mdworkbench": Mount("/mdworkbench")}
    )
    async with Relay(server, timeout=timeout) as relay:
        way = Way(relay, lambda: {"authorization": f"Bearer {token}"})
        parts = Gateway(settings, way, Links(settings))
        async with (
            serving(parts, grace_seconds=1) as address,
            httpx.AsyncClient(base_url=f"http://{address}/mdworkbench", timeout=30) as http,
        ):
            yield http


async def test_without_a_server_everything_is_503_for_a_while() -> None:
    async with alone("127.0.0.1:1", "lsk_x", timeout=1) as http:
        for method, path in CALLS:
            answer = await http.request(method, path, auth=ADMIN)
            assert answer.status_code == 503, (method, path)
            assert answer.headers["retry-after"] == "5"
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["status"] == 503


async def test_a_gateway_that_nobody_knows_is_its_own_fault_not_the_clients(
    tmp_path: Path,
) -> None:
    async with workbench(tmp_path) as here, alone(here.world.server_address, "lsk_x") as http:
        answer = await http.get(f"/launch/{UNKNOWN}", headers={"x-request-id": "r-1"})
        assert (answer.status_code, answer.json()) == (
            500,
            {"status": 500, "message": "internal error; the log has it as request r-1"},
        )
        assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("charset", ["idna", "punycode", "utf-7", "unicode_escape", "none"])
async def test_forms_in_strange_charsets_are_read_or_refused(
    tmp_path: Path, charset: str
) -> None:
    async with workbench(tmp_path) as here:
        part = b'--x\r\ncontent-disposition: form-data; name="folder"\r\n\r\n%s\r\n--x--\r\n'
        for text in (b"xn--\xff", b"+2AA-", b"\\ud800", b"a..b", b"xn--" + b"a" * 70):
            answer = await here.ask(
                "POST",
                "/launch?id=naming",
                headers={"content-type": f"multipart/form-data; boundary=x; charset={charset}"},
                content=part % text,
            )
            assert answer.status_code in (200, 400), answer.text
