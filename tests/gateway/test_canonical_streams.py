from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from starlette.types import Message

from longshore.client.streams import Stream
from longshore.gateway.canonical import streams
from longshore.gateway.canonical.departures import Departure
from longshore.gateway.canonical.framings import Events, Raw
from longshore.gateway.canonical.streams import send_stream
from longshore.v1.file_service_pb2 import DownloadFileResponse
from longshore.v1.operation_pb2 import End, File
from longshore.v1.task_service_pb2 import StreamResultsResponse, Task, WatchTasksResponse
from tests.gateway.canonical import Site, lines, site
from tests.gateway.harness import WAYS

EVENTS = {"accept": "text/event-stream"}


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=WAYS)
async def here(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Site]:
    async with site(tmp_path_factory.mktemp("streams"), way=request.param) as made:
        yield made


async def events(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """Yield server-sent events by their fields; comments are events as well."""
    found: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            found[name] = value.strip()
        elif found:
            yield found
            found = {}


async def test_a_watch_is_lines_of_json_as_things_happen(here: Site) -> None:
    revision = (await here.good("GET", "/v1/tasks?page_size=1"))["revision"]
    path = f"/v1/tasks:watch?after_revision={revision}&view=VIEW_BASIC"
    async with here.world.http.stream("GET", path) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert answer.headers["cache-control"] == "no-store"
        task_id = await here.submit()
        ids = list[str]()
        async for line in answer.aiter_lines():
            changes = json.loads(line)["result"]["changes"]
            ids += [change["event"]["operationId"] for change in changes]
            if changes and "task" in changes[-1]:
                break
    assert set(ids) == {task_id}


async def test_a_watch_is_server_sent_events_for_who_asks_for_them(here: Site) -> None:
    task_id = await here.submit()
    await here.ended(task_id)
    path = f"/v1/tasks:watch?ids={task_id}&after_revision=0"
    async with here.world.http.stream("GET", path, headers=EVENTS) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        found = [event async for event in events(answer) if "data" in event]
    for event in found:
        assert json.loads(event["data"])["result"]["revision"] == event["id"]
    assert json.loads(found[-1]["data"])["result"]["end"] == "END_DONE"


async def test_events_go_on_after_the_last_that_was_seen(here: Site) -> None:
    first_id = await here.submit()
    await here.ended(first_id)
    path = f"/v1/tasks:watch?ids={first_id}"
    async with here.world.http.stream("GET", path + "&after_revision=0", headers=EVENTS) as one:
        await anext(events(one))
    history = await here.good("GET", f"/v1/any/{first_id}/history")
    middle = history["events"][1]["revision"]
    headers = {**EVENTS, "last-event-id": middle}
    async with here.world.http.stream(
        "GET", path + "&after_revision=0", headers=headers
    ) as two:
        seen = [
            change["event"]["revision"]
            async for event in events(two)
            if "data" in event
            for change in json.loads(event["data"])["result"]["changes"]
        ]
    assert seen == [one["revision"] for one in history["events"][2:]]
    answer = await here.ask("GET", path, headers={**EVENTS, "last-event-id": "odd"})
    assert answer.status_code == 400
    assert answer.json()["details"][1]["fieldViolations"][0]["field"] == "Last-Event-ID"


async def test_who_has_nothing_to_be_told_gets_a_sign_of_life(
    here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_FIRST_SECONDS", 0.01)
    monkeypatch.setattr(streams, "_SILENCE_SECONDS", 0.01)
    revision = (await here.good("GET", "/v1/tasks?page_size=1"))["revision"]
    path = f"/v1/any:watch?filter=submitter=nobody&after_revision={revision}"
    async with here.world.http.stream("GET", path, headers=EVENTS) as answer:
        comments = events(answer)
        assert [await anext(comments) for _ in range(3)] == [{"": ""}] * 3


async def test_a_stream_that_fails_at_once_is_answered_with_the_status_of_the_failure(
    here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_FIRST_SECONDS", 30.0)  # However busy the machine is.
    for headers in ({}, EVENTS, {"accept": "image/png"}):
        answer = await here.ask("GET", "/v1/tasks/nobody/result", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (404, 5)
        assert answer.headers["content-type"] == "application/json"
    answer = await here.ask("GET", "/v1/tasks:watch?ids=nobody", headers=EVENTS)
    assert answer.json()["details"][0]["reason"] == "OPERATION_NOT_FOUND"


@pytest.mark.parametrize("headers", [{}, EVENTS])
async def test_a_stream_that_fails_later_ends_with_its_failure(
    here: Site, headers: dict[str, str]
) -> None:
    stream = (await here.good("GET", "/v1/caller"))["stream"]
    task_id = await here.submit(delivery="DELIVERY_MODE_CHANNEL")
    path = f"/v1/tasks:streamResults?stream={stream}"
    async with here.world.http.stream("GET", path, headers=headers) as old:
        shown = old.aiter_lines()
        await anext(shown)
        async with here.world.http.stream("GET", path) as new:
            await anext(new.aiter_lines())
            told = [line async for line in shown if line]
    failed = json.loads(told[-1].removeprefix("data: "))
    assert failed["error"]["code"] == 10
    assert failed["error"]["details"][0]["reason"] == "STREAM_TAKEN"
    await here.good("POST", "/v1/tasks:acknowledgeResults", {"ids": [task_id]})


async def test_a_client_that_goes_away_ends_the_call(here: Site) -> None:
    path = "/v1/any:watch?filter=submitter=ada"
    before = _watched(here)
    async with here.world.http.stream("GET", path) as answer:
        await anext(answer.aiter_lines())
        async with asyncio.timeout(30):
            while not (asked := _watched(here) - before):
                await asyncio.sleep(0.01)
    async with asyncio.timeout(30):
        while asked & _watched(here):
            await asyncio.sleep(0.01)


def _watched(here: Site) -> set[object]:
    """Return the questions that are asked by watches, of which those of others may end."""
    return {*here.world.engine.feed._by_matcher}  # pyright: ignore[reportPrivateUsage]


async def test_what_nobody_waits_for_any_more_is_cancelled() -> None:
    gone = asyncio.Event()

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def call() -> bool:
        with Departure(receive) as departure:
            gone.set()
            await asyncio.Event().wait()
        return departure.gone

    assert await asyncio.wait_for(call(), 30)


async def test_who_cancels_an_answer_from_within_is_obeyed() -> None:
    async def receive() -> Message:
        raise AssertionError("nobody looks so soon")

    async def call() -> None:
        with Departure(receive):
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Pieces(Stream):
    """A file without an end, that counts how much of it was read."""

    def __init__(self) -> None:
        self.read_so_far = 0
        self.cancelled = False

    async def read(self) -> object:
        self.read_so_far += 1
        return DownloadFileResponse(data=b"x" * 1024)

    def cancel(self) -> bool:
        self.cancelled = True
        return True


async def test_no_more_is_read_than_the_client_takes() -> None:
    taken = 0
    full = asyncio.Event()

    async def send(message: Message) -> None:
        nonlocal taken
        taken += len(message.get("body", b""))
        if taken >= 5 * 1024:
            full.set()
            await asyncio.Event().wait()

    pieces = Pieces()
    sending = asyncio.create_task(send_stream(pieces, Raw(), {"method": "GET"}, send))
    await full.wait()
    for _ in range(100):
        await asyncio.sleep(0)
    assert pieces.read_so_far <= 6
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert pieces.cancelled


async def test_a_file_is_sent_as_it_is_to_who_does_not_ask_for_json(here: Site) -> None:
    data = os.urandom(300_000)
    file = await here.ada.files.upload(
        data,
        path="a/scan.png",
        content_type="image/png",
        content_disposition='inline; filename="scan.png"',
    )
    path = f"/v1/files/{file.file_id}:download"
    for accept in ("image/png", "text/html,image/*,*/*;q=0.8"):
        answer = await here.ask("GET", path, headers={"accept": accept})
        assert answer.content == data
        headers = dict(answer.headers)
        assert headers.pop("date")
        assert headers.pop("x-request-id")
        assert headers == {
            "content-type": "image/png",
            "content-disposition": 'inline; filename="scan.png"',
            "content-length": "300000",
            "cache-control": "no-store",
            "content-security-policy": "sandbox",
            "x-content-type-options": "nosniff",
        }
    head = await here.ask("HEAD", path, headers={"accept": "image/png"})
    assert (head.headers["content-length"], head.content) == ("300000", b"")
    for accept in ("*/*", "application/json"):
        pieces = lines(await here.ask("GET", path, headers={"accept": accept}))
        assert pieces[0]["result"]["file"]["path"] == "a/scan.png"
        assert b"".join(base64.b64decode(one["result"]["data"]) for one in pieces) == data


async def test_an_empty_file_and_one_that_is_encoded_keep_what_is_known_of_them(
    here: Site,
) -> None:
    file = await here.ada.files.upload(b"", content_type="text/html", content_encoding="gzip")
    path = f"/v1/files/{file.file_id}:download"
    headers = {"accept": "text/html", "accept-encoding": "gzip"}
    async with here.world.http.stream("GET", path, headers=headers) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["content-length"] == "0"
        assert answer.headers["content-disposition"] == "attachment"
        assert [chunk async for chunk in answer.aiter_raw()] == []


async def test_a_result_is_sent_as_it_is(here: Site) -> None:
    task_id = await here.submit()
    await here.ended(task_id)
    answer = await here.ask("GET", f"/v1/tasks/{task_id}/result", headers={"accept": "text/*"})
    assert answer.json() == {"greeting": "Hello, Ada!"}
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("way", WAYS)
async def test_a_file_that_turns_out_to_be_damaged_is_cut_or_told(
    tmp_path: Path, way: str
) -> None:
    async with site(tmp_path, way=way) as here:
        file = await here.ada.files.upload(os.urandom(4 * 1024 * 1024), path="a.bin")
        (stored,) = (one for one in tmp_path.rglob("*") if _size(one) == 4 * 1024 * 1024)
        with stored.open("r+b") as content:
            content.seek(-10, os.SEEK_END)
            content.write(b"damaged")
        path = f"/v1/files/{file.file_id}:download"
        with pytest.raises(httpx.RemoteProtocolError):
            await here.ask("GET", path, headers={"accept": "application/octet-stream"})
        answer = await here.ask("GET", path)
        assert answer.status_code == 200
        told = lines(answer)
        assert set(told[0]) == {"result"}
        assert told[-1]["error"]["details"][0]["reason"] == "FILE_DAMAGED"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


async def test_a_result_in_chunks_can_be_resumed_only_after_the_last_of_them() -> None:
    framing = Events()
    chunk = StreamResultsResponse(revision=9, task=Task(), chunk=1, total_chunks=2, data=b"a")
    assert framing.message(chunk).startswith(b"data: ")
    chunk.chunk = 2
    assert framing.message(chunk).startswith(b"id: 9\ndata: ")
    nothing = StreamResultsResponse(revision=9, task=Task())
    assert framing.message(nothing).startswith(b"id: 9\ndata: ")
    assert framing.message(StreamResultsResponse()) == b":\n\n"
    assert framing.message(WatchTasksResponse(end=End.END_DONE)).startswith(b"data: ")


@pytest.mark.parametrize(
    "file, headers",
    [
        (File(content_type="text/html; charset=utf-8"), "text/html; charset=utf-8"),
        (File(content_type="no type"), "application/octet-stream"),
        (File(content_type="a/b\r\nx: y"), "application/octet-stream"),
    ],
)
def test_what_others_say_of_files_is_no_header_of_another_kind(
    file: File, headers: str
) -> None:
    framing = Raw()
    file.content_disposition = "x\r\ny"
    framing.message(DownloadFileResponse(file=file))
    assert framing.headers()["content-type"] == headers
    assert framing.headers()["content-disposition"] == "attachment"
