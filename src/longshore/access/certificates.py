"""Names in certificates: subjects as RFC 4514 writes them, and alternative names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from cryptography import x509

from longshore.core.access import Certificate

_SUBJECT: Final = re.compile(r"\s*[A-Za-z0-9.-]+\s*=")


def normal(name: str) -> str:
    """Return a name of a certificate as we compare it.

    Raises `ValueError` if it begins like a subject and is none.
    """
    if not _SUBJECT.match(name):
        return name
    try:
        return x509.Name.from_rfc4514_string(name).rfc4514_string()
    except ValueError:
        raise ValueError(
            "is no subject as RFC 4514 writes it, such as CN=press,O=Longshore"
        ) from None


def names(certificate: Certificate) -> Iterator[str]:
    """Yield what a certificate may be mapped by: its subject first."""
    if certificate.subject:
        try:
            yield normal(certificate.subject)
        except ValueError:
            yield certificate.subject  # Some subjects are beyond the parser.
    yield from certificate.names
