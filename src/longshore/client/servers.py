"""Servers to choose from, and the channels to them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import grpc
from grpc import ChannelConnectivity
from grpc.aio import Channel

from longshore.client.errors import InvalidValue, lost

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


class Servers:
    """One of several servers at a time: the first in turn that can be connected.

    gRPC itself does this for the addresses that one name stands for; this does it for several
    names. A channel that has failed tries to reconnect by itself, less and less often.
    """

    def __init__(
        self, addresses: Sequence[str], credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        self._addresses = addresses
        self._channels = [_channel(address, credentials) for address in addresses]
        self._turn = 0

    async def close(self) -> None:
        await asyncio.gather(*(channel.close() for channel in self._channels))

    async def connected(self, patience: float | None, *, wait: bool = False) -> Channel:
        """Return the channel to the server whose turn it is, connected.

        Raises `Unavailable` if all servers refuse, or are silent for `patience` seconds (None:
        as long as the channels allow); with `wait`, it waits for one that does not refuse.
        """
        channel = self._channels[self._turn]
        if channel.get_state() is ChannelConnectivity.READY:
            return channel
        try:
            async with asyncio.timeout(patience):
                while not (found := await self._first()) and wait:
                    await self._change()
        except TimeoutError:
            raise lost(f"{self} did not answer within {patience:g} s") from None
        if not found:
            raise lost(f"there is no connection to {self}")
        return found

    def pass_over(self, channel: Channel) -> None:
        """Let the next server have its turn, unless somebody did so already."""
        if channel is self._channels[self._turn]:
            self._turn = (self._turn + 1) % len(self._channels)

    def __str__(self) -> str:
        return " or ".join(self._addresses)

    async def _first(self) -> Channel | None:
        """Return the first channel in turn that can be connected."""
        for _ in self._channels:
            channel = self._channels[self._turn]
            if await _is_connected(channel):
                return channel
            self.pass_over(channel)
        return None

    async def _change(self) -> None:
        """Wait until one of the channels, which have all failed, may not fail any more."""
        failed = ChannelConnectivity.TRANSIENT_FAILURE
        changes = [
            asyncio.ensure_future(channel.wait_for_state_change(failed))
            for channel in self._channels
        ]
        try:
            await asyncio.wait(changes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for change in changes:
                change.cancel()
            await asyncio.gather(*changes, return_exceptions=True)


def split_addresses(servers: str | Sequence[str]) -> tuple[str, ...]:
    """Return the addresses that are written as `host:port,host:port` or one by one.

    Raises `InvalidValue` if there is none.
    """
    written = servers.split(",") if isinstance(servers, str) else servers
    addresses = tuple(address.strip() for address in written if address.strip())
    if not addresses:
        raise InvalidValue("no server is named")
    return addresses


def _channel(address: str, credentials: grpc.ChannelCredentials | None) -> Channel:
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=_OPTIONS)
    return grpc.aio.secure_channel(address, credentials, options=_OPTIONS)


async def _is_connected(channel: Channel) -> bool:
    """Connect, unless that has just failed; false if it fails."""
    connecting = (ChannelConnectivity.IDLE, ChannelConnectivity.CONNECTING)
    while (state := channel.get_state(try_to_connect=True)) in connecting:
        await channel.wait_for_state_change(state)
    return state is not ChannelConnectivity.TRANSIENT_FAILURE
