"""Channels that are open: those of now, and older ones that calls go over still."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from longshore.client.callers import Caller
from longshore.client.transports import Transport

_MESSAGE_BYTES: Final = 4 * 1024 * 1024

#: Of every channel to a server, also of a worker's.
CHANNEL_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    # How long a server may take to accept a connection.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    # Channels with equal options share their connections otherwise.
    ("grpc.use_local_subchannel_pool", 1),
)
_OPTIONS: Final = (
    *CHANNEL_OPTIONS,
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 30_000),
)


class Opened:
    """A channel to each server of a caller.

    When the files change by which they are secured they are all opened anew; the old ones are
    closed when nobody uses them any more.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._credentials = caller.credentials()
        self._channels = self._open()
        self._users = Counter[Transport]()
        self._old: set[Transport] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def now(self) -> Sequence[Transport]:
        """Return the channels that are to be used from now on."""
        credentials = self._caller.credentials()
        if credentials is not self._credentials:
            self._credentials = credentials
            self._old.update(self._channels)
            old, self._channels = self._channels, self._open()
            for channel in old:
                self._close_unused(channel)
        return self._channels

    @contextmanager
    def using(self, *channels: Transport) -> Generator[None]:
        """Keep channels open until the block ends."""
        self._users.update(channels)
        try:
            yield
        finally:
            for channel in channels:
                self._release(channel)

    def carry(self, call: Any, channel: Transport) -> None:
        """Keep a channel open until a call that goes over it has ended."""
        self._users[channel] += 1

        def ended(_: object) -> None:
            self._release(channel)

        call.add_done_callback(ended)

    async def close(self) -> None:
        await asyncio.gather(*(one.close() for one in (*self._channels, *self._old)))
        await asyncio.gather(*self._closing)

    def _open(self) -> Sequence[Transport]:
        return [self._caller.open(server, _OPTIONS) for server in self._caller.turns]

    def _release(self, channel: Transport) -> None:
        self._users[channel] -= 1
        self._close_unused(channel)

    def _close_unused(self, channel: Transport) -> None:
        if channel in self._old and not self._users[channel]:
            self._old.remove(channel)
            del self._users[channel]
            closing = asyncio.get_running_loop().create_task(channel.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
