"""Signing: how a receiver knows that a callback is ours, and which one it is.

As the Standard Webhooks specification has it, whose libraries check it in many languages:

    webhook-id: 0196f1a2-…                the same at every attempt of one callback
    webhook-timestamp: 1767225600         seconds since 1970, of this attempt
    webhook-signature: v1,BASE64          HMAC-SHA256 over `ID.TIMESTAMP.BODY`

The key is the secret's UTF-8, or what follows `whsec_` in it, as base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

_PREFIX: Final = "whsec_"


class InvalidSecret(ValueError):
    """What follows `whsec_` is no base64."""


def key_of(secret: str) -> bytes:
    """Return the key of a secret. Raises `InvalidSecret`."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise InvalidSecret(f"what follows {_PREFIX} in the secret is no base64") from None


def marks(key: bytes, callback_id: str, seconds: int, body: bytes) -> dict[str, str]:
    """Return the headers that mark a callback; with an empty key it is not signed."""
    found = {"webhook-id": callback_id, "webhook-timestamp": str(seconds)}
    if key:
        signed = f"{callback_id}.{seconds}.".encode() + body
        digest = hmac.new(key, signed, hashlib.sha256).digest()
        found["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return found
