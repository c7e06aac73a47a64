"""What the gRPC core is told: how much it lets anyone send, and how long it waits for whom.

Names that the core does not know are ignored silently, and the documentation of many is one
line of a header file: what each of these does was tried out, and tests hold on to it.
"""

from __future__ import annotations

import sys
from typing import Final, TypeAlias

from longshore.core.limits import MESSAGE_BYTES, MIB
from longshore.server.limits import AccessLimits

if sys.platform != "win32":
    import resource

Options: TypeAlias = tuple[tuple[str, int], ...]

HANDSHAKE_SECONDS: Final = 10  #: For TLS and the first settings of HTTP/2 together.
SETTINGS_SECONDS: Final = 20  #: Until settings are acknowledged.
#: How long a connection without a call is kept; clients open another when they need one. It
#: also ends those on which a header never ends, which no other bound does.
IDLE_SECONDS: Final = 120

HEADER_BYTES: Final = 16 * 1024  #: Of all headers of a call: tokens of issuers can be long.

_PENDING: Final = 10_000  #: Calls that have come in and that nobody looked at yet.

#: File descriptors that no connection may take: those of the store and of files under way.
_RESERVED_DESCRIPTORS: Final = 256

_OPTIONS: Final[Options] = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # The spelling with `recv` is ignored silently.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # What one stream may send ahead of its reading. Left to itself the window follows the
    # speed of the connection, and uploads grow the server by a hundred mebibytes.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 2 * MIB),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    # Both: between a soft and a hard limit calls are refused at random.
    ("grpc.max_metadata_size", HEADER_BYTES),
    ("grpc.absolute_max_metadata_size", HEADER_BYTES),
    # Left to itself the core cancels calls of anybody from a thousand waiting ones on, by
    # chance, and all from three thousand: one burst of one caller is enough.
    ("grpc.server.max_pending_requests", _PENDING),
    ("grpc.server.max_pending_requests_hard_limit", 2 * _PENDING),
)


def core_options(limits: AccessLimits, *, shared: bool = False) -> Options:
    """Return the options of a server, whose port may be shared on purpose."""
    return (
        *_OPTIONS,
        # Else one process has the port; a second one is told so instead of sharing it by chance.
        ("grpc.so_reuseport", int(shared)),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_SECONDS * 1_000),
        ("grpc.http2.settings_timeout", SETTINGS_SECONDS * 1_000),
        ("grpc.max_connection_idle_ms", IDLE_SECONDS * 1_000),
        # On one connection a principal may have all its streams, and as many calls besides:
        # whoever has too many is told so by us, instead of waiting in its own library. Calls
        # count until they are tidied away, also those that were cancelled at once: else one
        # connection could fill the queue of all with them.
        ("grpc.max_concurrent_streams", 2 * limits.streams_per_principal),
        ("grpc.max_allowed_incoming_connections", _connections()),
    )


def _connections() -> int:
    """Return how many connections there may be, so that the store can still open files."""
    if sys.platform == "win32":
        return 2**31 - 1
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if descriptors == resource.RLIM_INFINITY:
        return 2**31 - 1
    return max(descriptors - _RESERVED_DESCRIPTORS, descriptors // 2)
