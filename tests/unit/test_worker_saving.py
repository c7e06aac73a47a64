"""Under which paths an action can save, and what it learns of what it saved."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.core.callers import Caller
from longshore.core.errors import InvalidFields, LimitExceeded
from longshore.server.file_headers import keep_file
from longshore.v1.file_service_pb2 import FileHeader
from longshore.worker import FileInfo, Saved
from longshore.worker.saving import Paths, check_path

LONGEST = "/".join(["x" * 200, "y" * 200, "z" * 110])

#: Of these parts paths are made up, most of which lead nowhere.
PIECES = ("/", ".", "..", "a", "\\", "\0", "\x7f", "\x85", "é", "x" * 254, "y" * 120)


@pytest.mark.parametrize(
    "path",
    [
        "report.txt",
        "a/b/c",
        "…/ünï.txt",
        ".hidden",
        "a..b",
        "-",
        " ",
        "x" * 255,
        "é" * 127,
        LONGEST,
    ],
)
def test_a_file_is_saved_under_any_relative_path(path: str) -> None:
    check_path(path)


@pytest.mark.parametrize(
    "path, why",
    [
        ("", "empty"),
        ("/etc/passwd", "not relative"),
        ("../up", "'..'"),
        ("a/../b", "'..'"),
        ("./a", "'.'"),
        ("a//b", "''"),
        ("a/", "''"),
        ("a\\b", "backslash"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("a\x85b", "control character"),
        ("x" * 256, "256 bytes, at most 255"),
        ("é" * 128, "256 bytes, at most 255"),
        (LONGEST + "z", "513 bytes, at most 512"),
        ("a\udcff", "no Unicode"),
    ],
)
def test_a_path_that_leads_elsewhere_or_is_too_long_is_refused(path: str, why: str) -> None:
    with pytest.raises(ValueError, match="cannot be saved as") as refused:
        check_path(path)
    assert why in str(refused.value)


@given(st.lists(st.sampled_from(PIECES), max_size=6).map("".join))
def test_the_server_takes_the_same_paths(path: str) -> None:
    assert _is_taken_here(path) == _is_taken_there(path)


def _is_taken_here(path: str) -> bool:
    try:
        check_path(path)
    except ValueError:
        return False
    return True


def _is_taken_there(path: str) -> bool:
    try:
        keep_file(FileHeader(path=path, number=1, lease_token=1), Caller())
    except (InvalidFields, LimitExceeded):
        return False
    return True


def test_a_path_is_taken_once_until_it_is_released() -> None:
    paths = Paths()
    paths.take("a")
    with pytest.raises(ValueError, match="has saved a file 'a' already"):
        paths.take("a")
    paths.release("a")
    paths.take("a")


async def test_what_is_saved_can_be_awaited_and_looked_at() -> None:
    info = FileInfo("0198c2d4", "a", 3, "", "")
    done = Saved(info)
    assert (done.info, await done) == (info, info)
    ready = asyncio.Event()

    async def save() -> FileInfo:
        await ready.wait()
        return info

    saved = Saved(asyncio.create_task(save()))
    with pytest.raises(asyncio.InvalidStateError):
        _ = saved.info
    ready.set()
    assert (await saved, saved.info, saved.seen) == (info, info, True)
