"""Origins: who asked for what an event tells, in the few bytes that are kept beside it."""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii as _text
from typing import NamedTuple

from longshore.core.callers import SERVER, Caller


class Origin(NamedTuple):
    """Who asked for a change, in the tenant of the event; as `Caller` otherwise."""

    principal: str
    request_id: str
    address: str


def encode(caller: Caller | None) -> str:
    """Return the JSON list of an origin; empty if the server did it by itself."""
    if caller is None or caller.principal == SERVER.principal:
        return ""
    # A third of what `json.dumps` takes, and every submit has one of its own.
    return f"[{_text(caller.principal)},{_text(caller.request_id)},{_text(caller.address)}]"


def decode(kept: str | None) -> Origin | None:
    """Return an origin as it was encoded."""
    return Origin._make(json.loads(kept)) if kept else None
