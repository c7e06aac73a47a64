"""Files of actions, over real channels; the server's side is played by the test."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import sqlite3
import threading
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from longshore.client import from_struct
from longshore.v1 import worker_service_pb2 as work
from longshore.worker import ActionError, Context, File, Worker
from tests.service.harness import PATIENCE_SECONDS
from tests.tools.peer import Stream, peer
from tests.tools.proxy import Proxy
from tests.tools.shelf import MIB, Shelf, status

worker = Worker("tests", slots=4, identity="me")

begun = threading.Event()
let_go = threading.Event()
ended = threading.Event()


# What is saved.


@worker.action
async def save_here(kind: str, path: str, context: Context) -> dict[str, Any]:
    Path(path).write_bytes(b"a file")

    async def drawn() -> AsyncGenerator[bytes]:
        yield b"from "
        yield b"far away"

    sources: dict[str, Any] = {
        "bytes": b"plain",
        "bytearray": bytearray(b"changeable"),
        "nothing": b"",
        "path": path,
        "open": io.BytesIO(b"open"),
        "iterator": iter([b"one, ", b"two"]),
        "async": drawn(),
    }
    info = await context.save_file(f"out/{kind}.csv", sources[kind])
    return {"path": info.path, "size": info.size, "sha256": info.sha256}


@worker.action
def save_in_a_thread(path: str, context: Context) -> list[str]:
    Path(path).write_bytes(b"a file")
    with closing(sqlite3.connect(":memory:")) as database:  # which only its own thread may use
        rows = database.execute("VALUES (1), (2), (3)")
        context.save_file("rows.txt", (b"%d\n" % row for row in rows))
    context.save_file("bytes.bin", b"plain", "text/x-plain")
    with Path(path).open("rb") as file:
        context.save_file("open", file)
    return [context.save_file("path", Path(path)).info.path]


@worker.action(executor="process")
def save_in_a_process(path: str, context: Context) -> dict[str, Any]:
    Path(path).write_bytes(b"a file")
    context.save_file("bytes.bin", b"plain")
    context.save_file("lines", (b"%d\n" % number for number in range(3)))
    info = context.save_file("path", os.path.relpath(path)).info
    return {"pid": os.getpid(), "size": info.size}


@worker.action
async def save_and_forget(context: Context, names: list[str]) -> str:
    for name in names:
        context.save_file(name, name.encode())
    begun.set()
    return "done"


@worker.action
def save_in_own_threads(context: Context, names: list[str]) -> str:
    for name in names:
        threading.Thread(target=context.save_file, args=(name, name.encode())).start()
    assert let_go.wait(60)
    return "done"


@worker.action
async def save_and_catch(context: Context) -> str:
    try:
        await context.save_file("one", b"data")
    except ActionError as error:
        await context.save_file("one", b"other")
        return f"{error.code.name} {error.permanent}"
    return "not reached"


@worker.action
def save_in_a_thread_and_catch(context: Context) -> str:
    try:
        context.save_file("one", b"data")
    except ActionError as error:
        return f"{error.code.name} {error.permanent}"
    return "not reached"


@worker.action
async def save_under(context: Context, paths: list[str]) -> str:
    for path in paths:
        await context.save_file(path, b"data")
    return "saved"


@worker.action
async def save_much(context: Context, source: str) -> int:
    def pieces() -> Iterator[bytes]:
        for number in range(64):
            begun.set()
            yield b"%d" % (number % 10) * MIB

    if source == "iterator":
        return (await context.save_file("much", pieces())).size
    return (await context.save_file("much", b"".join(pieces()))).size


@worker.action
async def save_when_canceled(context: Context) -> str:
    try:
        begun.set()
        await context.save_file("first", b"data")
    except asyncio.CancelledError:
        await context.save_file("partial", b"what there is")
        return "partial"
    return "not reached"


@worker.action(executor="process")
def save_until_stopped(context: Context) -> None:
    context.save_file("first", b"data")


@worker.action
def save_text(context: Context) -> None:
    context.save_file("text", ["no bytes"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


@worker.action
async def save_a_number(context: Context) -> None:
    context.save_file("number", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# What is read.


@worker.action
async def read_here(file: File, to: str) -> dict[str, Any]:
    info = await file.info()
    chunks = [chunk async for chunk in file.chunks()]
    saved = await file.save(to)
    return {
        "id": file.id,
        "path": info.path,
        "size": info.size,
        "read": (await file.read()).decode(),
        "chunks": len(chunks),
        "saved": saved.read_text(),
        "place": str(saved),
    }


@worker.action
def read_in_a_thread(file: File, to: str) -> dict[str, Any]:
    chunks = list(file.chunks())
    for _ in file.chunks():
        break
    saved = file.save(to)
    return {
        "id": file.id,
        "path": file.info().path,
        "size": file.info().size,
        "read": file.read().decode(),
        "chunks": len(chunks),
        "saved": saved.read_text(),
        "place": str(saved),
    }


@worker.action(executor="process")
def read_in_a_process(file: File, to: str) -> dict[str, Any]:
    return read_in_a_thread(file, to)


@worker.action
def join(files: list[File], last: File | None = None) -> str:
    return "".join(one.read().decode() for one in [*files, *([last] if last else [])])


@worker.action
async def digest_of(file: File) -> str:
    digest = hashlib.sha256()
    async for chunk in file.chunks():
        digest.update(chunk)
        begun.set()
    return digest.hexdigest()


@worker.action
async def size_of(file: File) -> int:
    size = 0
    async for chunk in file.chunks():
        size += len(chunk)
    return size


@pytest.fixture(autouse=True)
def flags() -> Generator[None]:
    for flag in (begun, let_go, ended):
        flag.clear()
    yield
    let_go.set()


async def happened(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, PATIENCE_SECONDS)


@asynccontextmanager
async def connected() -> AsyncGenerator[tuple[Shelf, Stream]]:
    shelf = Shelf()
    async with peer(shelf.handler) as at:
        task = asyncio.create_task(worker.run(at.address, stopping=asyncio.Event()))
        try:
            yield shelf, await at.accept()
        finally:
            task.cancel()
            await asyncio.wait({task})


def results(report: work.Report) -> dict[str, Any]:
    assert report.HasField("completed"), report
    return from_struct(Struct.FromString(report.completed.results))


async def failure(stream: Stream) -> tuple[StatusCode, bool, str]:
    """Return how the attempt failed: the code, whether for good, and the message."""
    while not (report := await stream.settled()).HasField("failed"):
        assert report.HasField("log"), report
    code = next(one for one in StatusCode if one.value[0] == report.failed.error.code)
    return code, report.failed.permanent, report.failed.error.message


def lost() -> Status:
    error = Status(code=10, message="lost")
    error.details.add().Pack(ErrorInfo(reason="LEASE_LOST", domain="longshore.dev"))
    return error


@pytest.mark.parametrize(
    "kind, expected",
    [
        ("bytes", b"plain"),
        ("bytearray", b"changeable"),
        ("nothing", b""),
        ("path", b"a file"),
        ("open", b"open"),
        ("iterator", b"one, two"),
        ("async", b"from far away"),
    ],
)
async def test_a_coroutine_saves_whatever_holds_bytes(
    kind: str, expected: bytes, tmp_path: Path
) -> None:
    async with connected() as (shelf, stream):
        await stream.assign("save_here", {"kind": kind, "path": str(tmp_path / "source")})
        told = results(await stream.report())
        file = shelf.file(f"out/{kind}.csv")
        assert shelf.kept[file.path] == expected
        assert told == {"path": file.path, "size": len(expected), "sha256": file.sha256}
        [header] = shelf.headers
        assert (header.number, header.lease_token) == (1, 100)
        assert header.content_type == "text/csv"


async def test_a_thread_saves_files_and_draws_iterators_itself(tmp_path: Path) -> None:
    async with connected() as (shelf, stream):
        await stream.assign("save_in_a_thread", {"path": str(tmp_path / "source")})
        assert results(await stream.report()) == {"value": ["path"]}
        assert shelf.kept == {
            "rows.txt": b"1\n2\n3\n",
            "bytes.bin": b"plain",
            "open": b"a file",
            "path": b"a file",
        }
        assert [one.content_type for one in shelf.headers] == [
            "text/plain",
            "text/x-plain",
            "",
            "",
        ]


async def test_a_process_saves_files_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with connected() as (shelf, stream):
        await stream.assign("save_in_a_process", {"path": str(tmp_path / "source")})
        told = results(await stream.report())
        assert (told["size"], told["pid"] != os.getpid()) == (6, True)
        assert shelf.kept == {
            "bytes.bin": b"plain",
            "lines": b"0\n1\n2\n",
            "path": b"a file",
        }
        assert {one.lease_token for one in shelf.headers} == {100}
    assert [one.name for one in tmp_path.iterdir()] == ["source"]


async def test_what_is_not_awaited_is_saved_before_the_action_is_done() -> None:
    async with connected() as (shelf, stream):
        shelf.going_on.clear()
        await stream.assign("save_and_forget", {"names": ["a", "b"]})
        await happened(begun)
        await asyncio.wait_for(shelf.arrived.wait(), PATIENCE_SECONDS)
        await stream.assign("save_under", {"paths": []}, token=101)
        assert (await stream.report()).lease_token == 101
        shelf.going_on.set()
        assert results(await stream.report()) == {"value": "done"}
        assert shelf.kept == {"a": b"a", "b": b"b"}


async def test_what_threads_of_an_action_save_is_waited_for() -> None:
    async with connected() as (shelf, stream):
        shelf.going_on.clear()
        await stream.assign("save_in_own_threads", {"names": ["a", "b"]})
        while len(shelf.headers) < 2:
            await asyncio.wait_for(shelf.arrived.wait(), PATIENCE_SECONDS)
            shelf.arrived.clear()
        let_go.set()
        await stream.assign("save_under", {"paths": []}, token=101)
        assert (await stream.report()).lease_token == 101
        shelf.going_on.set()
        assert results(await stream.report()) == {"value": "done"}
        assert shelf.kept == {"a": b"a", "b": b"b"}


async def test_a_save_that_nobody_awaits_fails_the_action_when_it_fails() -> None:
    async with connected() as (shelf, stream):
        shelf.refusals.append(status(StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE"))
        await stream.assign("save_and_forget", {"names": ["a"]})
        code, permanent, message = await failure(stream)
        assert (code, permanent) == (StatusCode.UNAVAILABLE, False)
        assert message == "saving 'a': store_unavailable"


@pytest.mark.parametrize(
    "refusal, expected",
    [
        (status(StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE"), "UNAVAILABLE False"),
        (
            status(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "header.path"),
            "INVALID_ARGUMENT True",
        ),
        (
            status(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "sha256"),
            "INVALID_ARGUMENT False",
        ),
        (status(StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED"), "INVALID_ARGUMENT True"),
    ],
)
async def test_an_action_may_catch_a_refusal_and_save_something_else(
    refusal: Status, expected: str
) -> None:
    async with connected() as (shelf, stream):
        shelf.refusals.append(refusal)
        await stream.assign("save_and_catch")
        assert results(await stream.settled()) == {"value": expected}
        assert shelf.kept == {"one": b"other"}
        shelf.refusals.append(refusal)
        await stream.assign("save_in_a_thread_and_catch", token=101)
        assert results(await stream.settled()) == {"value": expected}


@pytest.mark.parametrize("paths", [["../etc/passwd"], ["fine", "fine"]])
async def test_nothing_is_sent_under_a_path_that_cannot_be(paths: list[str]) -> None:
    async with connected() as (shelf, stream):
        await stream.assign("save_under", {"paths": paths})
        _, permanent, message = await failure(stream)
        assert not permanent
        assert message.startswith("ValueError: ")
        assert len(shelf.headers) == len(paths) - 1


@pytest.mark.parametrize("action", ["save_text", "save_a_number"])
async def test_what_holds_no_bytes_is_refused(action: str) -> None:
    async with connected() as (shelf, stream):
        await stream.assign(action)
        _, _, message = await failure(stream)
        assert message.startswith("TypeError: ")
        assert shelf.kept == {}


async def test_an_iterator_is_drawn_no_faster_than_the_server_takes_it() -> None:
    async with connected() as (shelf, stream):
        shelf.going_on.clear()
        await stream.assign("save_much", {"source": "iterator"})
        await asyncio.wait_for(shelf.arrived.wait(), PATIENCE_SECONDS)
        await stream.assign("save_under", {"paths": []}, token=101)
        assert (await stream.report()).lease_token == 101
        assert sum(shelf.pieces) == MIB
        shelf.going_on.set()
        assert results(await stream.report()) == {"value": 64 * MIB}
        assert set(shelf.pieces) == {MIB}


# When things break.


@asynccontextmanager
async def through_a_proxy() -> AsyncGenerator[tuple[Shelf, Stream, Proxy, Any]]:
    shelf = Shelf()
    async with peer(shelf.handler) as at, Proxy(at.address) as proxy:
        task = asyncio.create_task(worker.run(proxy.address, stopping=asyncio.Event()))
        try:
            yield shelf, await at.accept(), proxy, at
        finally:
            task.cancel()
            await asyncio.wait({task})


async def test_bytes_are_sent_again_when_the_server_was_away() -> None:
    async with through_a_proxy() as (shelf, stream, proxy, at):
        shelf.going_on.clear()
        await stream.assign("save_much", {"source": "bytes"})
        await asyncio.wait_for(shelf.arrived.wait(), PATIENCE_SECONDS)
        proxy.cut()
        later = await at.accept(epoch=2)
        shelf.going_on.set()
        assert results(await later.report()) == {"value": 64 * MIB}
        assert len(shelf.headers) == 2


async def test_a_file_whose_answer_was_lost_is_sent_again() -> None:
    async with through_a_proxy() as (shelf, stream, proxy, at):
        shelf.before_end = lambda: None if len(shelf.headers) > 1 else proxy.cut()
        await stream.assign("save_under", {"paths": ["a"]})
        later = await at.accept(epoch=2)
        assert results(await later.report()) == {"value": "saved"}
        assert len(shelf.headers) == 2


async def test_what_was_drawn_cannot_be_sent_again_and_fails_the_attempt() -> None:
    async with through_a_proxy() as (shelf, stream, proxy, at):
        shelf.going_on.clear()
        await stream.assign("save_much", {"source": "iterator"})
        await asyncio.wait_for(shelf.arrived.wait(), PATIENCE_SECONDS)
        proxy.cut()
        later = await at.accept(epoch=2)
        code, permanent, message = await failure(later)
        assert (code, permanent) == (StatusCode.UNAVAILABLE, False)
        assert "cannot begin again" in message


@pytest.mark.parametrize("action", ["save_and_forget", "save_until_stopped"])
async def test_a_lost_lease_ends_the_work_like_a_stop_order(action: str) -> None:
    async with connected() as (shelf, stream):
        shelf.refusals.append(lost())
        await stream.assign(action, {"names": ["a"]} if action == "save_and_forget" else None)
        assert (await stream.report()).HasField("stopped")
        assert shelf.kept == {}


@pytest.mark.parametrize("action", ["save_and_forget", "save_until_stopped"])
async def test_work_that_is_canceled_saves_nothing_more(action: str) -> None:
    async with connected() as (shelf, stream):
        shelf.going_on.clear()
        await stream.assign(action, {"names": ["a"]} if action == "save_and_forget" else None)
        await asyncio.wait_for(shelf.arrived.wait(), PATIENCE_SECONDS)
        await stream.stop()
        assert (await stream.report()).HasField("stopped")
        await asyncio.wait_for(shelf.cancelled.wait(), PATIENCE_SECONDS)


async def test_work_that_is_canceled_may_save_what_there_is() -> None:
    async with connected() as (shelf, stream):
        shelf.going_on.clear()
        await stream.assign("save_when_canceled")
        await asyncio.wait_for(shelf.arrived.wait(), PATIENCE_SECONDS)
        await stream.stop()
        await asyncio.wait_for(shelf.cancelled.wait(), PATIENCE_SECONDS)
        shelf.going_on.set()
        assert results(await stream.report()) == {"value": "partial"}
        assert shelf.kept == {"partial": b"what there is"}


# Files that an action is given.


@pytest.mark.parametrize("action", ["read_here", "read_in_a_thread", "read_in_a_process"])
async def test_an_action_reads_a_file_that_it_is_given(action: str, tmp_path: Path) -> None:
    async with connected() as (shelf, stream):
        shelf.kept["lines.txt"] = b"one\ntwo\n"
        shelf.piece_bytes = 3
        await stream.assign(action, {"file": "files/lines.txt", "to": str(tmp_path)})
        told = results(await stream.report())
        assert told.pop("chunks") >= 1
        assert told == {
            "id": "lines.txt",
            "path": "lines.txt",
            "size": 8,
            "read": "one\ntwo\n",
            "saved": "one\ntwo\n",
            "place": str(tmp_path / "lines.txt"),
        }
        assert [one.name for one in tmp_path.iterdir()] == ["lines.txt"]


async def test_an_action_takes_many_files() -> None:
    async with connected() as (shelf, stream):
        shelf.kept |= {"a": b"one ", "b": b"two ", "c": b"three"}
        await stream.assign("join", {"files": ["a", "b"], "last": "c"})
        assert results(await stream.settled()) == {"value": "one two three"}
        await stream.assign("join", {"files": []}, token=101)
        assert results(await stream.settled()) == {"value": ""}


@pytest.mark.parametrize("action", ["read_here", "read_in_a_thread", "read_in_a_process"])
async def test_a_file_that_is_gone_fails_the_attempt(action: str, tmp_path: Path) -> None:
    async with connected() as (_, stream):
        await stream.assign(action, {"file": "gone", "to": str(tmp_path)})
        code, permanent, message = await failure(stream)
        assert (code, permanent) == (StatusCode.NOT_FOUND, False)
        assert message == "file 'gone': file_not_found"


@pytest.mark.parametrize("action", ["read_here", "read_in_a_thread", "read_in_a_process"])
async def test_a_damaged_file_fails_the_attempt(action: str, tmp_path: Path) -> None:
    async with connected() as (shelf, stream):
        shelf.kept["lines.txt"] = b"one\ntwo\n"
        shelf.damage = True
        await stream.assign(action, {"file": "lines.txt", "to": str(tmp_path / "copy")})
        code, permanent, _ = await failure(stream)
        assert (code, permanent) == (StatusCode.DATA_LOSS, False)
        assert list(tmp_path.iterdir()) == []


async def test_a_broken_download_goes_on_where_it_was() -> None:
    async with through_a_proxy() as (shelf, stream, proxy, at):
        shelf.kept["much"] = b"".join(b"%d" % (number % 10) * MIB for number in range(32))
        shelf.going_on.clear()
        await stream.assign("digest_of", {"file": "much"})
        await asyncio.wait_for(shelf.arrived.wait(), PATIENCE_SECONDS)
        await happened(begun)
        proxy.cut()
        later = await at.accept(epoch=2)
        shelf.going_on.set()
        assert results(await later.report()) == {"value": shelf.file("much").sha256}
        assert shelf.downloads == 2


async def test_a_file_that_is_replaced_meanwhile_is_damaged() -> None:
    async with through_a_proxy() as (shelf, stream, proxy, at):
        shelf.kept["much"] = bytes(32 * MIB)
        shelf.going_on.clear()
        await stream.assign("digest_of", {"file": "much"})
        await happened(begun)
        shelf.kept["much"] = b"other"
        proxy.cut()
        later = await at.accept(epoch=2)
        shelf.going_on.set()
        code, _, message = await failure(later)
        assert code == StatusCode.DATA_LOSS
        assert "was replaced while it was read" in message


@pytest.mark.parametrize("action", ["read_in_a_thread", "read_in_a_process"])
async def test_work_that_is_canceled_reads_nothing_more(action: str, tmp_path: Path) -> None:
    async with connected() as (shelf, stream):
        shelf.kept["much"] = bytes(32 * MIB)
        shelf.going_on.clear()
        await stream.assign(action, {"file": "much", "to": str(tmp_path)})
        await asyncio.wait_for(shelf.arrived.wait(), PATIENCE_SECONDS)
        await stream.stop()
        assert (await stream.report()).HasField("stopped")


# Files on the web.


class Site(BaseHTTPRequestHandler):
    """Serves text, and leads elsewhere."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        text = self._answer()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

    def _answer(self) -> bytes:
        path = urlsplit(self.path).path
        text = b"one\ntwo\n" if path.startswith("/texts/") else b""
        self.send_response({"/away": 302, "/on": 302}.get(path, 200 if text else 404))
        if not text:
            self.send_header("location", {"/on": "/texts/a"}.get(path, "file:///etc/hostname"))
        self.send_header("content-length", str(len(text)))
        self.send_header("content-type", "text/plain")
        self.end_headers()
        return text


@pytest.fixture
def site() -> Generator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("action", ["read_here", "read_in_a_thread", "read_in_a_process"])
async def test_an_action_reads_a_file_on_the_web(
    action: str, site: str, tmp_path: Path
) -> None:
    async with connected() as (_, stream):
        uri = f"{site}/texts/a%20b.txt?x=1"
        await stream.assign(action, {"file": uri, "to": str(tmp_path)})
        assert results(await stream.report()) == {
            "id": "",
            "path": "a b.txt",
            "size": 8,
            "read": "one\ntwo\n",
            "chunks": 1,
            "saved": "one\ntwo\n",
            "place": str(tmp_path / "a b.txt"),
        }


@pytest.mark.parametrize(
    "path, expected",
    [
        ("/missing", StatusCode.NOT_FOUND),
        ("/away", StatusCode.UNAVAILABLE),
        ("/on", None),
    ],
)
async def test_what_the_web_does_not_give_fails_the_attempt(
    path: str, expected: StatusCode | None, site: str
) -> None:
    async with connected() as (_, stream):
        address = site.replace("//", "//ada:hush@") + path + "?token=hush"
        await stream.assign("size_of", {"file": address})
        if expected is None:
            assert results(await stream.report()) == {"value": 8}
            return
        code, permanent, message = await failure(stream)
        assert (code, permanent) == (expected, False)
        assert message.startswith(f"{site}{path}?… cannot be read: ")
        assert "\n" not in message
        assert "hush" not in message
