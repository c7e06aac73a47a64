"""Submits: what the submits of all kinds have in common."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Final

from google.protobuf.message import Message

from longshore.core.changes import Key
from longshore.core.errors import NotFound, QueueNotFound
from longshore.core.limits import REQUEST_ID_CHARACTERS
from longshore.core.operations import Kind
from longshore.server import wire
from longshore.server.checks import at_most
from longshore.server.directory import Offers
from longshore.server.options import Wanted
from longshore.server.plan_checks import at
from longshore.v1.operation_pb2 import Options
from longshore.v1.task_service_pb2 import Task

# Tasks, jobs and launches have spec and options in the same places.
_SPEC, _OPTIONS = Task.SPEC_FIELD_NUMBER, Task.OPTIONS_FIELD_NUMBER
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_quoted = encode_basestring  # A JSON text; faster than an encoder for whole objects.


def check_request_id(request_id: str) -> None:
    """Raise `LimitExceeded` if a request id is too long."""
    at_most("request_id", REQUEST_ID_CHARACTERS, len(request_id))


def document_of(spec: bytes, options: Options | None, *, keyed: bool) -> bytes:
    """Return spec and options as they are stored; equal ones alike, if a key compares them."""
    document = wire.part(_SPEC, spec)
    if options is not None:
        encoded = options.SerializeToString(deterministic=keyed)
        document += wire.part(_OPTIONS, encoded) if encoded else b""
    return document


def key_of(request_id: str, kind: Kind, body: bytes) -> Key | None:
    """Return what makes a repeat find the first, if the caller gave a request id."""
    if not request_id:
        return None
    # What is said of one kind may have the same bytes as something else said of another.
    return Key(request_id, hashlib.sha256(bytes((kind,)) + body).digest())


def body_of(spec: Message, options: Options | None) -> bytes:
    """Return what two submits with the same request id have in common."""
    return document_of(spec.SerializeToString(deterministic=True), options, keyed=True)


def refuse_unknown(wanted: Wanted, offers: Offers, missing: NotFound | None) -> None:
    """Raise what the spec names and nobody has offered, unless that was said to be fine."""
    if wanted.allow_unregistered:
        return
    if missing is not None:
        raise missing
    if wanted.queue not in offers.queues:
        raise at("options.queue", QueueNotFound(wanted.queue))


def trace_of(text: str | None) -> str | None:
    """Return a trace context, if that is what a header holds."""
    return text if text and _TRACEPARENT.fullmatch(text) else None


def attributes_of(
    members: Mapping[str, str | int], labels: Mapping[str, str] | None
) -> str | None:
    """Return the JSON of what lists filter by, as far as it is set."""
    pieces: list[str] = []
    for name, value in members.items():
        if value:
            text = _quoted(value) if isinstance(value, str) else str(value)
            pieces.append(f'"{name}":{text}')
    if labels:
        pairs = ",".join([f"{_quoted(key)}:{_quoted(labels[key])}" for key in labels])
        pieces.append(f'"labels":{{{pairs}}}')
    return f"{{{','.join(pieces)}}}" if pieces else None
