"""Sending: one HTTP request to an address that was looked at, and how it was answered."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Final, NamedTuple

import httpx

from longshore.gateway.callbacks.addresses import Address, Resolve, permitted
from longshore.gateway.settings import CallbackRules

_PORTS: Final = {"http": 80, "https": 443}
_ADDRESSES: Final = 4  #: Of one host, tried in turn.
_BODY_SECONDS: Final = 2.0  #: For the body of an answer, which nobody reads.

#: What every request has: nothing of this machine is told, no compression asked for.
_HEADERS: Final = {
    "user-agent": f"longshore/{version('longshore')}",
    "accept": "*/*",
    "accept-encoding": "identity",
    "connection": "close",
}


class Unanswered(Exception):
    """Nobody has answered; says why."""


class Answer(NamedTuple):
    """How a request was answered."""

    status: int
    phrase: str
    retry_after: timedelta | None  #: How long to wait, if it says so.

    def __str__(self) -> str:
        return f"{self.status} {self.phrase}".rstrip()


class Sender:
    """Sends requests whose URLs were written by strangers."""

    def __init__(self, rules: CallbackRules, resolve: Resolve) -> None:
        self._rules = rules
        self._resolve = resolve
        self._trusted = ssl.create_default_context()  # whom this machine trusts

    async def send(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Send a request once, to an http or https URL.

        No redirect is followed, no proxy asked, no cookie kept. Raises `Forbidden` and
        `Unanswered`.
        """
        seconds = self._rules.timeout.total_seconds()
        # A client of its own: no connection is taken up by a request to another host name.
        async with httpx.AsyncClient(
            verify=self._trusted,
            trust_env=False,
            timeout=seconds,
            headers={**_HEADERS, **headers},
        ) as client:
            try:
                async with asyncio.timeout(seconds):
                    addresses = await self._addresses(url)
                    response = await self._ask(client, method, url, addresses, body)
            except TimeoutError:
                raise Unanswered(f"no answer within {seconds:g} s") from None
            except httpx.TransportError as error:
                raise Unanswered(str(error) or type(error).__name__) from None
            await self._hear_out(response)
            return _answer(response)

    async def _addresses(self, url: httpx.URL) -> Sequence[Address]:
        host = url.raw_host.decode().strip("[]")
        try:
            found = await self._resolve(host, url.port or _PORTS[url.scheme])
        except OSError as error:
            raise Unanswered(f"{host} has no address: {error.strerror}") from None
        return permitted(host, found, self._rules.allowed_networks)[:_ADDRESSES]

    async def _ask(
        self,
        client: httpx.AsyncClient,
        method: str,
        url: httpx.URL,
        addresses: Sequence[Address],
        body: bytes,
    ) -> httpx.Response:
        """Return the head of the answer of the first address that can be connected."""
        share = self._rules.timeout.total_seconds() / len(addresses)
        *others, last = (
            client.build_request(
                method,
                url.copy_with(host=str(address)),
                content=body or None,
                headers={"host": url.netloc.decode()},
                timeout=httpx.Timeout(None, connect=share),
                # Whose certificate is to be shown, whatever the address.
                extensions={"sni_hostname": url.raw_host.decode().strip("[]")},
            )
            for address in addresses
        )
        for request in others:
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await client.send(request, stream=True)
        return await client.send(last, stream=True)

    async def _hear_out(self, response: httpx.Response) -> None:
        """Let who answers come to an end, within bounds; what follows the head is for nobody."""
        left = self._rules.answer_bytes
        with contextlib.suppress(httpx.TransportError, TimeoutError):
            async with asyncio.timeout(_BODY_SECONDS), contextlib.aclosing(response):
                async for chunk in response.aiter_raw():
                    left -= len(chunk)
                    if left < 0:
                        break


def _answer(response: httpx.Response) -> Answer:
    told = response.headers.get("retry-after", "")
    return Answer(response.status_code, response.reason_phrase[:100], _span(told))


def _span(retry_after: str) -> timedelta | None:
    """Return how long to wait: a number of seconds, or until a date; None: it cannot be read."""
    try:
        if retry_after.isdecimal():
            return timedelta(seconds=min(int(retry_after), 10**9))
        return max(parsedate_to_datetime(retry_after) - datetime.now(UTC), timedelta())
    except (ValueError, TypeError, OverflowError):
        return None
