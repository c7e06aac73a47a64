"""JSON Web Tokens: whose they say they are, and whether that is so.

Algorithms are those that the operator permits for an issuer, and never those a token asks for.
PyJWT looks at the clock by itself; here time is an argument, so that times are checked here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, cast

import jwt

from longshore.access.errors import Refused
from longshore.access.issuers import Issuer
from longshore.access.keys import Key

LEEWAY: Final = 30.0  #: Seconds that clocks may differ.

_JWT: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
#: Whatever a reader of strangers' bytes may raise.
_JUNK: Final = (jwt.PyJWTError, ValueError, TypeError, LookupError, RecursionError)

Claims = Mapping[str, Any]


class Unverified(NamedTuple):
    """What a token says of itself, to find the key by; not to be believed."""

    text: str
    issuer: str
    audiences: frozenset[str]
    key_id: str  #: May be empty.
    algorithm: str


class Verified(NamedTuple):
    """What an issuer has signed."""

    claims: Claims
    key: Key
    expires: float  #: Until when it is accepted, in seconds since 1970.


def is_jwt(text: str) -> bool:
    """Whether this looks like a signed token."""
    return _JWT.fullmatch(text) is not None


def peek(text: str) -> Unverified:
    """Return what a token says of itself. Raises `Refused`."""
    try:
        seen = jwt.decode_complete(text, options={"verify_signature": False})
    except _JUNK:
        raise Refused("malformed") from None
    header, claims = seen["header"], seen["payload"]
    named = (claims.get("iss"), header.get("kid", ""), header.get("alg"))
    if not all(isinstance(one, str) for one in named):
        raise Refused("malformed")
    issuer, key_id, algorithm = cast("tuple[str, str, str]", named)
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else listed(audience)
    return Unverified(text, issuer, frozenset(audiences), key_id, algorithm)


def verified(text: str, issuer: Issuer, candidates: Iterable[Key], now: float) -> Verified:
    """Return what one of the keys has signed, if it counts now. Raises `Refused`."""
    for key in candidates:
        permitted = [one for one in issuer.algorithms if one in key.algorithms]
        try:
            claims = jwt.decode(
                text,
                key.public,
                algorithms=permitted,
                issuer=issuer.issuer,
                audience=issuer.audience,
                options={
                    "require": ["iss", "aud", "exp"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
        except jwt.InvalidSignatureError:
            continue
        except _JUNK:
            raise Refused("malformed") from None
        return Verified(claims, key, _checked_times(claims, now))
    raise Refused("wrong_signature")


def listed(claim: object) -> list[str]:
    """Return the words of a claim: a list of them, or a text with spaces between, as of scopes."""
    if isinstance(claim, str):
        return claim.split()
    if isinstance(claim, list):
        return [one for one in cast("list[object]", claim) if isinstance(one, str)]
    return []


def _checked_times(claims: Claims, now: float) -> float:
    """Return until when claims count. Raises `Refused` if they do not count now."""
    expires = _time(claims["exp"]) + LEEWAY
    if now >= expires:
        raise Refused("expired")
    for name in ("nbf", "iat"):
        if name in claims and now < _time(claims[name]) - LEEWAY:
            raise Refused("not_yet_valid")
    return expires


def _time(value: object) -> float:
    """Return seconds since 1970. Not every number of JSON is one, and true is 1 in Python."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused("malformed")
    try:
        seconds = float(value)
    except OverflowError:
        raise Refused("malformed") from None
    if not math.isfinite(seconds):
        raise Refused("malformed")
    return seconds
