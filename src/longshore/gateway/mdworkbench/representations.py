"""Representations: JSON or XML, as the client accepts it, of the same nodes.

In XML a node is an element and its scalars are attributes; a list is an element with one child
per item.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from xml.etree import ElementTree as ET

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from longshore.gateway.faults import NotAcceptable
from longshore.gateway.pouring import Streamed


class Media(enum.StrEnum):
    """What answers are written in; the first is the default."""

    JSON = "application/json"
    XML = "application/xml"


#: By which names each may be accepted.
_NAMES: Final[Mapping[Media, tuple[str, ...]]] = {
    Media.JSON: ("application/json",),
    Media.XML: ("application/xml", "text/xml"),
}

#: What the items of lists are called in XML.
_ITEMS: Final = {
    "launches": "launch",
    "services": "service",
    "arguments": "argument",
    "status": "property",
    "logEntries": "logEntry",
    "files": "file",
    "parameters": "parameter",
    "properties": "property",
}

#: What stands before, between and after the items of a list that is not empty.
_FRAMES: Final[Mapping[Media, tuple[str, str, str]]] = {
    Media.JSON: ("[", ",", "]"),
    Media.XML: ("<?xml version='1.0' encoding='utf-8'?>\n<{}>", "", "</{}>"),
}

#: Characters that XML cannot hold, however they are written.
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_MOST_RANGES: Final = 100  #: Of an `Accept` header; what follows is not read.

_QUALITY: Final = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


class _Range(NamedTuple):
    """A media range of an `Accept` header."""

    pattern: str  #: `application/xml`, `application/*` or `*/*`.
    quality: float

    def weight(self, name: str) -> int:
        """Return how closely it speaks of a media type; 0: it does not."""
        patterns = ("*/*", f"{name.partition('/')[0]}/*", name)
        return patterns.index(self.pattern) + 1 if self.pattern in patterns else 0


def accepted(request: Request) -> Media:
    """Return what the client likes best, JSON if it does not care. Raises `NotAcceptable`."""
    ranges = list(_ranges(",".join(request.headers.getlist("accept")) or "*/*"))
    best = max(Media, key=lambda media: _quality(media, ranges))
    if not _quality(best, ranges):
        raise NotAcceptable(f"there is {' or '.join(Media)}")
    return best


def answer(request: Request, root: str, shown: BaseModel | Sequence[BaseModel]) -> Response:
    """Return an answer in what the client accepts. Raises `NotAcceptable`."""
    media = accepted(request)
    return Response(rendered(root, shown, media), media_type=media)


async def answer_pages(
    request: Request, root: str, pages: AsyncIterator[Sequence[BaseModel]]
) -> Response:
    """Return an answer with a list of any length; no more than two pages of it are held.

    Raises `NotAcceptable`, and what the first two pages raise; afterwards it is broken off.
    """
    media = accepted(request)
    first, second = await anext(pages, ()), await anext(pages, None)
    if second is None:
        return Response(rendered(root, first, media), media_type=media)

    async def all_pages() -> AsyncGenerator[Sequence[BaseModel]]:
        yield first
        yield second
        async for page in pages:
            yield page

    return Streamed(_written(root, all_pages(), media), media_type=media)


async def _written(
    root: str, pages: AsyncIterator[Sequence[BaseModel]], media: Media
) -> AsyncGenerator[bytes]:
    """Yield a list in pieces, together what `rendered` returns of it as a whole."""
    begin, between, end = _FRAMES[media]
    yield begin.format(root).encode()
    written = False
    async for page in pages:
        items = between.join(_item(root, _node(one), media) for one in page)
        if items:
            yield f"{between if written else ''}{items}".encode()
            written = True
    yield end.format(root).encode()


def rendered(root: str, shown: BaseModel | Sequence[BaseModel], media: Media) -> bytes:
    """Return a node, or a list of nodes, as bytes; `root` is what XML calls it."""
    if isinstance(shown, BaseModel):
        node: Any = _node(shown)
    else:
        node = [_node(one) for one in shown]
    if media is Media.JSON:
        return _json(node).encode()
    element = ET.Element(root)
    _fill(element, root, node)
    written: bytes = ET.tostring(element, "utf-8", xml_declaration=True)
    return written


def _item(root: str, node: Any, media: Media) -> str:
    if media is Media.JSON:
        return _json(node)
    element = ET.Element(_ITEMS[root])
    _fill(element, "", node)
    return ET.tostring(element, "unicode")


def _json(node: Any) -> str:
    return json.dumps(node, ensure_ascii=False, separators=(",", ":"))


def _node(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(by_alias=True, exclude_none=True)


def _fill(element: ET.Element, name: str, node: Any) -> None:
    if isinstance(node, list):
        for item in node:  # pyright: ignore[reportUnknownVariableType]
            _fill(ET.SubElement(element, _ITEMS[name]), "", item)
        return
    for member, value in node.items():
        if isinstance(value, dict | list):
            _fill(ET.SubElement(element, member), member, value)
        else:
            element.set(member, _text(value))


def _text(value: str | bool | int) -> str:
    if isinstance(value, str):
        return _NO_XML.sub("\ufffd", value)
    return str(value).lower()  # as both JSON and XML write booleans


def _ranges(header: str) -> Iterator[_Range]:
    """Yield what a header accepts; what cannot be read accepts nothing."""
    for written in header.lower().split(",", _MOST_RANGES)[:_MOST_RANGES]:
        pattern, *parameters = (part.strip() for part in written.split(";"))
        quality = next((one[2:].strip() for one in parameters if one.startswith("q=")), "1")
        if _QUALITY.fullmatch(quality):
            yield _Range(pattern, float(quality))


def _quality(media: Media, ranges: Sequence[_Range]) -> float:
    """Return how much it is liked: what speaks of it most closely decides."""
    qualities = [0.0]
    for name in _NAMES[media]:
        closest = max(ranges, key=lambda one: one.weight(name), default=None)
        if closest is not None and closest.weight(name):
            qualities.append(closest.quality)
    return max(qualities)
