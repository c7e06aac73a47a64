"""Servers to choose from: any one of them, the next when it is gone."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from typing import Any, Final

from grpc import ChannelConnectivity
from grpc.aio import AioRpcError

from longshore.client.callers import Caller
from longshore.client.errors import CallError, lost, untrusted
from longshore.client.opened import Opened
from longshore.client.rereading import LOOK_SECONDS
from longshore.client.tls import fault
from longshore.client.transports import Transport

#: What gRPC says of a channel, it says to calls only. This one has no effect if it is served.
_ANY_METHOD: Final = "/grpc.health.v1.Health/Check"
_WORDS_SECONDS: Final = 1.0


class Servers:
    """One of several servers at a time: the first in turn that can be connected.

    Whoever begins with whom is left to chance, so that many clients spread over the servers;
    each stays with one for as long as it is there. gRPC itself does this for the addresses that
    one name stands for; this does it for several names. A channel that has failed tries to
    reconnect by itself, less and less often.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._opened = Opened(caller)
        self._turn = 0

    async def close(self) -> None:
        await self._opened.close()

    async def connected(self, patience: float | None, *, wait: bool = False) -> Transport:
        """Return the channel to the server whose turn it is, connected.

        Raises `Unavailable` if all servers refuse, or are silent for `patience` seconds (None:
        as long as the channels allow); with `wait`, it waits for one that does not refuse.
        """
        channel = self._opened.now()[self._turn]
        if channel.get_state() is ChannelConnectivity.READY:
            return channel
        try:
            async with asyncio.timeout(patience):
                while not (found := await self._first()):
                    if not wait:
                        raise await self._refusal()
                    await self._change()
        except TimeoutError:
            raise lost(f"{self} did not answer within {patience:g} s") from None
        return found

    def using(self, channel: Transport) -> AbstractContextManager[None]:
        """Keep a channel open until the block ends; without it, it may be closed as outdated."""
        return self._opened.using(channel)

    def carry(self, call: Any, channel: Transport) -> None:
        """Keep a channel open until a call over it has ended."""
        self._opened.carry(call, channel)

    def pass_over(self, channel: Transport) -> None:
        """Let the next server have its turn, unless somebody did so already."""
        channels = self._opened.now()
        if channel is channels[self._turn]:
            self._turn = (self._turn + 1) % len(channels)

    def __str__(self) -> str:
        return " or ".join(self._caller.servers)

    async def _first(self) -> Transport | None:
        """Return the first channel in turn that can be connected."""
        failed = 0
        while failed < len(self._caller.servers):
            channel = self._opened.now()[self._turn]
            with self._opened.using(channel):
                is_connected = await _is_connected(channel)
            if channel not in self._opened.now():
                continue  # The files have changed meanwhile: another has taken its place.
            if is_connected:
                return channel
            self.pass_over(channel)
            failed += 1
        return None

    async def _change(self) -> None:
        """Wait until a channel, all of which have failed, may not fail any more.

        Files may have changed when it is time to look at them again.
        """
        failed = ChannelConnectivity.TRANSIENT_FAILURE
        channels = self._opened.now()
        with self._opened.using(*channels):
            changes = [
                asyncio.ensure_future(channel.wait_for_state_change(failed))
                for channel in channels
            ]
            try:
                look = LOOK_SECONDS if self._caller.secure else None
                await asyncio.wait(changes, timeout=look, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for change in changes:
                    change.cancel()
                await asyncio.gather(*changes, return_exceptions=True)

    async def _refusal(self) -> CallError:
        """Return why no server could be connected."""
        for channel in self._opened.now():
            if why := fault(await self._words(channel), secure=self._caller.secure):
                return untrusted(f"there is no connection to {self}: {why}")
        return lost(f"there is no connection to {self}")

    async def _words(self, channel: Transport) -> str:
        """Return what gRPC says of a channel that has failed."""
        with self._opened.using(channel):
            try:
                call = channel.unary_unary(_ANY_METHOD, bytes, bytes)
                await call(b"", timeout=_WORDS_SECONDS)
            except AioRpcError as error:
                return error.details() or ""
        return ""


async def _is_connected(channel: Transport) -> bool:
    """Connect, unless that has just failed; false if it fails."""
    connecting = (ChannelConnectivity.IDLE, ChannelConnectivity.CONNECTING)
    while (state := channel.get_state(try_to_connect=True)) in connecting:
        await channel.wait_for_state_change(state)
    return state is not ChannelConnectivity.TRANSIENT_FAILURE
