"""The web: files that are named by an address, and read from there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator, Generator
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from grpc import StatusCode
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import HTTPStore

from longshore.client.sources import PIECE_BYTES
from longshore.worker.errors import ActionError
from longshore.worker.saving import FileInfo

if TYPE_CHECKING:
    from obstore import GetResult

#: Where an address begins and whom it asks, without who asks; its path; and what follows.
_ADDRESS: Final = re.compile(r"(?i)(\bhttps?://)(?:[^\s/?#]*@)?([^\s?#]*)([?#]\S*)?")

_SCHEMES: Final = ("http", "https")
_LONGEST: Final = timedelta(days=1)
_SILENCE: Final = timedelta(minutes=1)


def is_address(uri: str) -> bool:
    """Whether this is no id. Raises `ValueError` if it is an address that cannot be read."""
    scheme, separator, _ = uri.partition("://")
    if not separator:
        return False
    if scheme.lower() not in _SCHEMES or not _host(uri):
        raise ValueError("the address of a file begins with http:// or https:// and a host")
    return True


def _host(uri: str) -> str | None:
    """Return whom an address asks; the library's words about a bad one repeat its password."""
    try:
        return urlsplit(uri).hostname
    except ValueError:
        return None


def name_of(uri: str) -> str:
    """Return the last part of an address; may be empty."""
    return unquote(urlsplit(uri).path.rpartition("/")[2])


def shown(text: str) -> str:
    """Return a text whose addresses are without passwords, queries and fragments."""
    return _ADDRESS.sub(lambda found: found[1] + found[2] + ("?…" if found[3] else ""), text)


async def look(uri: str) -> FileInfo:
    """Return what is known of a file. Raises `ActionError`."""
    with _told(uri):
        found = await _get(uri, head=True)
    size, kind = found.meta["size"], found.attributes.get("Content-Type", "")
    return FileInfo("", name_of(uri), size, str(kind), "")


async def read(uri: str) -> AsyncGenerator[bytes]:
    """Yield a file's bytes. Raises `ActionError`."""
    with _told(uri):
        found = await _get(uri, head=False)
        async for piece in found.stream(min_chunk_size=PIECE_BYTES):
            yield bytes(piece)


async def _get(uri: str, *, head: bool) -> GetResult:
    store = HTTPStore.from_url(
        uri,
        client_options={
            # From https no redirect leads to http, and from neither to anything else.
            "allow_http": urlsplit(uri).scheme == "http",
            "read_timeout": _SILENCE,
            "timeout": _LONGEST,
        },
        retry_config={"max_retries": 3},
    )
    return await store.get_async("", options={"head": head})


@contextlib.contextmanager
def _told(uri: str) -> Generator[None]:
    """Let no error of the library leave this module."""
    try:
        yield
    except FileNotFoundError:
        raise _failure(uri, "there is no such file", StatusCode.NOT_FOUND) from None
    except (PermissionDeniedError, UnauthenticatedError):
        raise _failure(uri, "it is not permitted", StatusCode.PERMISSION_DENIED) from None
    except BaseError as error:
        why = shown(str(error).partition("\n")[0])
        raise _failure(uri, why, StatusCode.UNAVAILABLE) from None


def _failure(uri: str, why: str, code: StatusCode) -> ActionError:
    address = shown(uri)
    return ActionError(f"{address} cannot be read: {why}", code=code, metadata={"uri": address})
