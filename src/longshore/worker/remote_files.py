"""The far side of the porter: files of an action in another process."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncGenerator, Generator, Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from longshore.client.sources import PIECE_BYTES, Source, is_path, parts_of
from longshore.worker.doors import frame, read_frame
from longshore.worker.files import Chunks
from longshore.worker.porter import Claim, raised
from longshore.worker.refusals import stopped
from longshore.worker.saving import FileInfo


class RemoteFiles:
    """Saves and gets files for one call of an action; it can be pickled."""

    __slots__ = ("_claim",)

    def __init__(self, claim: Claim) -> None:
        self._claim = claim

    def save(self, path: str, source: Source, content_type: str) -> FileInfo:
        """Save a file. Raises `ActionError`, and whatever the source raises."""
        with self._on_disk(source) as place:
            told = self._ask(
                "save", path=path, source=str(place.absolute()), content_type=content_type
            )
        return FileInfo(**told)

    def info(self, uri: str) -> FileInfo:
        return FileInfo(**self._ask("info", uri=uri))

    def read(self, uri: str) -> bytes:
        return b"".join(self._pieces(uri))

    def fetch(self, uri: str, to: str | os.PathLike[str]) -> Path:
        return Path(self._ask("fetch", uri=uri, to=str(Path(to).absolute()))["path"])

    def chunks(self, uri: str) -> Chunks:
        return Chunks(lambda: self._pieces(uri), _no_loop)

    def _pieces(self, uri: str) -> Iterator[bytes]:
        with self._place() as place:
            self.fetch(uri, place)
            with place.open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    yield piece

    @contextlib.contextmanager
    def _on_disk(self, source: Source) -> Generator[Path]:
        """Give the path of a file that holds what a source holds."""
        if is_path(source):
            place = Path(source)
            place.open("rb").close()  # raises what is wrong with it here, where it was named
            yield place
            return
        with self._place() as place, place.open("xb") as file:
            for part in parts_of(source):
                file.write(cast("bytes", part))  # which raises TypeError for anything else
            file.close()
            yield place

    @contextlib.contextmanager
    def _place(self) -> Generator[Path]:
        """Give a path for bytes on their way."""
        self._claim.folder.mkdir(mode=0o700, exist_ok=True)
        place = self._claim.folder / uuid4().hex
        try:
            yield place
        finally:
            place.unlink(missing_ok=True)

    def _ask(self, want: str, **more: str) -> dict[str, Any]:
        """Ask the worker for something, and wait until it is done. Raises `ActionError`."""
        asked = {"number": self._claim.number, "want": want, **more}
        try:
            with self._claim.door.knock() as line, line.makefile("rb") as answers:
                line.sendall(frame(json.dumps(asked).encode()))
                answer = read_frame(answers)
        except OSError:
            answer = None
        if not answer:  # the worker is gone
            raise stopped()
        told: dict[str, Any] = json.loads(answer)
        if "error" in told:
            raise raised(told["error"])
        return told


def _no_loop() -> AsyncGenerator[bytes]:
    raise TypeError("in another process the chunks of a file are read by 'for'")
