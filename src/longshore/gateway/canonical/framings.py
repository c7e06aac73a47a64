"""Framings: how the messages of a stream are told apart on the wire, and what ends it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from longshore.gateway.canonical.accepting import EVENTS, JSON, preferred
from longshore.gateway.canonical.bindings import Binding
from longshore.gateway.canonical.printing import printed

_LINES: Final = "application/x-ndjson"
_BYTES: Final = "application/octet-stream"
_ZIP: Final = "application/zip"
_MEDIA_TYPE: Final = re.compile(r"[\w.+-]+/[\w.+-]+(;[\x20-\x7e]*)?")
_VISIBLE: Final = re.compile(r"[\x20-\x7e]+")


class Framing(Protocol):
    """Makes bytes of a stream. `headers` may depend on the first message."""

    #: What is sent when nothing has happened for a while; None: nothing, not even headers.
    silence: bytes | None

    def headers(self) -> Mapping[str, str]: ...

    def message(self, message: Any) -> bytes:
        """Return the bytes of a message."""
        ...

    def end(self) -> bytes:
        """Return what is still to be sent when the stream has come to a good end."""
        ...

    def failure(self, status: Status) -> bytes | None:
        """Return what says that the stream has failed; None: it can only be cut."""
        ...


def framing_of(binding: Binding, accept: str) -> Framing:
    """Return what a client asks for: lines of JSON unless it wants something else more."""
    wanted = preferred(accept)
    if binding.streams_bytes:
        return Lines(JSON) if wanted == JSON else Raw()
    return Events() if wanted == EVENTS else Lines(_LINES)


class Lines:
    """Newline-delimited JSON, `{"result": …}` or at last `{"error": …}`.

    Streams that can be resumed say so by their media type: a gateway that is going ends them.
    """

    silence: bytes | None = b""

    def __init__(self, media_type: str) -> None:
        self._media_type = media_type

    def headers(self) -> Mapping[str, str]:
        return {"content-type": self._media_type, "cache-control": "no-store"}

    def message(self, message: Message) -> bytes:
        return b'{"result":%s}\n' % printed(message)

    def end(self) -> bytes:
        return b""

    def failure(self, status: Status) -> bytes | None:
        return b'{"error":%s}\n' % printed(status)


class Events:
    """Server-sent events of the same objects; the id of one is the revision to resume after."""

    silence: bytes | None = b":\n\n"

    def headers(self) -> Mapping[str, str]:
        # Proxies are asked to hand on each event as it comes.
        return {
            "content-type": EVENTS,
            "cache-control": "no-store",
            "x-accel-buffering": "no",
        }

    def message(self, message: Message) -> bytes:
        if not message.ListFields():
            return b":\n\n"  # A heartbeat of the server.
        revision = _revision(message)
        head = b"id: %d\n" % revision if revision else b""
        return b'%sdata: {"result":%s}\n\n' % (head, printed(message))

    def end(self) -> bytes:
        return b""

    def failure(self, status: Status) -> bytes | None:
        return b'data: {"error":%s}\n\n' % printed(status)


class Raw:
    """The bytes of a file, with what is known of it in the headers.

    Files are others': whatever they hold, a browser runs nothing of it as if it came from here.
    Whether the bytes are those that were stored is known at the end: the last piece is held back
    until then, so that nobody takes what is damaged for the whole.
    """

    silence: bytes | None = None

    def __init__(self) -> None:
        self._headers: dict[str, str] | None = None
        self._held = b""

    def headers(self) -> Mapping[str, str]:
        return {
            "content-type": _BYTES,
            "content-disposition": "attachment",
            **(self._headers or {}),
            "cache-control": "no-store",
            "content-security-policy": "sandbox",
            "x-content-type-options": "nosniff",
        }

    def message(self, message: Any) -> bytes:
        if self._headers is None:
            self._headers = _facts(message)
        data, self._held = self._held, message.data
        return data

    def end(self) -> bytes:
        return self._held

    def failure(self, status: Status) -> bytes | None:
        return None


def _revision(message: Any) -> int:
    """Return the revision after which a stream goes on; 0 if it cannot after this message.

    All chunks of a result have its revision, and whoever has it is sent none of them again.
    """
    fields = message.DESCRIPTOR.fields_by_name
    if "revision" not in fields:
        return 0
    if "total_chunks" in fields and message.chunk < message.total_chunks:
        return 0
    revision: int = message.revision
    return revision


def _facts(message: Any) -> dict[str, str]:
    """Return headers out of the first message of a file."""
    fields = message.DESCRIPTOR.fields_by_name
    if "file" not in fields:
        kind = message.content_type if "content_type" in fields else _ZIP
        return {"content-type": kind} if _MEDIA_TYPE.fullmatch(kind) else {}
    file = message.file
    facts = {
        "content-type": file.content_type if _MEDIA_TYPE.fullmatch(file.content_type) else "",
        "content-encoding": file.content_encoding,
        "content-disposition": file.content_disposition,
        "content-length": str(file.size),
    }
    return {name: value for name, value in facts.items() if _VISIBLE.fullmatch(value)}
