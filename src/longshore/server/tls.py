"""TLS: the server's certificate and key, read again when they change on the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

log = structlog.get_logger()

T = TypeVar("T")

#: What tells one state of a file from another; None where there is no file.
_Mark: TypeAlias = tuple[int, int, int] | None


class CannotServeTls(OSError):
    """A file that TLS needs cannot be used; says which one, and why."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of a server that speaks TLS, of version 1.2 or later; all are PEM."""

    certificate: Path  #: Followed by those that lead from it to its CA, if there are any.
    key: Path
    #: If it is there, every client must show a certificate of one of its CAs.
    client_ca: Path | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """Return what a port is opened with. Raises `CannotServeTls`.

        Whenever a client connects the files are looked at. Those that were replaced hold from
        then on, unless they are unusable, or do not fit one another yet; connections that are
        there already go on.
        """
        kept = _Kept(self)
        news: Any = kept.news  # The stubs do not know that gRPC takes None for no news.
        return grpc.dynamic_ssl_server_credentials(
            kept.configuration(), news, self.client_ca is not None
        )

    @property
    def files(self) -> tuple[Path, ...]:
        pair = (self.certificate, self.key)
        return pair if self.client_ca is None else (*pair, self.client_ca)


class _Material(NamedTuple):
    """What the files hold, checked."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None


class _Kept:
    """The last files that could be used."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._marks = _marks(tls)
        self._material = _read(tls)
        self._looking = threading.Lock()

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        certificate, key, client_ca = self._material
        return grpc.ssl_server_certificate_configuration([(key, certificate)], client_ca)

    def news(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what has changed; None if nothing has. Called on threads of gRPC's own."""
        with self._looking:
            marks = _marks(self._tls)
            if marks == self._marks:
                return None
            self._marks = marks
            try:
                material = _read(self._tls)
            except CannotServeTls as error:
                log.error("tls_unchanged", error=str(error))  # noqa: TRY400 - says it all
                return None
            if material == self._material:
                return None
            self._material = material
            log.info("tls_reloaded", certificate=str(self._tls.certificate))
            return self.configuration()


def _marks(tls: Tls) -> tuple[_Mark, ...]:
    return tuple(map(_mark, tls.files))


def _mark(file: Path) -> _Mark:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(tls: Tls) -> _Material:
    """Read the files. Raises `CannotServeTls` unless they can be used together."""
    material = _Material(
        _bytes(tls.certificate),
        _bytes(tls.key),
        None if tls.client_ca is None else _bytes(tls.client_ca),
    )
    certificate = _certificates(tls.certificate, material.certificate)[0]
    key = _parsed(tls.key, "private key", lambda: load_pem_private_key(material.key, None))
    if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey):
        raise CannotServeTls(f"{tls.key}: gRPC serves keys of RSA and ECDSA only")
    if key.public_key() != certificate.public_key():
        raise CannotServeTls(f"{tls.key} is not the key of the certificate {tls.certificate}")
    if tls.client_ca is not None and material.client_ca is not None:
        _certificates(tls.client_ca, material.client_ca)
    _warn_of_expiry(tls.certificate, certificate)
    return material


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CannotServeTls(f"{file} cannot be read: {error.strerror or error}") from None


def _certificates(file: Path, pem: bytes) -> list[x509.Certificate]:
    return _parsed(file, "certificate", lambda: x509.load_pem_x509_certificates(pem))


def _parsed(file: Path, what: str, parse: Callable[[], T]) -> T:
    try:
        return parse()
    except TypeError:
        raise CannotServeTls(f"{file}: the {what} has a password; take it off") from None
    except ValueError:
        raise CannotServeTls(f"{file} holds no {what} as PEM") from None


def _warn_of_expiry(file: Path, certificate: x509.Certificate) -> None:
    ends = certificate.not_valid_after_utc
    if ends < datetime.now(UTC):
        log.warning("certificate_expired", certificate=str(file), expired=ends.isoformat())
