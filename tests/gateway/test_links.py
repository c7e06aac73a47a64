"""How things are called from outside, wherever they stand and whoever stands before them."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from longshore.gateway.links import Links
from longshore.gateway.running import Entrance, running
from longshore.gateway.settings import CallbackRules, GatewaySettings, Mount, TlsFiles
from longshore.worker import Worker
from tests.gateway.harness import World, gateway, kept_port
from tests.gateway.outbound import LOOPBACK, OWN
from tests.gateway.receiver import receiver

TLS = TlsFiles(Path("cert.pem"), Path("key.pem"))


@pytest.mark.parametrize(
    "mount, standing",
    [
        ("/mdworkbench", "https://work.example.org:8443/front/mdworkbench"),
        ("/", "https://work.example.org:8443/front"),
        ("mdw.example.org/", "https://mdw.example.org:8443"),
        ("mdw.example.org/mdworkbench", "https://mdw.example.org:8443/mdworkbench"),
        (":8001/", "https://work.example.org:8001"),
        (":8001/mdworkbench", "https://work.example.org:8001/mdworkbench"),
    ],
)
def test_what_stands_elsewhere_has_the_rest_of_the_public_url(
    mount: str, standing: str
) -> None:
    settings = GatewaySettings(
        public_url="https://work.example.org:8443/front/", mounts={"one": Mount.parse(mount)}
    )
    assert Links(settings).of("one").standing() == standing


@pytest.mark.parametrize(
    "listen, mount, tls, standing",
    [
        ("127.0.0.1:8080", "/m", None, "http://127.0.0.1:8080/m"),
        ("[::1]:8080", "/m", None, "http://[::1]:8080/m"),
        ("10.0.0.7:80", "/m", None, "http://10.0.0.7/m"),
        ("10.0.0.7:443", "/m", TLS, "https://10.0.0.7/m"),
        ("10.0.0.7:80", "/m", TLS, "https://10.0.0.7:80/m"),
        ("127.0.0.1:8080", ":8001/", TLS, "https://127.0.0.1:8001"),
        ("127.0.0.1:8080", "old.example.org/", None, "http://old.example.org:8080"),
        ("0.0.0.0:443", "old.example.org/", TLS, "https://old.example.org"),
        ("0.0.0.0:8080", "/m", None, f"http://{socket.gethostname()}:8080/m"),
        ("[::]:8080", ":8001/", None, f"http://{socket.gethostname()}:8001"),
    ],
)
def test_without_a_public_url_things_are_where_the_gateway_listens(
    listen: str, mount: str, tls: TlsFiles | None, standing: str
) -> None:
    settings = GatewaySettings(listen=listen, tls=tls, mounts={"one": Mount.parse(mount)})
    assert Links(settings).of("one").standing() == standing


def test_what_is_not_mounted_is_linked_to_where_it_would_stand() -> None:
    settings = GatewaySettings(mounts={}, public_url="https://work.example.org")
    assert Links(settings).of("vitam").standing() == "https://work.example.org/vitam/v1"
    assert Links(settings).standing() == "https://work.example.org"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_a_callback_tells_the_port_that_was_chosen_for_0(
    tmp_path: Path, host: str
) -> None:
    settings = GatewaySettings(
        listen=f"{host}:0", callbacks=CallbackRules(allowed_networks=LOOPBACK)
    )
    worker = Worker("hand")

    @worker.operation("clean")
    async def clean() -> None: ...  # pyright: ignore[reportUnusedFunction]

    async with gateway(tmp_path, None, "none", own=replace(OWN, name="own")) as (world, tokens):
        await world.work(worker)
        entrance = Entrance(servers=world.server_address, token=tokens["own"])
        async with running(settings, entrance, 1) as address, receiver() as called:
            port = address.rpartition(":")[2]
            async with httpx.AsyncClient(timeout=30) as http:
                answer = await http.post(
                    f"http://127.0.0.1:{port}/mdworkbench/launch?id=clean",
                    headers={"status-location": f"http://127.0.0.1:{called.port}/"},
                )
            (call,) = await called.called()
    launch = json.loads(call.body)
    name = host if host == "127.0.0.1" else socket.gethostname()
    assert launch["uri"] == f"http://{name}:{port}/mdworkbench/launch/{launch['id']}"
    assert answer.headers["content-location"].endswith(f"/mdworkbench/launch/{launch['id']}")
    if host == "127.0.0.1":
        assert launch["uri"] == answer.headers["content-location"]


@pytest.mark.parametrize("public_url", ["", "https://work.example.org:8443/front"])
async def test_a_dialect_on_a_host_or_a_port_of_its_own_links_to_itself(
    tmp_path: Path, public_url: str
) -> None:
    with kept_port() as port:
        settings = GatewaySettings(
            public_url=public_url,
            mounts={
                "mdworkbench": Mount.parse("mdw.example.org/"),
                "ehealth": Mount.parse(f":{port}/"),
            },
        )
        async with gateway(tmp_path, settings, "mdworkbench", "ehealth") as (world, _):
            shared = world.url.rpartition(":")[2]
            headers = {"host": f"mdw.example.org:{shared}"}
            stored = await world.http.post("/storage", headers=headers)
            failed = await world.http.get(f"http://127.0.0.1:{port}/patients/x")
    origins = {
        "": (f"http://mdw.example.org:{shared}", f"http://127.0.0.1:{port}"),
        "https://work.example.org:8443/front": (
            "https://mdw.example.org:8443",
            f"https://work.example.org:{port}",
        ),
    }[public_url]
    assert stored.headers["content-location"].startswith(f"{origins[0]}/storage/")
    assert failed.json()["meta"]["url"] == f"{origins[1]}/patients/x"


NO_HOSTS = (
    *(b"[", b"[::1", b"[::1::2]", b"[1.2.3.4]", b"a b", b"a/b", b"a?b", b"a#b", b"u@a", b'"'),
    *(b"a:1:2", b"a:x", "ü".encode(), b"a\r\nHost: b", b"a\r\nHost: a"),
)


async def test_a_host_of_which_no_link_can_be_made_is_400(tmp_path: Path) -> None:
    async with gateway(tmp_path, None, "dataone", "ehealth", "mdworkbench") as (world, _):
        for path in ("ghibli-rest/v2/job-manager/jobs", "ehealth/x", "mdworkbench/service"):
            for host in NO_HOSTS:
                said = await _raw(
                    world, b"GET /%s HTTP/1.1\r\nHost: %s\r\n" % (path.encode(), host)
                )
                assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n"), (path, host)
                assert b"x-request-id: " in said


async def test_hosts_are_names_and_addresses_and_may_be_missing(tmp_path: Path) -> None:
    async with gateway(tmp_path, None, "ehealth") as (world, _):
        port = world.url.rpartition(":")[2]
        for host, shown in {
            b"Host: EXAMPLE.org": "EXAMPLE.org",
            b"Host: a_b:8080": "a_b:8080",
            b"Host: [2001:db8::7]:80": "[2001:db8::7]:80",
            b"Host:": f"127.0.0.1:{port}",
            b"X: y": f"127.0.0.1:{port}",
        }.items():
            said = await _raw(world, b"GET /ehealth/x HTTP/1.1\r\n%s\r\n" % host)
            assert f'"url":"http://{shown}/ehealth/x"'.encode() in said


async def _raw(world: World, head: bytes) -> bytes:
    """Return what is answered to a head that lacks its end."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", int(world.url.rpartition(":")[2])
    )
    writer.write(head + b"Connection: close\r\n\r\n")
    try:
        async with asyncio.timeout(30):
            return await reader.read()
    finally:
        writer.close()
