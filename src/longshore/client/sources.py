"""Sources: what can be uploaded, and how its bytes are drawn without holding up the loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack, aclosing, closing
from inspect import isasyncgen, isgenerator
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, TypeGuard, cast

from longshore.client.threads import Helper

#: What a message carries. Measured against a bare server: larger and smaller ones are slower.
PIECE_BYTES: Final = 1024 * 1024

#: Bytes, the path of a file, an open binary file, or what yields pieces of bytes.
Source: TypeAlias = (
    bytes
    | bytearray
    | memoryview
    | str
    | PathLike[str]
    | BinaryIO
    | Iterable[bytes]
    | AsyncIterable[bytes]
)


def is_path(source: Source) -> TypeGuard[str | PathLike[str]]:
    return isinstance(source, str | PathLike)


def is_repeatable(source: Source) -> bool:
    """Whether the same bytes can be drawn once more."""
    if is_path(source):
        return Path(source).is_file()
    return isinstance(source, bytes | bytearray | memoryview)


async def drawn(source: Source, helper: Helper) -> AsyncGenerator[bytes]:
    """Yield the bytes in pieces of `PIECE_BYTES`, and what is left, which may be nothing.

    What has to be waited for without `await` is drawn in the helper's thread, all of it in that
    one. Generators are closed at the end. Raises what the source raises, and `TypeError` if
    there is anything but bytes.
    """
    if isinstance(source, AsyncIterable):
        async with aclosing(_regrouped_async(source)) as pieces:
            async for one in pieces:
                yield one
        return
    drawing = _regrouped(parts_of(source))

    def draw() -> bytes | None:
        return next(drawing, None)

    try:
        while (piece := await helper.call(draw)) is not None:
            yield piece
    finally:
        helper.soon(drawing.close)


def parts_of(source: Any) -> Generator[object]:
    """Yield the bytes of a source as it gives them, unless that has to be awaited."""
    if isinstance(source, bytes | bytearray | memoryview):
        yield source
    elif is_path(source):
        with Path(source).open("rb", buffering=0) as file:
            yield from _read(file)
    elif hasattr(source, "read"):
        yield from _read(source)
    elif isinstance(source, Iterable):
        parts = cast("Iterable[object]", source)
        with ExitStack() as stack:
            if isgenerator(parts):
                stack.enter_context(closing(parts))
            yield from parts
    else:
        raise TypeError(
            "bytes, a path, an open binary file or an iterable of bytes can be uploaded, "
            f"not {type(source).__name__!r}"
        )


def _read(file: Any) -> Iterator[object]:
    while part := file.read(PIECE_BYTES):
        yield part


def _regrouped(parts: Generator[object]) -> Generator[bytes]:
    pieces = _Pieces()
    with closing(parts):
        for part in parts:
            yield from pieces.of(part)
    yield pieces.rest()


async def _regrouped_async(parts: AsyncIterable[object]) -> AsyncGenerator[bytes]:
    pieces = _Pieces()
    async with AsyncExitStack() as stack:
        if isasyncgen(parts):
            await stack.enter_async_context(aclosing(parts))
        async for part in parts:
            for piece in pieces.of(part):
                yield piece
    yield pieces.rest()


class _Pieces:
    """Makes pieces of one size from parts of any."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def of(self, part: object) -> Iterator[bytes]:
        """Yield the pieces that a part completes."""
        if not isinstance(part, bytes | bytearray | memoryview):
            raise TypeError(f"only bytes can be uploaded, not {type(part).__name__!r}")
        if isinstance(part, bytes) and len(part) == PIECE_BYTES and not self._rest:
            yield part
            return
        view = memoryview(cast("bytes", part)).cast("B")
        while (room := PIECE_BYTES - len(self._rest)) <= len(view):
            self._rest += view[:room]
            view = view[room:]
            yield self.rest()
        self._rest += view

    def rest(self) -> bytes:
        rest = bytes(self._rest)
        self._rest.clear()
        return rest
