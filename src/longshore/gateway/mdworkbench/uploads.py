"""Uploads: what requests carry, on its way into the storage."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from longshore.client import Relayed
from longshore.client.sources import Source
from longshore.gateway.faults import Malformed, Missing
from longshore.gateway.forms import MULTIPART, form_of
from longshore.gateway.requests import bounded, media_type
from longshore.gateway.settings import Limits
from longshore.v1.operation_pb2 import File

_SECONDS: Final = re.compile(r"-[0-9]+|[0-9]{1,9}")
_SEPARATORS: Final = re.compile(r"[/\\]")
_NAME_BYTES: Final = 255
_NEVER: Final = timedelta(seconds=-1)


@dataclass(frozen=True, slots=True)
class Preset:
    """What is said of a file beside its bytes."""

    file_id: str = ""  #: The file whose place it takes; empty: a new one.
    path: str = ""
    content_type: str = ""
    content_encoding: str = ""
    content_disposition: str = ""
    expire_after: timedelta | None = None  #: Negative: never; None: after 30 minutes.


_NOTHING: Final = Preset()


def preset(request: Request, file_id: str = "") -> Preset:
    """Return what the headers of a request say of its body. Raises `Malformed`."""
    headers = request.headers
    is_form = media_type(request) == MULTIPART
    return Preset(
        file_id=file_id,
        content_type="" if is_form else headers.get("content-type", ""),
        content_encoding=headers.get("content-encoding", ""),
        content_disposition=headers.get("content-disposition", ""),
        expire_after=_expiration(headers.get("content-expiration")),
    )


async def has_body(request: Request) -> bool:
    """Whether anything comes after the headers. What is no form is read to find out."""
    if "transfer-encoding" not in request.headers:
        return request.headers.get("content-length", "0").strip("0") != ""
    if media_type(request) == MULTIPART:
        return True
    async for piece in request.stream():
        if piece:
            return True
    return False


async def upload_body(own: Relayed, request: Request, told: Preset, limits: Limits) -> File:
    """Store a body, or the first file of a form, and return it. Raises `Fault`, `CallError`."""
    if media_type(request) != MULTIPART:
        return await _upload(own, bounded(request, limits.upload_bytes).stream(), told)
    form = await form_of(request, limits)
    try:
        return await upload_part(own, _first_file(form), told)
    finally:
        await form.close()


async def upload_part(own: Relayed, part: UploadFile, told: Preset = _NOTHING) -> File:
    """Store a file of a form and return it. Raises `CallError`."""
    named = replace(told, path=_name(part.filename or ""), content_type=part.content_type or "")
    return await _upload(own, part.file, named)


async def _upload(own: Relayed, source: Source, told: Preset) -> File:
    return await own.files.upload(
        source,
        path=told.path,
        content_type=told.content_type,
        content_encoding=told.content_encoding,
        content_disposition=told.content_disposition,
        expire_after=told.expire_after,
        file_id=told.file_id,
    )


def _first_file(form: FormData) -> UploadFile:
    for _, value in form.multi_items():
        if isinstance(value, UploadFile):
            return value
    raise Missing("the form has no file")


def _name(written: str) -> str:
    """Return the last part of a file's name; empty if it is none that could be kept."""
    name = _SEPARATORS.split(written)[-1]
    controls = any(unicodedata.category(character) == "Cc" for character in name)
    kept = name not in (".", "..") and not controls and len(name.encode()) <= _NAME_BYTES
    return name if kept else ""


def _expiration(seconds: str | None) -> timedelta | None:
    if seconds is None:
        return None
    if not _SECONDS.fullmatch(seconds.strip()):
        raise Malformed("Content-Expiration is a number of seconds", "Content-Expiration")
    return _NEVER if "-" in seconds else timedelta(seconds=int(seconds))
