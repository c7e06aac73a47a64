"""Files that an action is given."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, Protocol

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from longshore.worker.web import is_address, shown

#: In the JSON schema of what is a file.
FORMAT: Final = "file"


class Chunks:
    """A file's bytes, piece by piece: for `async for` in a coroutine, elsewhere for `for`."""

    __slots__ = ("_iterate", "_stream")

    def __init__(
        self,
        iterate: Callable[[], Iterator[bytes]],
        stream: Callable[[], AsyncIterator[bytes]],
    ) -> None:
        self._iterate = iterate
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return self._iterate()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream()


class Reader(Protocol):
    """What gets files; what it returns is awaitable if it is called on the event loop."""

    def info(self, uri: str) -> Any: ...

    def read(self, uri: str) -> Any: ...

    def fetch(self, uri: str, to: str | os.PathLike[str]) -> Any: ...

    def chunks(self, uri: str) -> Chunks: ...


class File:
    r"""A file that an action is given; its bytes are got when they are asked for.

        @worker.action
        def count_lines(table: File) -> int:
            return sum(chunk.count(b"\n") for chunk in table.chunks())

        @worker.action
        async def title(page: File) -> str:
            return parse(await page.read()).title

    A parameter annotated with this class takes the id of a file, or an address on the web that
    begins with http:// or https://. Whoever submits work chooses the address, and the worker
    reads it with its own access to the network: an action that takes files may have to look at
    `uri` first. A list of files is read alike, but only what is a parameter by itself is known
    to the server, which then keeps it until the work has ended.

    In a coroutine `info`, `read` and `save` are awaited; in threads and other processes they
    return when they are done. They raise `ActionError` if the file cannot be got, or is not
    what was stored: uncaught it fails the attempt, and another may succeed.
    """

    __slots__ = ("_reader", "uri")

    def __init__(self, uri: str, reader: Reader) -> None:
        self.uri = uri  #: As it was submitted: an id, `files/` and an id, or an address.
        self._reader = reader

    @property
    def id(self) -> str:
        """The file's id; empty if it has an address on the web."""
        return "" if is_address(self.uri) else self.uri.removeprefix("files/")

    def info(self) -> Any:
        """Return a `FileInfo`: its path, size, content type and SHA-256."""
        return self._reader.info(self.uri)

    def read(self) -> Any:
        """Return all of its `bytes`."""
        return self._reader.read(self.uri)

    def save(self, to: str | os.PathLike[str]) -> Any:
        """Write it to a file, whole or not at all, and return that `Path`.

        In a folder it gets the last part of its own path, or of its address.
        """
        return self._reader.fetch(self.uri, to)

    def chunks(self) -> Chunks:
        """Return what yields its bytes in pieces of about 1 MiB, however large it is."""
        return self._reader.chunks(self.uri)

    def __repr__(self) -> str:
        return f"File({shown(self.uri)!r})"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(_given)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": FORMAT}


def _given(value: object, info: core_schema.ValidationInfo[Any]) -> File:
    """Return the file that an argument names; the context of the validation makes its reader."""
    if not isinstance(value, str) or not value:
        raise ValueError("a file is named by its id or its address")
    is_address(value)
    return File(value, info.context())
