"""Client certificates: what gRPC knows of one that a connection has verified."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from longshore.core.access import Certificate

_SUBJECT: Final = "x509_subject"
#: Its alternative names, by type; there is a list of all, with a phrase for other types in it.
_NAMES: Final = ("peer_dns", "peer_ip", "peer_uri", "peer_email")
_PEM: Final = "x509_pem_cert"

#: Bytes beyond ASCII, which RFC 4514 allows to stand for themselves and gRPC escapes.
_ESCAPED: Final = re.compile(r"(?:\\[89A-Fa-f][0-9A-Fa-f])+")


def certificate_of(auth_context: Mapping[str, Iterable[bytes]]) -> Certificate | None:
    """Return the certificate that a client has shown; None if it has shown none.

    It is a verified one: no other is asked for or let in. Takes a few microseconds.
    """
    if _PEM not in auth_context:
        return None
    subject = b"".join(auth_context.get(_SUBJECT, ())).decode()
    if "\\" in subject:
        subject = _ESCAPED.sub(_plain, subject)
    names = (name.decode() for kind in _NAMES for name in auth_context.get(kind, ()))
    return Certificate(subject, tuple(names))


def _plain(escaped: re.Match[str]) -> str:
    """Return characters as they are, unless they are none."""
    try:
        return bytes.fromhex(escaped[0].replace("\\", "")).decode()
    except UnicodeDecodeError:
        return escaped[0]
