from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore.gateway.settings import GatewaySettings, Limits
from longshore.v1.server_service_pb2 import SERVER_MODE_ACTIVE
from tests.gateway.test_mdworkbench_launch import refused
from tests.gateway.workbench import Workbench, workbench

UNKNOWN = "0198c2d4-0000-7000-8000-000000000000"


async def stored(here: Workbench, **fields: Any) -> str:
    answer = await here.ask("POST", "/storage", **fields)
    assert (answer.status_code, answer.content) == (200, b""), answer.text
    return answer.headers["content-location"]


async def test_bytes_are_stored_and_given_back_with_their_headers(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        location = await stored(
            here,
            content=b"\x1f\x8bnot really",
            headers={
                "content-type": "application/x-model; version=2",
                "content-encoding": "x-own",
                "content-disposition": 'attachment; filename="mödel.bin"'.encode("latin-1"),
                "content-expiration": "3600",
            },
        )
        assert location.startswith(f"{here.base}/storage/")
        answer = await here.ask("GET", location)
        assert answer.status_code == 200
        assert answer.content == b"\x1f\x8bnot really"
        kept = int(answer.headers["content-expiration"])
        assert 3590 < kept <= 3600
        del answer.headers["date"], answer.headers["x-request-id"]
        assert dict(answer.headers) == {
            "content-type": "application/x-model; version=2",
            "content-length": "12",
            "content-encoding": "x-own",
            "content-disposition": 'attachment; filename="mödel.bin"',
            "content-expiration": str(kept),
            "content-security-policy": "sandbox; default-src 'none'",
            "x-content-type-options": "nosniff",
        }


async def test_a_storage_expires_after_half_an_hour_unless_it_is_kept(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        usual = await stored(here, content=b"a")
        forever = await stored(here, content=b"b", headers={"content-expiration": "-1"})
        least = {"content-expiration": str(-(2**63))}
        longer = await stored(here, content=b"c", headers=least)
        told = (await here.ask("GET", usual)).headers
        assert 1790 < int(told["content-expiration"]) <= 1800
        assert told["content-type"] == "application/octet-stream"
        for one in (forever, longer):
            assert (await here.ask("GET", one)).headers["content-expiration"] == "-1"
        here.world.clock.move(31 * 60 * 1_000)
        assert (await here.ask("GET", usual)).status_code == 404
        assert (await here.ask("GET", forever)).content == b"b"


async def test_an_expiration_that_is_no_number_is_400(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        for text in ("soon", "1.5", "", "9" * 30):
            answer = await here.ask(
                "POST", "/storage", content=b"a", headers={"content-expiration": text}
            )
            refused(answer, 400, "Content-Expiration is a number of seconds")


async def test_of_a_form_the_first_file_is_stored(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        location = await stored(
            here,
            files=[
                ("note", (None, "is no file")),
                ("one", ("../a.txt", b"first", "text/plain")),
                ("two", ("b.txt", b"second", "text/plain")),
            ],
            headers={"content-expiration": "60"},
        )
        answer = await here.ask("GET", location)
        assert answer.content == b"first"
        assert answer.headers["content-type"] == "text/plain"
        assert int(answer.headers["content-expiration"]) <= 60
        assert (await here.root.files.get(location.rpartition("/")[2])).path == "a.txt"
        none = await here.ask("POST", "/storage", files={"note": (None, "is no file")})
        refused(none, 400, "the form has no file")


async def test_a_storage_is_replaced_with_its_headers(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        location = await stored(here, content=b"old", headers={"content-encoding": "x-own"})
        answer = await here.ask(
            "PUT", location, content=b"newer", headers={"content-type": "text/csv"}
        )
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-location"] == location
        now = await here.ask("GET", location)
        assert now.content == b"newer"
        assert now.headers["content-type"] == "text/csv"
        assert "content-encoding" not in now.headers
        form = await here.ask("PUT", location, files={"file": ("c.txt", b"newest")})
        assert form.status_code == 200
        assert (await here.ask("GET", location)).content == b"newest"


async def test_a_storage_is_removed(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        location = await stored(here, content=b"a")
        answer = await here.ask("DELETE", location)
        assert (answer.status_code, answer.content) == (200, b"")
        for method in ("GET", "PUT", "DELETE"):
            assert (await here.ask(method, location)).status_code == 404


async def test_what_names_no_storage_is_404(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        for method in ("GET", "PUT", "DELETE"):
            refused(await here.ask(method, "/storage/1"), 404, "no storage matches '1'")
            assert (await here.ask(method, f"/storage/{UNKNOWN}")).status_code == 404


async def test_what_a_launch_made_or_takes_is_neither_replaced_nor_removed(
    tmp_path: Path,
) -> None:
    async with workbench(tmp_path) as here:
        await here.suspend()
        taken = await stored(here, content=b"a")
        await here.launch("counting", table=taken)
        assert (await here.ask("DELETE", taken)).status_code == 409
        here.open.set()
        await here.root.server.set_mode(SERVER_MODE_ACTIVE)
        made = (await here.ended(await here.launch(folder="full")))["result"]["files"][0]
        for method in ("PUT", "DELETE"):
            answer = await here.ask(method, made["uri"], content=b"x")
            assert answer.status_code == 409
            assert answer.json()["status"] == 409
        assert (await here.ask("GET", made["uri"])).content == b"seven names"


async def test_storages_hold_nothing_and_much(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        empty = await stored(here)
        answer = await here.ask("GET", empty)
        assert (answer.content, answer.headers["content-length"]) == (b"", "0")
        much = bytes(range(256)) * 20_000
        location = await stored(here, content=much)
        assert (await here.ask("GET", location)).content == much
        form = await stored(here, files={"file": ("a.bin", much)})
        assert (await here.ask("GET", form)).content == much


async def test_more_than_may_be_uploaded_is_413(tmp_path: Path) -> None:
    settings = GatewaySettings(limits=Limits(upload_bytes=1_000))
    async with workbench(tmp_path, settings) as here:

        async def pieces() -> Any:
            for _ in range(11):
                yield b"x" * 100

        assert (await here.ask("POST", "/storage", content=b"x" * 1_000)).status_code == 200
        for answer in (
            await here.ask("POST", "/storage", content=b"x" * 1_001),
            await here.ask("POST", "/storage", content=pieces()),
            await here.ask("POST", "/storage", files={"file": ("a", b"x" * 1_001)}),
            await here.ask("POST", "/launch?id=counting", files={"table": ("a", b"x" * 1_001)}),
        ):
            assert answer.status_code == 413, answer.text


async def test_an_upload_that_is_cut_leaves_nothing(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        location = await stored(here, content=b"whole")
        port = int(here.world.url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        path = location.removeprefix(here.world.url)
        head = f"PUT {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf"
        writer.write(head.encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await here.ask("GET", location)).content == b"whole"


async def test_bytes_that_are_damaged_are_never_given_as_whole(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        location = await stored(here, content=b"x" * 3_000_000)
        (blob,) = [one for one in tmp_path.glob("longshore.db.files/**/*") if one.is_file()]
        blob.write_bytes(b"x" * 2_999_999 + b"y")
        with pytest.raises(httpx.RemoteProtocolError):
            await here.ask("GET", location)
