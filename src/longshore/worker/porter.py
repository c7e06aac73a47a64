"""The porter: carries files for actions that run in other processes.

Whoever wants something connects, sends one frame of JSON and waits for one in answer. Bytes go
through files on disk, so that large ones take no memory and cross no socket.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from grpc import StatusCode

from longshore.worker.action_files import READING, SAVING, ActionFiles
from longshore.worker.doors import Door, Doorkeeper, frame, hear_frame
from longshore.worker.errors import ActionError, PermanentError
from longshore.worker.refusals import stopped


class Claim(NamedTuple):
    """What an action in another process needs to have files carried; it can be pickled."""

    door: Door
    number: int
    folder: Path  #: For what it hands over and is given; created when it is needed.


class Porter:
    """Saves and gets files as other processes ask for it."""

    def __init__(self, host: str) -> None:
        self._doorkeeper = Doorkeeper(host, self._serve)
        self._folder: Path | None = None
        self._files: dict[int, ActionFiles] = {}
        self._last = 0

    async def open(self) -> None:
        self._folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="longshore-"))
        await self._doorkeeper.open()

    async def close(self) -> None:
        """Hang up, and remove all that is left on the way. The actions are over."""
        await self._doorkeeper.close()
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def claim(self, files: ActionFiles) -> Claim:
        """Return what an action needs to have its files carried."""
        assert self._folder is not None
        self._last += 1
        self._files[self._last] = files
        return Claim(self._doorkeeper.door, self._last, self._folder / str(self._last))

    def forget(self, claim: Claim) -> None:
        """Carry nothing more for an action: it is over."""
        self._files.pop(claim.number, None)
        if claim.folder.exists():
            loop = asyncio.get_running_loop()
            loop.run_in_executor(None, shutil.rmtree, claim.folder, True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = json.loads(await hear_frame(reader))
        work = asyncio.ensure_future(self._answer(asked))
        gone = asyncio.ensure_future(reader.read(1))  # nothing more is said: it has hung up
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        for one in (work, gone):
            one.cancel()
        await asyncio.wait((work, gone))
        answer = _failed(stopped()) if work.cancelled() else work.result()
        writer.write(frame(json.dumps(answer).encode()))
        await writer.drain()

    async def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        files = self._files.get(asked["number"])
        if files is None:
            return _failed(stopped())
        try:
            until = SAVING if asked["want"] == "save" else READING
            return await files.tracked(_carry(files, asked), until)
        except Exception as error:  # noqa: BLE001  # told to whoever asked
            return _failed(error)


async def _carry(files: ActionFiles, asked: dict[str, Any]) -> dict[str, Any]:
    match asked["want"]:
        case "save":
            source = Path(asked["source"])
            return asdict(await files.upload(asked["path"], source, asked["content_type"]))
        case "fetch":
            return {"path": str(await files.fetch(asked["uri"], asked["to"]))}
        case _:
            return asdict(await files.info(asked["uri"]))


def _failed(error: Exception) -> dict[str, Any]:
    if not isinstance(error, ActionError):
        error = ActionError(f"{type(error).__name__}: {error}")
    told = {
        "message": str(error),
        "code": error.code.name,
        "metadata": error.metadata,
        "permanent": error.permanent,
    }
    return {"error": told}


def raised(told: dict[str, Any]) -> ActionError:
    """Return the error of an answer."""
    kind = PermanentError if told["permanent"] else ActionError
    return kind(told["message"], code=StatusCode[told["code"]], metadata=told["metadata"])
