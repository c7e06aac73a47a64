"""Transports: what calls go over. A channel of gRPC is one; what behaves like it is another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from grpc import ChannelConnectivity, StatusCode
from grpc.aio import Metadata

_Encode: TypeAlias = Callable[[Any], bytes]
_Decode: TypeAlias = Callable[[bytes], Any]


class Call(Protocol):
    """A call that is under way."""

    def cancel(self) -> bool: ...

    def add_done_callback(self, callback: Callable[[Any], None], /) -> None: ...


class Answers(Call, Protocol):
    """A call that is answered by messages one by one."""

    async def read(self) -> Any:
        """Return the next, or `EOF`. Raises `AioRpcError`."""
        ...


class Requests(Call, Awaitable[Any], Protocol):
    """A call that asks by messages one by one; whoever awaits it gets the answer."""

    async def write(self, request: Any, /) -> None: ...

    async def done_writing(self) -> None: ...

    async def code(self) -> StatusCode: ...

    async def details(self) -> str: ...

    async def trailing_metadata(self) -> Metadata: ...


class Transport(Protocol):
    """A way to one server, which may or may not be connected."""

    def get_state(self, try_to_connect: bool = False) -> ChannelConnectivity: ...

    async def wait_for_state_change(
        self, last_observed_state: ChannelConnectivity, /
    ) -> None: ...

    async def close(self) -> None: ...

    def unary_unary(
        self, method: str, request_serializer: _Encode, response_deserializer: _Decode, /
    ) -> Callable[..., Awaitable[Any]]: ...

    def unary_stream(
        self, method: str, request_serializer: _Encode, response_deserializer: _Decode, /
    ) -> Callable[..., Answers]: ...

    def stream_unary(
        self, method: str, request_serializer: _Encode, response_deserializer: _Decode, /
    ) -> Callable[..., Requests]: ...
