"""Throw-away certificates: a CA, and those whom it vouches for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import trustme
from cryptography import x509

#: What a server on this machine is called.
HOSTS: Final = ("localhost", "127.0.0.1", "::1")

_GOOD_FOR: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, and the files that they are for."""

    certificate: Path
    key: Path
    leaf: trustme.LeafCert

    @property
    def subject(self) -> str:
        """As RFC 4514 writes it."""
        pem = self.leaf.cert_chain_pems[0].bytes()
        return x509.load_pem_x509_certificate(pem).subject.rfc4514_string()

    def write(self) -> None:
        _write(self.key, self.leaf.private_key_pem.bytes(), mode=0o600)
        chain = b"".join(one.bytes() for one in self.leaf.cert_chain_pems)
        _write(self.certificate, chain, mode=0o644)


@dataclass(frozen=True, slots=True)
class ThrowAway:
    """Everything that is made at once; the files are there once it is written."""

    ca: Path
    ca_pem: bytes
    hosts: tuple[str, ...]  #: All names of the server.
    server: Pair
    clients: Mapping[str, Pair]  #: By name.

    @property
    def files(self) -> list[Path]:
        pairs = (self.server, *self.clients.values())
        return [self.ca, *(file for pair in pairs for file in (pair.certificate, pair.key))]

    def write(self) -> None:
        """Put the files in their place, each of them whole. Raises `OSError`."""
        self.ca.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for pair in (self.server, *self.clients.values()):
            pair.write()
        _write(self.ca, self.ca_pem, mode=0o644)


def make(folder: Path, hosts: Iterable[str], clients: Iterable[str]) -> ThrowAway:
    """Make certificates for a folder. Raises `ValueError` if a host is no name or address."""
    authority = trustme.CA(organization_name="Longshore", organization_unit_name="throw-away")
    names = tuple(dict.fromkeys((*HOSTS, *hosts)))

    def issue(name: str, *identities: str) -> Pair:
        now = datetime.now(UTC)
        leaf = authority.issue_cert(
            *identities,
            common_name=name,
            organization_name="Longshore",
            organization_unit_name="throw-away",
            not_before=now - timedelta(days=1),  # for clocks that are late
            not_after=now + _GOOD_FOR,
        )
        return Pair(folder / f"{name}.pem", folder / f"{name}.key", leaf)

    server = issue("server", *names)
    issued = {name: issue(name) for name in clients}
    return ThrowAway(folder / "ca.pem", authority.cert_pem.bytes(), names, server, issued)


def _write(file: Path, data: bytes, *, mode: int) -> None:
    """Write a file beside its place, then move it there: a server may be reading it."""
    beside = file.with_name(f"{file.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(data)
    beside.replace(file)
