"""Faults: what disks and services say, told in a few words that hold no secrets and no paths."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Awaitable, Generator
from typing import Final, TypeVar

from obstore.exceptions import BaseError

from longshore.core.errors import FilesUnavailable

_T = TypeVar("_T")

_SYSTEM: Final = re.compile(r"\(os error (\d+)\)|\bOs \{\s*code: (\d+)")
_STATUS: Final = re.compile(r"status code: (\d{3}(?: [A-Z][A-Za-z]*)*)")
_CODE: Final = re.compile(r"<Code>(\w{1,64})</Code>")
# Whoever has no credentials asks the machine that a cloud has for this at these addresses.
_CREDENTIALS: Final = re.compile(r"169\.254\.(169\.254|170\.\d+)|metadata\.google\.internal")
_QUOTED: Final = re.compile(r"\"[^\"]*\"|\S*/\S*")


@contextlib.contextmanager
def translated(done: str) -> Generator[None]:
    """Let no error of disk or service leave this package; `done` is what files cannot be."""
    try:
        yield
    except FilesUnavailable:
        raise
    except Exception as error:  # a panic within obstore is an Exception, and of no other type
        why = reason(error)
        raise FilesUnavailable(f"files cannot be {done}: {why}", reason=why) from error


async def finished(done: str, work: Awaitable[_T]) -> _T:
    """Wait for the end of what must not be broken off; only then let a cancellation through."""
    task = asyncio.ensure_future(work)
    canceled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            canceled = error
    if canceled is not None:
        task.exception()  # nobody else asks for it
        raise canceled
    with translated(done):
        return task.result()


def reason(error: Exception) -> str:
    """Say why; of texts that a library made only what can hold neither a secret nor a path."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    text = str(error)
    if system := _SYSTEM.search(text):
        return os.strerror(int(system[1] or system[2]))
    if _CREDENTIALS.search(text):
        return "there are no credentials in the environment"
    if status := _STATUS.search(text):
        code = _CODE.search(text)
        return f"the service answered {status[1]}" + (f" ({code[1]})" if code else "")
    if "HTTP error" in text:
        return "the service cannot be reached"
    if isinstance(error, (BaseError, ValueError)):
        return _QUOTED.sub("…", text.partition("\n")[0])
    return "the library that keeps them failed"
