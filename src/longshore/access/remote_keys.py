"""A key set behind a URL: fetched before it is old, and again when an unknown key is named."""

from __future__ import annotations

import asyncio
import http.client
import urllib.request
from collections.abc import Callable
from typing import IO, Final

import structlog

from longshore.access.keys import Keys, parse

log = structlog.get_logger()

FETCH_EVERY: Final = 300.0  #: Seconds between fetches while all is well.
RETRY_AFTER: Final = 10.0  #: Seconds between fetches at least, whoever asks.
USABLE_FOR: Final = 3_600.0  #: Seconds that keys serve when they cannot be fetched any more.
PATIENCE: Final = 5.0  #: Seconds for an answer.
_LARGEST: Final = 1024 * 1024  #: Bytes.


class RemoteKeys:
    """The keys behind a URL, as far as they are known. Begins without any.

    `changed` is called when a key is gone: what it has signed is believed no longer.
    """

    def __init__(
        self, url: str, *, monotonic: Callable[[], float], changed: Callable[[], None]
    ) -> None:
        self.keys: Keys = ()
        self._url = url
        self._monotonic = monotonic
        self._changed = changed
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self._failing = False

    @property
    def fetching(self) -> bool:
        return self._fetching is not None

    def look(self) -> None:
        """Begin to fetch if it is time to; forget keys that are too old."""
        now = self._monotonic()
        if now - self._fetched >= USABLE_FOR:
            self._replace(())
        if now - self._fetched >= FETCH_EVERY:
            self._begin(now)

    async def renew(self) -> None:
        """Fetch, unless that was tried just now; wait for the fetch that is under way."""
        self._begin(self._monotonic())
        if self._fetching is not None:
            # Others wait for the same fetch: who gives up does not end it for them.
            await asyncio.wait([self._fetching])

    async def close(self) -> None:
        """End a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _begin(self, now: float) -> None:
        if self._fetching is None and now - self._tried >= RETRY_AFTER:
            self._tried = now
            self._fetching = asyncio.create_task(self._fetch(), name=f"keys of {self._url}")

    async def _fetch(self) -> None:
        try:
            keys = await asyncio.to_thread(_fetched, self._url)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._complain(error)
        else:
            self._fetched = self._monotonic()
            if self._failing:
                log.info("keys_fetched_again", url=self._url)
            self._failing = False
            self._replace(keys)
        finally:
            self._fetching = None

    def _complain(self, error: Exception) -> None:
        """Say once that keys cannot be fetched, not at every attempt."""
        if not self._failing:
            log.error("keys_unavailable", url=self._url, error=str(error))
        self._failing = True

    def _replace(self, keys: Keys) -> None:
        kept = {(key.id, key.fingerprint) for key in keys}
        lost = any((key.id, key.fingerprint) not in kept for key in self.keys)
        self.keys = keys
        if lost:
            self._changed()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Keys come from where the operator said, by TLS, or not at all."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:
        return None


def _fetched(url: str) -> Keys:
    """Fetch keys. Blocks. Raises `OSError`, `HTTPException` and `ValueError`."""
    opener = urllib.request.build_opener(_NoRedirects)
    wanted = {"Accept": "application/json", "User-Agent": "longshore"}
    request = urllib.request.Request(url, headers=wanted)  # noqa: S310 - https, or loopback
    with opener.open(request, timeout=PATIENCE) as answer:
        document: bytes = answer.read(_LARGEST + 1)
    if len(document) > _LARGEST:
        raise ValueError("is too large for a set of keys")
    return parse(document)
