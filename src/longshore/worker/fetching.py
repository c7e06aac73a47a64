"""Fetching: files as actions get them, from the servers or the web."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from os import PathLike
from pathlib import Path

from longshore.client.errors import CallError, UnsafePath
from longshore.client.places import Place, below
from longshore.worker import web
from longshore.worker.errors import ActionError
from longshore.worker.refusals import refusal
from longshore.worker.saving import FileInfo, info_of
from longshore.worker.transfers import Transfers


def id_of(uri: str) -> str:
    """Return the id of a file that is kept; empty for one on the web."""
    return "" if web.is_address(uri) else uri.removeprefix("files/")


async def look(uri: str, transfers: Transfers) -> FileInfo:
    """Return what is known of a file. Raises `ActionError`."""
    file_id = id_of(uri)
    if not file_id:
        return await web.look(uri)
    try:
        return info_of(await transfers.get(file_id))
    except CallError as error:
        raise refusal(error, f"file {uri!r}") from None


async def read(uri: str, transfers: Transfers) -> AsyncGenerator[bytes]:
    """Yield a file's bytes. Raises `ActionError`, at the end also if they are damaged."""
    file_id = id_of(uri)
    try:
        async with aclosing(transfers.read(file_id) if file_id else web.read(uri)) as pieces:
            async for piece in pieces:
                yield piece
    except CallError as error:
        raise refusal(error, f"file {uri!r}") from None


async def load(uri: str, transfers: Transfers) -> bytes:
    """Return all of a file's bytes. Raises `ActionError`."""
    async with aclosing(read(uri, transfers)) as pieces:
        return b"".join([piece async for piece in pieces])


async def save(uri: str, to: str | PathLike[str], transfers: Transfers) -> Path:
    """Write a file, whole or not at all, and return where. Raises `ActionError`, `OSError`."""
    target = Path(to)
    if await asyncio.to_thread(target.is_dir):
        target = await _within(target, uri, transfers)
    place = Place(target)
    try:
        await asyncio.to_thread(place.open)
        async with aclosing(read(uri, transfers)) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(place.write, piece)
        await asyncio.to_thread(place.finish)
    except BaseException:
        await asyncio.shield(asyncio.to_thread(place.discard))
        raise
    return target


async def _within(folder: Path, uri: str, transfers: Transfers) -> Path:
    """Return where a file belongs in a folder, by its own name."""
    file_id = id_of(uri)
    path = (await look(uri, transfers)).path if file_id else web.name_of(uri)
    try:
        return await asyncio.to_thread(below, folder, path.rpartition("/")[2] or file_id)
    except UnsafePath as error:
        raise ActionError(f"file {web.shown(uri)!r}: {error}") from None
