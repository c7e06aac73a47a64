"""Key sets: the public keys of an issuer, as RFC 7517 writes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_RSA_BITS: Final = 2048  #: The least that is believed.
_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


class Key(NamedTuple):
    """A public key, and what it may be used for."""

    id: str  #: As its issuer names it; empty: it has no name.
    public: PublicKey
    algorithms: tuple[str, ...]
    fingerprint: str  #: Of the key itself, whatever its name.


Keys: TypeAlias = Sequence[Key]


def parse(document: bytes) -> tuple[Key, ...]:
    """Return the keys of a set that can check signatures. Raises `ValueError` if none can."""
    try:
        content: Any = json.loads(document)
    except (ValueError, RecursionError):
        raise ValueError("is no JSON") from None
    try:
        found = tuple(key for one in content["keys"] for key in _usable(one))
    except (TypeError, LookupError):
        raise ValueError('is no set of keys: {"keys": […]}') from None
    if not found:
        raise ValueError("has no public key that can check signatures (RSA, EC, Ed25519)")
    return found


def fitting(keys: Keys, key_id: str, algorithm: str) -> list[Key]:
    """Return the keys that can have made a signature. Without a name they are all tried."""
    return [key for key in keys if key.id == (key_id or key.id) and algorithm in key.algorithms]


def _usable(listed: object) -> Iterator[Key]:
    """Yield a key if it is one for us: others' kinds stand in the same sets."""
    if not isinstance(listed, dict):
        return
    fields = cast("dict[str, Any]", listed)
    if fields.get("use", "sig") != "sig":
        return
    try:
        public: object = jwt.PyJWK(fields).key
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return
    key_id = fields.get("kid", "")
    if not isinstance(public, PublicKey) or not isinstance(key_id, str):
        return
    named = fields.get("alg")
    algorithms = [one for one in _algorithms(public) if named in (None, one)]
    if algorithms:
        yield Key(key_id, public, tuple(algorithms), _fingerprint(public))


def _algorithms(public: PublicKey) -> Sequence[str]:
    if isinstance(public, RSAPublicKey):
        return _RSA if public.key_size >= _RSA_BITS else ()
    if isinstance(public, EllipticCurvePublicKey):
        name = _CURVES.get(public.curve.name)
        return (name,) if name else ()
    return ("EdDSA",)


def _fingerprint(public: PublicKey) -> str:
    encoded = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()[:16]
