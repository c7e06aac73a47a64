"""The files by which a server speaks TLS: those that cannot be served are named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from structlog.testing import capture_logs

from longshore.server.tls import CannotServeTls, Tls
from tests.tools.certificates import Authority, Pair


@pytest.fixture
def pair(authority: Authority, tmp_path: Path) -> Pair:
    """One that may be broken."""
    return authority.server.copy(tmp_path)


def refused(tls: Tls) -> str:
    with pytest.raises(CannotServeTls) as refusal:
        tls.credentials()
    return str(refusal.value)


def test_a_certificate_is_served_with_its_key(authority: Authority) -> None:
    assert Tls(*authority.server).credentials()
    assert Tls(*authority.server, authority.ca).credentials()


@pytest.mark.parametrize("name", ["certificate", "key", "client_ca"])
def test_a_file_that_is_not_there_is_named(
    name: str, pair: Pair, authority: Authority, tmp_path: Path
) -> None:
    gone = tmp_path / "gone.pem"
    files = {**pair._asdict(), "client_ca": authority.ca, name: gone}
    assert refused(Tls(**files)) == f"{gone} cannot be read: No such file or directory"


@pytest.mark.parametrize(
    "name, said",
    [
        ("certificate", "holds no certificate as PEM"),
        ("key", "holds no private key as PEM"),
        ("client_ca", "holds no certificate as PEM"),
    ],
)
@pytest.mark.parametrize(
    "content", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nMIIB", b"\xff"], ids=repr
)
def test_a_file_that_holds_something_else_is_named(
    name: str, said: str, content: bytes, pair: Pair, authority: Authority, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_bytes(content)
    files = {**pair._asdict(), "client_ca": authority.ca, name: bad}
    assert refused(Tls(**files)) == f"{bad} {said}"


def test_a_folder_is_no_file(pair: Pair, tmp_path: Path) -> None:
    assert refused(Tls(tmp_path, pair.key)) == f"{tmp_path} cannot be read: Is a directory"


def test_a_key_of_another_certificate_is_refused(pair: Pair, authority: Authority) -> None:
    other = authority.server
    said = refused(Tls(pair.certificate, other.key))
    assert said == f"{other.key} is not the key of the certificate {pair.certificate}"


def test_a_key_with_a_password_is_refused(pair: Pair) -> None:
    key = load_pem_private_key(pair.key.read_bytes(), None)
    locked = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    pair.key.write_bytes(locked)
    assert refused(Tls(*pair)) == f"{pair.key}: the private key has a password; take it off"


def test_a_key_of_a_kind_that_cannot_be_served_is_refused(pair: Pair) -> None:
    key = Ed25519PrivateKey.generate()
    pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert refused(Tls(*pair)) == f"{pair.key}: gRPC serves keys of RSA and ECDSA only"


def test_an_expired_certificate_is_served_with_a_warning(authority: Authority) -> None:
    ended = datetime.now(UTC) - timedelta(days=1)
    pair = authority.issue("localhost", ends=ended)
    with capture_logs() as logged:
        assert Tls(*pair).credentials()
    (warning,) = logged
    assert warning["log_level"] == "warning"
    assert warning["event"] == "certificate_expired"
    assert warning["certificate"] == str(pair.certificate)
    assert warning["expired"] == ended.replace(microsecond=0).isoformat()
