"""Arguments: the parameters of a service, from the fields of a form and from headers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from starlette.datastructures import FormData, Headers, UploadFile

from longshore.client import Relayed
from longshore.gateway.faults import Malformed
from longshore.gateway.mdworkbench.ids import file_argument
from longshore.gateway.mdworkbench.uploads import upload_part
from longshore.v1.catalog_service_pb2 import Parameter, ParameterType

#: Headers that clients and proxies send by themselves: parameters called so go into the body.
_NO_PARAMETERS: Final = frozenset(
    {
        *("accept", "authorization", "cache-control", "connection", "cookie", "date", "dnt"),
        *("expect", "forwarded", "from", "host", "id", "keep-alive", "origin", "pragma"),
        *("priority", "proxy-authorization", "range", "referer", "status-location", "te"),
        *("traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade"),
        *("user-agent", "via"),
    }
)
_NO_PREFIXES: Final = ("accept-", "content-", "if-", "sec-", "x-forwarded-", "x-request-")

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,17}")
#: Of digits there is one way to read them: of two, all would be tried.
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")

Given = str | UploadFile


def given(
    parameters: Iterable[Parameter], headers: Headers, form: FormData | None
) -> dict[str, Given]:
    """Return what was sent of the parameters, by slug.

    A field has to be called as its parameter, a header may be in upper or lower case. Fields
    win over headers, and of several of one name the last wins; what else was sent is no
    business of the service.
    """
    found: dict[str, Given] = {}
    for one in parameters:
        fields = form.getlist(one.slug) if form is not None else []
        values = fields or (headers.getlist(one.slug) if _is_free(one.slug) else [])
        if values:
            found[one.slug] = values[-1]
    return found


def _is_free(name: str) -> bool:
    lowered = name.lower()
    # What is not ASCII cannot be the name of a header, nor be asked for as one.
    free = lowered not in _NO_PARAMETERS and not lowered.startswith(_NO_PREFIXES)
    return free and lowered.isascii()


async def arguments_of(
    parameters: Iterable[Parameter], sent: Mapping[str, Given], base: str, own: Relayed
) -> dict[str, Any]:
    """Return the arguments of a launch, of each its parameter's type; upload what are files.

    Raises `Malformed` before anything is uploaded, and `CallError`.
    """
    by_slug = {one.slug: one for one in parameters}
    read: dict[str, Any] = {}
    files: dict[str, UploadFile] = {}
    for slug, value in sent.items():
        parameter = by_slug[slug]
        if isinstance(value, UploadFile):
            _take_file(parameter, value, files)
        elif not _is_left_out(parameter, value):
            read[slug] = _read(parameter, value, base)
    for slug, part in files.items():
        read[slug] = f"files/{(await upload_part(own, part)).file_id}"
    return read


def _take_file(parameter: Parameter, part: UploadFile, files: dict[str, UploadFile]) -> None:
    """Keep a part for the upload, unless nothing was chosen. Raises `Malformed`."""
    if not part.filename and not part.size:
        return
    if parameter.type != ParameterType.PARAMETER_TYPE_FILE:
        raise Malformed(f"{parameter.slug} is no file", parameter.slug)
    files[parameter.slug] = part


def _is_left_out(parameter: Parameter, text: str) -> bool:
    """Whether a field is there but empty, as forms send those that nobody filled in."""
    return not text and parameter.type != ParameterType.PARAMETER_TYPE_STRING


def _read(parameter: Parameter, text: str, base: str) -> Any:
    if parameter.type == ParameterType.PARAMETER_TYPE_FILE:
        return file_argument(text, base)
    reader = _READERS.get(parameter.type)
    if reader is None:
        return text
    try:
        return reader(text)
    except (ValueError, RecursionError):
        shown = "it" if parameter.password else repr(text[:100])
        raise Malformed(f"{parameter.slug}: {shown} cannot be read", parameter.slug) from None


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError
    return int(text)


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError
    return float(text)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


def _refuse(constant: str) -> float:
    raise ValueError(constant)


def _json(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


_READERS: Final[dict[int, Callable[[str], Any]]] = {
    ParameterType.PARAMETER_TYPE_INTEGER: _whole,
    ParameterType.PARAMETER_TYPE_NUMBER: _number,
    ParameterType.PARAMETER_TYPE_BOOLEAN: _boolean,
    ParameterType.PARAMETER_TYPE_LIST: _json,
    ParameterType.PARAMETER_TYPE_OBJECT: _json,
}
