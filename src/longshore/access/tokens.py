"""Tokens and api-keys: secrets of 256 random bits, kept as salted hashes only.

A token reads `lsk_ID_SECRET`: the id is public and stands in files, lists and logs; the text as
a whole is shown once. What is kept is `sha256$SALT$DIGEST`, the digest of salt and secret. Nobody
guesses 256 bits, so a slow hash would cost every call and protect nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from typing import Final, NamedTuple

#: How a token begins, so that scanners of logs and repositories find those that leaked.
PREFIX: Final = "lsk_"

_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
_ID: Final = re.compile(r"[a-z2-7]{10}")
_TOKEN: Final = re.compile(r"lsk_([a-z2-7]{10})_([A-Za-z0-9_-]{43})")
_HASH: Final = re.compile(r"sha256\$([A-Za-z0-9_-]{22})\$([A-Za-z0-9_-]{43})")


class NewToken(NamedTuple):
    """A token as it is born."""

    id: str  #: 10 characters.
    secret_text: str  #: The whole token, `lsk_ID_SECRET`: to be shown once and kept nowhere.
    hash: str  #: Of the secret part: to be kept.


class NewApiKey(NamedTuple):
    """An api-key as it is born."""

    secret_text: str  #: 43 characters: to be shown once and kept nowhere.
    hash: str  #: To be kept.


class Parts(NamedTuple):
    """What a token consists of."""

    id: str
    secret: str


def new_token() -> NewToken:
    """Make a token that nobody had before."""
    token_id = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    secret = secrets.token_urlsafe(32)
    return NewToken(token_id, f"{PREFIX}{token_id}_{secret}", hashed(secret))


def new_api_key() -> NewApiKey:
    """Make an api-key that nobody had before."""
    secret = secrets.token_urlsafe(32)
    return NewApiKey(secret, hashed(secret))


def parts(token: str) -> Parts | None:
    """Take a token apart; None if it is none."""
    found = _TOKEN.fullmatch(token)
    return Parts(found[1], found[2]) if found else None


def hashed(secret: str) -> str:
    """Return the hash to keep: of a token's secret part, or of an api-key."""
    salt = secrets.token_urlsafe(16)
    return f"sha256${salt}${_digest(salt, secret)}"


def matches(secret: str, kept: str) -> bool:
    """Whether a secret has the hash that was kept, in time that tells nothing of either.

    Raises `ValueError` if what was kept is no hash.
    """
    found = _HASH.fullmatch(kept)
    if found is None:
        raise ValueError("this is no hash of a token or api-key")
    return hmac.compare_digest(_digest(found[1], secret), found[2])


def is_hash(text: str) -> bool:
    """Whether this can be what `hashed` returned."""
    return _HASH.fullmatch(text) is not None


def is_id(text: str) -> bool:
    """Whether this can be the id of a token."""
    return _ID.fullmatch(text) is not None


def _digest(salt: str, secret: str) -> str:
    # Callers send any text, also what no encoding has; that must be an answer, not an error.
    salted = (salt + secret).encode(errors="surrogatepass")
    digest = hashlib.sha256(salted).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
