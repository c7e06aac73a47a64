"""Formats: an operation that has ended, as the dialect that was asked for shows it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeAlias

from longshore.client import Relayed
from longshore.gateway.canonical.printing import printed
from longshore.gateway.dialects import Gateway
from longshore.gateway.mdworkbench.logs import log_of
from longshore.gateway.mdworkbench.representations import Media, rendered
from longshore.gateway.mdworkbench.shapes import details
from longshore.gateway.vitam.shapes import async_status, callback_uri
from longshore.v1.operation_service_pb2 import GetOperationResponse

_JSON: Final = "application/json"


class Unfit(Exception):
    """An operation is of a kind that a format cannot show."""


class Content(NamedTuple):
    """Where a callback goes, and what it says."""

    url: str
    type: str
    body: bytes


class Ended(NamedTuple):
    """What a callback tells of, and who can be asked for more of it."""

    operation: GetOperationResponse
    url: str  #: As it was asked for.
    asking: Relayed
    gateway: Gateway


Format: TypeAlias = Callable[[Ended], Awaitable[Content]]


async def content_of(format: str, ended: Ended) -> Content:  # noqa: A002 - the contract's word
    """Return what a callback says. Raises `Unfit` and `CallError`."""
    return await FORMATS[format](ended)


async def _native(ended: Ended) -> Content:
    """Say what a `GET` of `/v1/any/ID` says."""
    return Content(ended.url, _JSON, printed(ended.operation))


async def _mdworkbench(ended: Ended) -> Content:
    launch = ended.operation.launch
    if not ended.operation.HasField("launch"):
        raise Unfit("only launches are told of as MDWorkbench does")
    entries = await log_of(ended.asking, launch.metadata.id)
    base = ended.gateway.links.of("mdworkbench").standing()
    shown = details(launch, entries, base, datetime.now(UTC))
    return Content(ended.url, _JSON, rendered("launch", shown, Media.JSON))


async def _vitam(ended: Ended) -> Content:
    task = ended.operation.task
    if not ended.operation.HasField("task"):
        raise Unfit("only tasks are told of as Vitam does")
    shown = async_status(task, ended.gateway.links.of("vitam").standing())
    body = json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()
    return Content(callback_uri(ended.url, task), _JSON, body)


FORMATS: Final[Mapping[str, Format]] = {
    "native": _native,
    "mdworkbench": _mdworkbench,
    "vitam": _vitam,
}
