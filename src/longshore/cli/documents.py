"""Messages of the contract, read from files: YAML or JSON, several documents in one file."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final, Generic, TypeVar

import click
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from longshore.cli.yaml_text import new_yaml
from longshore.client import CallError

M = TypeVar("M", bound=Message)

#: Protobuf says for each level that it failed there, and at the end why.
_LEVEL: Final = re.compile(r"Failed to parse (\w+) field: ")
_NO_FIELD: Final = re.compile(
    r'has no field named "(.*)" at "\w+\.?(.*)"\.\s.*"\[(.*)\]"', re.DOTALL
)
_PLACE: Final = re.compile(r' at "?\w+(?:\.(\S+?))?"?$')
_NO_TEXT: Final = re.compile(r"expected string or bytes-like object, got '(\w+)'")


#: What a command reads documents from.
files_argument: Final = click.argument(
    "files", nargs=-1, required=True, type=click.File(encoding="utf-8"), metavar="FILE..."
)


class BadDocument(click.ClickException):
    """A file does not hold what is wanted; says which one, where in it, and why."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Document(Generic[M]):
    """A message, and where it was read."""

    where: str  #: `orders.yaml`, or `orders.yaml, document 2` where it holds several.
    message: M


def read_documents(files: Iterable[IO[str]], kind: type[M]) -> Sequence[Document[M]]:
    """Read all documents of files as messages of a kind, before anything is done with them.

    Raises `BadDocument` at the first one that is no such message, and if there is none at all.
    """
    documents = [
        Document(where, _message(where, content, kind))
        for file in files
        for where, content in _contents(file)
    ]
    if not documents:
        raise BadDocument(f"nothing to read: there is no {kind.DESCRIPTOR.name.lower()} in it")
    return documents


@contextmanager
def naming(where: str) -> Generator[None]:
    """Let a refusal by the server say which document it refuses."""
    try:
        yield
    except CallError as error:
        error.add_note(where)
        raise


def _contents(file: IO[str]) -> Iterator[tuple[str, Any]]:
    """Yield where each document stands, and what it holds; those that are empty are skipped."""
    name = "standard input" if file.name == "<stdin>" else str(file.name)
    try:
        contents = [one for one in new_yaml().load_all(file) if one is not None]
    except MarkedYAMLError as error:
        raise BadDocument(f"{name}{_fault_of_yaml(error)}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise BadDocument(f"{name}: {error}") from None
    for number, content in enumerate(contents, 1):
        yield f"{name}, document {number}" if len(contents) > 1 else name, content


def _fault_of_yaml(error: Any) -> str:
    """Say where a text stops being YAML, and why."""
    mark = error.problem_mark
    place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{place}: {', '.join(filter(None, (error.context, error.problem)))}"


def _message(where: str, content: Any, kind: type[M]) -> M:
    if not isinstance(content, dict):
        raise BadDocument(
            f"{where}: a {kind.DESCRIPTOR.name.lower()} is a mapping of its fields"
        )
    try:
        # By way of JSON, whose keys are all texts, and whose numbers are all finite.
        return ParseDict(json.loads(json.dumps(content, allow_nan=False)), kind())
    except ParseError as error:
        raise BadDocument(f"{where}: {_fault(str(error))}") from None
    except (TypeError, ValueError) as error:
        raise BadDocument(f"{where}: {error}") from None


def _fault(text: str) -> str:
    """Say in which field a document is wrong, and why, from protobuf's account of it."""
    levels = _LEVEL.findall(text)
    text = _LEVEL.sub("", text)
    if unknown := _NO_FIELD.search(text):
        name, place, known = unknown.groups()
        fault = f"there is no field {name!r}; known are {known.replace(chr(39), '')}"
        return f"{place}: {fault}" if place else fault
    text = _NO_TEXT.sub(r"a text is wanted here, not \1: put it in quotes", text.rstrip("."))
    if said := _PLACE.search(text):
        place, text = said[1] or "", text[: said.start()].rstrip(".")
    else:
        place = ".".join(levels)
    return f"{place}: {text}" if place else text
