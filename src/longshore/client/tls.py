"""TLS: whom a client trusts, what it shows of itself, and what goes wrong with it."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from longshore.client.errors import InvalidValue
from longshore.client.rereading import read

#: What gRPC says of connections that do not come about, and what it means.
_FAULTS: Final = (
    ("Hostname Verification Check failed", "its certificate is for another name"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS"),
)
_UNTRUSTED: Final = re.compile(r"CERTIFICATE_VERIFY_FAILED(?:: ([^:]+))?")
_HUNG_UP: Final = "Socket closed"


@dataclass(frozen=True, slots=True)
class Tls:
    """How a client speaks TLS; all files are PEM, and are read again when they change."""

    ca: Path | None = None  #: Whom it trusts; None: whom the machine trusts.
    #: What it shows to servers that want to see a certificate; goes with its key.
    certificate: Path | None = None
    key: Path | None = None
    #: Whose certificate is expected, where it is not for the name that is connected to.
    server_name: str = ""

    def __post_init__(self) -> None:
        if (self.certificate is None) is not (self.key is None):
            raise InvalidValue("a certificate goes with its key")

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(file for file in (self.ca, self.certificate, self.key) if file)

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        """What channels are opened with besides the credentials."""
        return (
            (("grpc.ssl_target_name_override", self.server_name),) if self.server_name else ()
        )

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files. Raises `InvalidValue` that names the one that cannot be used."""
        trusted = _trusted_here() if self.ca is None else _trusted_in(self.ca)
        if self.certificate is None or self.key is None:
            return grpc.ssl_channel_credentials(trusted)
        key, chain = read(self.key, "key"), read(self.certificate, "certificate")
        _check_pair(self.certificate, self.key)
        return grpc.ssl_channel_credentials(trusted, key, chain)


def fault(details: str, *, secure: bool) -> str:
    """Return what gRPC's words about a lost connection mean; empty if they are not of TLS."""
    if untrusted := _UNTRUSTED.search(details):
        why = f" ({untrusted[1].strip()})" if untrusted[1] else ""
        return f"its certificate is not trusted{why}"
    for words, meaning in _FAULTS:
        if words in details:
            return meaning
    if _HUNG_UP not in details:
        return ""
    if secure:
        return "it hung up during TLS: it may want a client certificate that it trusts"
    return "it hung up at once: it may want TLS"


def _trusted_here() -> bytes | None:
    """Return whom the machine trusts; None, which is gRPC's own list, if it does not say."""
    trusted = ssl.create_default_context().get_ca_certs(binary_form=True)
    return "".join(map(ssl.DER_cert_to_PEM_cert, trusted)).encode() or None


def _trusted_in(ca: Path) -> bytes:
    """gRPC itself would take what is broken without a word, and then trust nobody."""
    pem = read(ca, "CA")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode())
    except (ssl.SSLError, ValueError):
        raise InvalidValue(f"CA {ca} holds no certificate as PEM") from None
    return pem


def _check_pair(certificate: Path, key: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except InvalidValue:
        raise InvalidValue(f"key {key} has a password; take it off") from None
    except OSError as error:  # of which those of ssl are
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            told = f"key {key} is not that of the certificate {certificate}"
        else:
            told = f"certificate {certificate} or key {key} holds none as PEM"
        raise InvalidValue(told) from None


def _no_password() -> str:
    raise InvalidValue("there is none")
