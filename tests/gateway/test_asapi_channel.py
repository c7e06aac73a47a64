"""aschannel: frames of results, heartbeats, and what becomes of those who listen."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from longshore.gateway.asapi import channel
from tests.gateway.harness import WAYS
from tests.gateway.icloud import SUBMITTER, Entry, Icloud, icloud, quay

MIB = 1024 * 1024
STARTED = {"message": "The stream has started.", "code": "stream-started"}


@pytest.fixture(scope="module", params=WAYS)
async def cloud(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Icloud]:
    others = {
        name: Entry(name=name, roles=SUBMITTER, delivery="channel")
        for name in ("large", "late", "cut", "rivals", "silent", "gone")
    }
    viewer = Entry(name="viewer", roles=("viewer",))
    folder = tmp_path_factory.mktemp("channel")
    async with icloud(folder, None, way=request.param, viewer=viewer, **others) as found:
        for name in others:
            async with found.world.client(found.tokens[name]) as client:
                await client.catalog.register_account("icloud", "a@x.org")
        yield found


class Frame(NamedTuple):
    """A frame of a channel."""

    header: Mapping[str, Any]
    payload: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.payload)


class Listener:
    """Who listens, and reads frame by frame."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.heartbeats = 0
        self._pieces = answer.aiter_raw()
        self._read = b""

    async def frame(self) -> Frame:
        async with asyncio.timeout(30):
            while (line := await self._line()) == b"":
                self.heartbeats += 1
            header = await self._sized(line)
            return Frame(json.loads(header), await self._sized(await self._line()))

    async def heartbeat(self) -> None:
        async with asyncio.timeout(30):
            assert await self._line() == b""

    async def _line(self) -> bytes:
        while b"\r\n" not in self._read:
            self._read += await anext(self._pieces)
        line, _, self._read = self._read.partition(b"\r\n")
        return line

    async def _sized(self, line: bytes) -> bytes:
        size = int(line)
        parts = [self._read]
        while sum(map(len, parts)) < size:
            parts.append(await anext(self._pieces))
        read = b"".join(parts)
        self._read = read[size:]
        assert read[size - 2 : size] == b"\r\n"
        return read[: size - 2]


@asynccontextmanager
async def listening(
    cloud: Icloud, who: str = "carol", stream: str = ""
) -> AsyncGenerator[Listener]:
    """Listen to the channel of somebody, whose name it has unless it is told otherwise."""
    shown = cloud.shown(who)
    params = {"stream": stream or who}
    async with httpx.AsyncClient(timeout=30) as client:
        url = f"{cloud.world.url}/asapi/stream/"
        async with client.stream("GET", url, params=params, headers=shown) as answer:
            assert answer.status_code == 200
            listener = Listener(answer)
            first = await listener.frame()
            assert (first.header, first.json) == ({"type": "system"}, STARTED)
            yield listener


async def consume(cloud: Icloud, who: str, *ids: str) -> None:
    answer = await cloud.post("/results-consumed/", who, task_ids=list(ids))
    assert answer.json() == {"success": True}


async def test_results_come_in_frames(cloud: Icloud) -> None:
    async with listening(cloud, "carol", "carol-9") as listener:
        headers = dict(listener.answer.headers)
        assert headers.pop("date")
        assert headers.pop("x-request-id")
        assert headers == {
            "content-type": "application/octet-stream",
            "cache-control": "no-store",
            "x-accel-buffering": "no",
            "transfer-encoding": "chunked",
        }
        for text in ("hello", "é\r\n5\r\n", ""):
            task_id = await cloud.submit("carol", text=text)
            frame = await listener.frame()
            assert frame.header == {
                "type": "echo",
                "task_id": task_id,
                "total_chunks": 1,
                "chunk": 1,
                "chunk_size": MIB,
            }
            assert frame.json == {"text": text}
            assert (await cloud.entry(task_id, "carol"))["result_retrieved"] is False
            await consume(cloud, "carol", task_id)
            assert (await cloud.entry(task_id, "carol"))["result_retrieved"] is True


async def test_a_frame_is_byte_for_byte_as_documented(cloud: Icloud) -> None:
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream(
            "GET",
            f"{cloud.world.url}/asapi/stream/",
            params={"stream": "carol-9"},
            headers=cloud.shown("carol"),
        ) as answer,
    ):
        pieces = answer.aiter_raw()
        await expect(
            pieces,
            b'19\r\n{"type":"system"}\r\n'
            b'63\r\n{"message":"The stream has started.","code":"stream-started"}\r\n',
        )
        task_id = await cloud.submit("carol", text="x")
        header = (
            b'{"type":"echo","task_id":"%b","total_chunks":1,"chunk":1,"chunk_size":1048576}'
            % task_id.encode()
        )
        payload = b'{"text":"x"}'
        await expect(pieces, b"%d\r\n%b\r\n14\r\n%b\r\n" % (len(header) + 2, header, payload))
        await consume(cloud, "carol", task_id)


async def expect(pieces: AsyncIterator[bytes], expected: bytes) -> None:
    """Read what is expected, after any heartbeats."""
    read = b""
    async with asyncio.timeout(30):
        while len(read) < len(expected):
            read = (read + await anext(pieces)).lstrip(b"\r\n")
    assert read == expected


async def test_what_failed_is_framed_as_json(cloud: Icloud) -> None:
    async with listening(cloud) as listener:
        failed = await cloud.submit("carol", action="fail", why="the phone is off")
        frame = await listener.frame()
        assert frame.json == {
            "message": "the phone is off",
            "success": False,
            "error": "task-failed",
        }
        assert frame.header == {
            "type": "fail",
            "task_id": failed,
            "total_chunks": 1,
            "chunk": 1,
            "chunk_size": len(frame.payload),
        }
        canceled = await cloud.submit("carol", action="wait", name="channel")
        async with cloud.world.client(cloud.tokens["carol"]) as client:
            await client.tasks.cancel(canceled, force=True)
        frame = await listener.frame()
        assert (frame.header["task_id"], frame.json["error"]) == (canceled, "task-canceled")
        async with quay(cloud, "carol") as worker:
            large = await cloud.submit("carol", service="quay", action="carry", account="q")
            await worker.run_next(text="x" * MIB)
            frame = await listener.frame()
        assert (frame.header["task_id"], frame.json["success"]) == (large, False)
        await consume(cloud, "carol", failed, canceled, large)


async def test_large_results_come_in_chunks(cloud: Icloud) -> None:
    async with listening(cloud, "large") as listener:
        task_id = await cloud.submit("large", action="save", mebibytes="3")
        content = bytearray()
        for chunk in (1, 2, 3):
            frame = await listener.frame()
            assert frame.header == {
                "type": "save",
                "task_id": task_id,
                "total_chunks": 3,
                "chunk": chunk,
                "chunk_size": MIB,
            }
            content[MIB * (chunk - 1) :] = frame.payload
        assert content == b"".join(bytes([index]) * MIB for index in range(3))


async def test_who_comes_late_misses_nothing_and_hears_nothing_again_that_was_consumed(
    cloud: Icloud,
) -> None:
    ids = [await cloud.submit("late", text=str(index)) for index in range(3)]
    for one in ids:
        await cloud.ended(one, "late")
    for _ in range(2):
        async with listening(cloud, "late") as listener:
            seen = {(await listener.frame()).header["task_id"] for _ in ids}
            assert seen == set(ids)
    await consume(cloud, "late", ids[0], ids[2])
    async with listening(cloud, "late") as listener:
        assert (await listener.frame()).header["task_id"] == ids[1]
    await consume(cloud, "late", ids[1])


async def test_who_is_cut_off_within_a_result_gets_it_from_its_beginning(cloud: Icloud) -> None:
    task_id = await cloud.submit("cut", action="save", mebibytes="30")
    await cloud.ended(task_id, "cut")
    async with listening(cloud, "cut") as listener:
        assert (await listener.frame()).header["chunk"] == 1
    async with listening(cloud, "cut") as listener:
        for chunk in range(1, 31):
            assert (await listener.frame()).header["chunk"] == chunk
    await consume(cloud, "cut", task_id)


async def test_a_new_listener_takes_over_and_the_old_one_is_told_and_broken_off(
    cloud: Icloud,
) -> None:
    async with listening(cloud, "rivals") as old, listening(cloud, "rivals") as new:
        frame = await old.frame()
        assert frame.header == {"type": "system"}
        assert frame.json == {
            "message": "Another listener has taken over.",
            "code": "stream-taken",
        }
        # As if the network broke: at a good end clients would be back at once, for ever.
        with pytest.raises(httpx.RemoteProtocolError):
            await old.frame()
        task_id = await cloud.submit("rivals")
        assert (await new.frame()).header["task_id"] == task_id


async def test_a_silent_channel_says_that_it_lives(
    cloud: Icloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "SILENCE_SECONDS", 0.05)
    async with listening(cloud, "silent") as listener:
        for _ in range(5):
            await listener.heartbeat()
        task_id = await cloud.submit("silent")
        assert (await listener.frame()).header["task_id"] == task_id
        await listener.heartbeat()


async def test_heartbeats_come_every_few_seconds(cloud: Icloud) -> None:
    async with listening(cloud, "silent") as listener:
        await listener.frame()
        # On a busy machine one may be late, but not one after the other.
        for _ in range(4):
            begun = time.monotonic()
            await listener.heartbeat()
            if time.monotonic() - begun < 9:
                return
    raise AssertionError("they come more seldom")


async def test_who_leaves_is_no_listener_any_more(
    cloud: Icloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = asyncio.Event()
    streams = cloud.world.engine.streams
    close = streams.close

    def closed(listener: Any) -> None:
        close(listener)
        left.set()

    monkeypatch.setattr(streams, "close", closed)
    async with listening(cloud, "gone") as listener:
        task_id = await cloud.submit("gone")
        assert (await listener.frame()).header["task_id"] == task_id
        left.clear()
    await asyncio.wait_for(left.wait(), 20)


@pytest.mark.parametrize("stream", ["", "stan-7", "nobody"])
async def test_a_stream_that_is_none_of_the_tokens_is_invalid(
    cloud: Icloud, stream: str
) -> None:
    answer = await cloud.get("/stream/", "carol", params={"stream": stream})
    assert answer.status_code == 400
    assert answer.json() == {
        "message": f"Invalid stream value: {stream}",
        "success": False,
        "error": "invalid",
    }
    assert (await cloud.get("/stream/", "carol")).status_code == 400


async def test_who_may_not_listen_is_told_before_the_stream_starts(
    cloud: Icloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "_REFUSAL_SECONDS", 30.0)  # However busy the machine is.
    answer = await cloud.get("/stream/", "viewer", params={"stream": "viewer"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Token")
    assert answer.json() == {
        "message": "this needs the role submitter",
        "success": False,
        "error": "not-permitted",
    }


async def test_the_stream_may_stand_in_the_body_of_the_get(cloud: Icloud) -> None:
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream(
            "GET",
            f"{cloud.world.url}/asapi/stream",
            headers=cloud.shown("carol"),
            data={"stream": "carol-9"},
        ) as answer,
    ):
        assert answer.status_code == 200
        assert (await Listener(answer).frame()).json == STARTED


async def test_a_gateway_that_leaves_breaks_its_channels_off(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        async with icloud(tmp_path) as cloud:
            listener = await stack.enter_async_context(listening(cloud))
        with pytest.raises(httpx.RemoteProtocolError):
            await listener.frame()
