"""`longshore download`: files, and all files that operations have made."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from longshore.cli.commands import examples
from longshore.cli.describing import called
from longshore.cli.faults import LocalFault, local_faults
from longshore.cli.files import files_of, named
from longshore.cli.output import say, say_json
from longshore.cli.places import (
    STDOUT,
    force_option,
    output_option,
    place_of_one,
    refuse_taken,
)
from longshore.cli.running import Asking, asks
from longshore.cli.transfers import bar, print_bytes
from longshore.client import LaunchHandle
from longshore.client.handles import Handle
from longshore.client.places import below
from longshore.v1.operation_pb2 import File

Found = File | Handle[Any, Any]

_EXAMPLES = examples(
    "download 17", "download 17 18 -o results", "download 17 -o - | tar x", "download 17 --zip"
)


class _Placed(NamedTuple):
    """A file, and where it is put: below a folder, with its own folders."""

    file: File
    folder: Path
    path: str

    @property
    def place(self) -> Path:
        return self.folder.joinpath(*self.path.split("/"))


@click.command(epilog=_EXAMPLES)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@output_option
@click.option("--zip", "as_zip", is_flag=True, help="All files of a launch as one zip.")
@force_option
@asks
async def download(
    asking: Asking, ids: tuple[str, ...], output: str | None, as_zip: bool, force: bool
) -> None:
    """Download files by their ids, or all that operations have made, with their folders.

    A file appears once it is whole and what was stored; then its place is printed.
    """
    found = [await named(asking, one) for one in ids]
    if as_zip:
        await _zip(asking, found, output, force=force)
        return
    _refuse_nothing(found)
    if output == STDOUT:
        await _print(asking, [file for one in found for file in files_of(one)])
        return
    placed = list(_placed(found, output))
    refuse_taken((one.place for one in placed), force=force)
    for number, one in enumerate(placed, 1):
        part = f" ({number}/{len(placed)})" if len(placed) > 1 else ""
        with (
            local_faults("written", one.place),
            bar(f"{one.path}{part}", one.file.size) as told,
        ):
            place = below(one.folder, one.path)
            await asking.client.files.download(one.file.file_id, place, told=told)
        if asking.as_json:
            say_json(one.file)
        else:
            say(str(place))


async def _print(asking: Asking, files: Sequence[File]) -> None:
    """Write the one file to standard output."""
    if len(files) != 1:
        raise click.UsageError(f"-o - is for one file; these are {len(files)}")
    (file,) = files
    async with asking.client.files.read(file.file_id) as chunks:
        await print_bytes(chunks, file.path, file.size)


async def _zip(
    asking: Asking, found: Sequence[Found], output: str | None, *, force: bool
) -> None:
    """Download all files of launches, each as one zip."""
    launches = [one for one in found if isinstance(one, LaunchHandle)]
    if len(launches) < len(found):
        raise click.UsageError("--zip is for launches; of all else download the files")
    several = f"{output}{os.sep}" if output and len(launches) > 1 else output
    placed = [(one, place_of_one(several, f"launch-{one.number}.zip")) for one in launches]
    refuse_taken((place for _, place in placed), force=force)
    for launch, place in placed:
        with local_faults("written", place), bar(str(place)) as told:
            place.parent.mkdir(parents=True, exist_ok=True)
            await asking.client.launches.download(launch.id, place, told=told)
        if asking.as_json:
            say_json(launch.message)
        else:
            say(str(place))


def _refuse_nothing(found: Sequence[Found]) -> None:
    """Raise `LocalFault` if an operation has no files."""
    for one in found:
        if isinstance(one, Handle) and not files_of(one):
            yet = "" if one.ended else f" yet: `longshore watch {one.number}` follows it"
            raise LocalFault(f"{called(one.message)} has made no files{yet}")


def _placed(found: Sequence[Found], output: str | None) -> Iterator[_Placed]:
    """Yield each file with the place where it is put."""
    if len(found) == 1 and isinstance(found[0], File):
        place = place_of_one(output, _name(found[0]))
        yield _Placed(found[0], place.parent, place.name)
        return
    folder = Path(output or "")
    for one in found:
        if isinstance(one, File):
            yield _Placed(one, folder, _name(one))
        else:
            yield from (_Placed(file, folder, file.path) for file in files_of(one))


def _name(file: File) -> str:
    """Return a file's own name, without its folders; an uploaded one may have none."""
    return file.path.rpartition("/")[2] or file.file_id
