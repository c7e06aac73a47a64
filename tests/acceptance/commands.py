"""Commands as people and scripts type them, and what they leave behind."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.acceptance.processes import COMMAND, ROOT, Program, Server
from tests.acceptance.waiting import within


class Answer(NamedTuple):
    """What a command left behind."""

    code: int
    out: list[str]
    err: str

    @property
    def text(self) -> str:
        return "\n".join(self.out)

    @property
    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out]


async def call(server: Server, *words: str | Path, **environment: str) -> Answer:
    environment = {"LONGSHORE_SERVER": server.address, **environment}
    async with Program(*words, environment=environment) as program:
        code = await program.ended()
    return Answer(code, program.out, "\n".join(program.err))


async def piped(server: Server, *words: str | Path, data: bytes = b"") -> tuple[int, bytes]:
    """Pipe bytes into a command; return its exit code and the bytes that came out."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *map(str, words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "LONGSHORE_SERVER": server.address},
        cwd=ROOT,
    )
    out, _ = await within(process.communicate(data), "the end of a command in a pipe")
    assert process.returncode is not None
    return process.returncode, out


async def on_a_terminal(
    server: Server,
    *words: str | Path,
    columns: int = 120,
    pieces: list[bytes] | None = None,
) -> tuple[int, str]:
    """Run a command on a pseudo terminal; return its exit code and what was drawn.

    `pieces` gets it as it is drawn.
    """
    pieces = [] if pieces is None else pieces
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *map(str, words),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={
            **os.environ,
            "LONGSHORE_SERVER": server.address,
            "TERM": "xterm",
            "COLUMNS": str(columns),
        },
        cwd=ROOT,
    )
    os.close(theirs)
    reading = asyncio.to_thread(_read, ours, pieces)
    await within(reading, "the end of a command on a terminal")
    return await process.wait(), text_of(pieces)


def text_of(pieces: Sequence[bytes]) -> str:
    """Return what was drawn, without what moves the cursor and colours."""
    drawn = b"".join(pieces).decode(errors="replace")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)


def _read(terminal: int, pieces: list[bytes]) -> None:
    try:
        while piece := os.read(terminal, 65_536):
            pieces.append(piece)
    except OSError:  # the other side is closed
        pass
    os.close(terminal)
