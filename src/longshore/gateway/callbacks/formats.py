"""Formats: an operation that has ended, as the dialect that was asked for shows it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from google.protobuf.json_format import MessageToDict

from longshore.client import Relayed
from longshore.gateway.dialects import Gateway
from longshore.v1.operation_service_pb2 import GetOperationResponse


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
    shown = MessageToDict(ended.operation)
    return Content(
        ended.url, "application/json", json.dumps(shown, ensure_ascii=False).encode()
    )


FORMATS: Final[Mapping[str, Format]] = {"native": _native}
