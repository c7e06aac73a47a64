"""Forms of requests, read within bounds."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from longshore.gateway.faults import Malformed, TooLarge, UnsupportedMedia
from longshore.gateway.requests import bounded, media_type
from longshore.gateway.settings import Limits

MULTIPART: Final = "multipart/form-data"

_ENCODED: Final = "application/x-www-form-urlencoded"


async def form_of(request: Request, limits: Limits) -> FormData:
    """Return the fields of a form, URL-encoded or multipart. Raises `Fault`s.

    Files in it are on disk but for their beginnings; whoever gets the form has to close it.
    """
    kind = media_type(request)
    if kind not in (_ENCODED, MULTIPART):
        raise UnsupportedMedia("a form is needed")
    length = request.headers.get("content-length", "")
    most = limits.upload_bytes if kind == MULTIPART else limits.body_bytes
    if length.isdecimal() and int(length) > most:
        raise TooLarge(f"the form has more than {most} bytes")
    try:
        if kind == MULTIPART:
            return await _Parts.read(bounded(request, most), limits)
        return await bounded(request, most).form(
            max_fields=limits.form_fields, max_part_size=limits.body_bytes
        )
    except (MultiPartException, HTTPException) as error:
        told = error.message if isinstance(error, MultiPartException) else error.detail
        raise (TooLarge if "maximum" in told.lower() else Malformed)(told) from None
    except UnicodeError as error:  # of a charset whose own errors the parser does not know
        raise Malformed(f"the form cannot be decoded: {error}") from None


class _Parts(MultiPartParser):
    """Reads parts. The fields among them are held in memory: together they are bounded."""

    spool_max_size = 64 * 1024

    _is_ended = False

    @classmethod
    async def read(cls, request: Request, limits: Limits) -> FormData:
        """Return the parts of a body. Raises `MultiPartException`, also if it was cut off."""
        parser = cls(
            request.headers,
            request.stream(),
            max_files=limits.form_fields,
            max_fields=limits.form_fields,
            max_part_size=limits.body_bytes,
        )
        form = await parser.parse()
        if not parser._is_ended:
            await form.close()
            raise MultiPartException("the form does not come to its end")
        return form

    def on_part_end(self) -> None:
        super().on_part_end()
        _, field = self.items[-1]
        if isinstance(field, str):
            self.max_part_size -= len(field)

    def on_end(self) -> None:
        self._is_ended = True
