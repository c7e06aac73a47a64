"""Files, and the ways of results, as people and scripts type them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import os
import re
import signal
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.acceptance.commands import call, on_a_terminal, piped
from tests.acceptance.processes import COMMAND, Program, Server
from tests.acceptance.waiting import eventually_answered, within

BYTES = os.urandom(3 * 1024 * 1024 + 17)
SHA256 = hashlib.sha256(BYTES).hexdigest()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    store = tmp_path_factory.mktemp("press") / "longshore.db"
    async with Server(store, "--worker", "tests.acceptance.press:worker") as server:

        async def offered() -> bool:
            return (await call(server, "services", "press")).code == 0

        await eventually_answered(offered, "the services of the worker")
        yield server


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "photo.png"
    file.write_bytes(BYTES)
    return file


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A folder to download into."""
    folder = tmp_path / "there"
    folder.mkdir()
    return folder


async def done(server: Server, *words: str | Path) -> str:
    """Run a task to its end, however that is, and return its number."""
    submitted = await call(server, "submit", "task", *words, "--json")
    assert submitted.code == 0, submitted.err
    number: str = submitted.json[0]["metadata"]["number"]
    await call(server, "watch", number)
    return number


async def test_a_file_comes_back_as_it_went(server: Server, photo: Path, there: Path) -> None:
    file_id = (await call(server, "upload", photo)).text
    downloaded = await call(server, "download", file_id, "-o", there)
    assert downloaded.out == [str(there / "photo.png")]
    assert (there / "photo.png").read_bytes() == BYTES
    (known,) = (await call(server, "files", file_id, "--json")).json
    assert (known["path"], known["size"], known["sha256"]) == (
        "photo.png",
        str(len(BYTES)),
        SHA256,
    )
    assert known["content_type"] == "image/png"
    assert "expire_time" in known


async def test_what_is_piped_in_is_named_and_comes_out_of_a_pipe(server: Server) -> None:
    words = ("upload", "-", "--name", "notes.txt", "--type", "text/x-notes")
    code, out = await piped(server, *words, "--expire-after", "never", data=BYTES)
    assert code == 0
    file_id = out.decode().strip()
    heads, row = [line.split("\t") for line in (await call(server, "files", file_id)).out]
    assert heads == ["PATH", "SIZE", "TYPE", "ID", "EXPIRES", "SHA256"]
    assert row == ["notes.txt", "3.1 MB", "text/x-notes", file_id, "", SHA256]
    assert await piped(server, "download", file_id, "-o", "-") == (0, BYTES)


async def test_a_pipe_that_nobody_writes_to_is_left_by_ctrl_c(server: Server) -> None:
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "upload", "-", "--server", server.address),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(BYTES)
    await within(process.stdin.drain(), "a command that reads")
    process.send_signal(signal.SIGINT)
    assert await within(process.stderr.read(), "the end of a command") == b""
    assert await process.wait() == 130


async def test_several_files_are_uploaded_in_their_order(
    server: Server, photo: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    uploaded = await call(server, "upload", photo, empty, "--json")
    assert [one["path"] for one in uploaded.json] == ["photo.png", "empty"]
    assert (await call(server, "upload", photo, empty, "--name", "x")).code == 2


async def test_a_file_that_is_there_is_replaced_on_demand_only(
    server: Server, photo: Path, there: Path
) -> None:
    file_id = (await call(server, "upload", photo)).text
    place = there / "mine.png"
    place.write_text("mine")
    refused = await call(server, "download", file_id, "-o", place)
    assert refused.code == 2
    assert f"{place} exists already: --force replaces it" in refused.err
    assert place.read_text() == "mine"
    assert (await call(server, "download", file_id, "-o", place, "--force")).code == 0
    assert place.read_bytes() == BYTES
    assert [*there.iterdir()] == [place]


async def test_a_file_that_is_deleted_is_gone_and_that_is_told(
    server: Server, photo: Path
) -> None:
    file_id = (await call(server, "upload", photo)).text
    assert (await call(server, "delete-file", file_id)).text == f"file {file_id} is deleted"
    for words in (("download", file_id), ("files", file_id), ("delete-file", file_id)):
        gone = await call(server, *words)
        assert gone.code == 3
        assert "uploaded ones are kept for 30 minutes" in gone.err


async def test_an_argument_is_uploaded_and_what_is_made_of_it_is_shown_and_downloaded(
    server: Server, photo: Path, there: Path
) -> None:
    run = await call(server, "run", "task", "bind", f"sheet@={photo}", "title=Ships")
    assert run.code == 0
    assert f'"sha256": "{SHA256}", "sheet": "photo.png", "title": "Ships"' in run.out[-1]
    assert any("file book.bin, 3.1 MB" in line for line in run.out)
    found = re.search(r"it made 1 file: `longshore download (\d+)`", run.err)
    assert found
    number = found[1]
    shown = await call(server, "get", number)
    assert any(re.match(r"files +book.bin, 3.1 MB", line) for line in shown.out)
    assert (await call(server, "download", number, "-o", there)).code == 0
    assert (there / "book.bin").read_bytes() == BYTES
    (file,) = (await call(server, "files", number, "--json")).json
    kept = await call(server, "delete-file", file["file_id"])
    assert kept.code == 3


async def test_a_file_that_cannot_be_read_is_told_before_anything_is_sent(
    server: Server, tmp_path: Path
) -> None:
    refused = await call(server, "submit", "task", "bind", f"sheet@={tmp_path / 'nothing'}")
    assert refused.code == 2
    assert "does not exist" in refused.err


async def test_all_files_of_operations_are_downloaded_with_their_folders(
    server: Server, there: Path
) -> None:
    number = await done(server, "pages", "count:=3")
    downloaded = await call(server, "download", number, "-o", there)
    assert downloaded.out == [str(there / f"pages/{page}.txt") for page in (1, 2, 3)]
    assert (there / "pages/2.txt").read_text() == "page 2\n"
    twice = await call(server, "download", number, number, "-o", there / "again")
    assert twice.code == 2
    assert "two files would become" in twice.err
    none = await call(server, "download", await done(server, "proof"))
    assert none.code == 3
    assert "has made no files" in none.err


async def test_the_files_of_a_launch_are_one_zip(
    server: Server, there: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "a.txt").write_text("a")
    (source / "deep" / "b.txt").write_text("b")
    run = await call(server, "run", "launch", "edition", f"folder={source}")
    found = re.search(r"longshore download (\d+)", run.err)
    assert found
    place = there / "edition.zip"
    assert (await call(server, "download", found[1], "--zip", "-o", place)).text == str(place)
    with zipfile.ZipFile(place) as pack:
        assert sorted(pack.namelist()) == ["a.txt", "deep/b.txt"]
    task = await done(server, "pages")
    assert "--zip is for launches" in (await call(server, "download", task, "--zip")).err


async def test_a_result_is_fetched_once_and_then_gone(server: Server, tmp_path: Path) -> None:
    number = await done(server, "proof", "text=ahoy", "--delivery", "store")
    shown = await call(server, "get", number)
    assert any("COMPLETE: the store holds the result" in line for line in shown.out)
    kept = await call(server, "fetch", number, "--keep")
    assert kept.json == [{"proof": "ahoy"}]
    place = tmp_path / "result.json"
    assert (await call(server, "fetch", number, "-o", place)).code == 0
    assert json.loads(place.read_text()) == {"proof": "ahoy"}
    gone = await call(server, "fetch", number)
    assert gone.code == 3
    assert "`longshore resubmit" in gone.err
    assert any("acknowledged at" in line for line in (await call(server, "get", number)).out)


async def test_files_without_a_result_are_the_result(server: Server) -> None:
    one = await done(server, "pages")
    assert await piped(server, "fetch", one) == (0, b"page 1\n")
    assert await piped(server, "fetch", one) == (0, b"page 1\n")
    several = await done(server, "pages", "count:=2", "--delivery", "store")
    code, packed = await piped(server, "fetch", several)
    assert code == 0
    with zipfile.ZipFile(io.BytesIO(packed)) as pack:
        assert len(pack.namelist()) == 2


async def test_a_result_stays_while_there_are_files_besides(
    server: Server, photo: Path, there: Path
) -> None:
    number = await done(server, "bind", f"sheet@={photo}", "--delivery", "store")
    fetched = await call(server, "fetch", number)
    assert fetched.json[0]["sha256"] == SHA256
    assert f"not acknowledged: first `longshore download {number}`" in fetched.err
    assert (await call(server, "download", number, "-o", there)).code == 0
    assert (await call(server, "ack", number)).code == 0
    assert "has made no files" in (await call(server, "download", number)).err


async def test_a_result_that_is_not_there_yet_is_waited_for_otherwise(server: Server) -> None:
    held = await call(server, "submit", "task", "proof", "--suspended", "--delivery", "store")
    for command in ("fetch", "ack"):
        early = await call(server, command, held.text)
        assert early.code == 3
        assert f"`longshore watch {held.text}`" in early.err
    await call(server, "cancel", held.text)


async def test_a_channel_gives_each_result_until_it_is_acknowledged(server: Server) -> None:
    for words in (("proof", "text=a"), ("jam", "--max-attempts", "1"), ("pages",)):
        await done(server, *words, "--delivery", "channel")
    kept = await call(server, "results", "-n", "3", "--keep", "--json")
    good, bad, file = kept.json
    assert (good["state"], good["result"]) == ("SUCCEEDED", {"proof": "a"})
    assert (bad["state"], bad["error"]["message"]) == (
        "FAILED",
        "RuntimeError: the press is jammed",
    )
    assert base64.b64decode(file["data"]) == b"page 1\n"
    told = await call(server, "results", "-n", "3")
    assert re.fullmatch(r'task \d+  SUCCEEDED  {"proof": "a"}', told.out[0])
    assert re.match(r"task \d+  FAILED     RuntimeError: the press is jammed", told.out[1])
    assert f"7 bytes: `longshore fetch {file['number']}` fetches it" in told.out[2]
    again = await call(server, "results", "-n", "1", "--keep", "--json")
    assert [one["id"] for one in again.json] == [file["id"]]
    acknowledged = await call(server, "ack", file["number"])
    assert acknowledged.text == f"acknowledged, and removed: {file['number']}"


async def test_following_a_channel_ends_with_ctrl_c_and_loses_nothing(server: Server) -> None:
    environment = {"LONGSHORE_SERVER": server.address}
    async with Program("results", "--json", environment=environment) as listener:
        number = await done(server, "proof", "text=b", "--delivery", "channel")
        await listener.said(rf'"number": "{number}"')
        listener.signal(signal.SIGINT)
        assert await listener.ended() == 130
        assert not any("Traceback" in line for line in listener.err)


async def test_a_younger_listener_takes_the_channel_and_the_old_one_is_told(
    server: Server,
) -> None:
    environment = {"LONGSHORE_SERVER": server.address}
    async with Program("results", environment=environment) as old:
        await done(server, "proof", "text=c", "--delivery", "channel")
        await old.said("SUCCEEDED")
        async with Program("results", environment=environment):
            assert await old.ended() == 3
        assert any("only the latest listener gets results" in line for line in old.err)


async def test_a_channel_that_is_not_yours_is_refused(server: Server) -> None:
    refused = await call(server, "results", "somebody-else")
    assert refused.code == 3
    assert "without a name follows your own stream" in refused.err


async def test_what_happens_on_the_way_is_told_in_words(server: Server) -> None:
    number = await done(
        server, "pages", "--delivery", "store", "--callback", "http://127.0.0.1:1/told"
    )
    history = (await call(server, "history", number)).text
    assert "file pages/1.txt, 7 bytes, text/plain" in history
    assert re.search(
        r"delivery PENDING: result is on its way to the store\n"
        r".*delivery ONGOING: result can be fetched\n"
        r".*delivery COMPLETE: the store holds the result",
        history,
    )
    shown = await call(server, "get", number)
    assert any("POST http://127.0.0.1:1/told" in line for line in shown.out)


async def test_bars_are_for_terminals_and_never_in_the_way_of_bytes(
    server: Server, photo: Path, there: Path
) -> None:
    far = photo.parent / ("far" * 40) / photo.name
    far.parent.mkdir()
    photo.rename(far)
    code, drawn = await on_a_terminal(server, "upload", far, columns=80)
    assert code == 0
    assert re.search(rf"…\S+{photo.name} .+ 3\.1/3\.1 MB", drawn)
    file_id = drawn.strip().splitlines()[-1].strip()
    code, drawn = await on_a_terminal(server, "download", file_id, "-o", there)
    assert code == 0
    assert "3.1/3.1 MB" in drawn
    assert (await call(server, "upload", far)).err == ""
