"""What an `authorization` header says, whatever strangers write into it."""

from __future__ import annotations

import base64
from typing import Final, NamedTuple, TypeAlias

from longshore.access import jwts, tokens
from longshore.access.errors import Refused
from longshore.core.access import Certificate, Presented

#: Characters of a header that are looked at; gRPC has no longer ones by default.
LONGEST: Final = 8 * 1024

BASIC: Final = "basic"
BEARER: Final = "bearer"


class NameAndPassword(NamedTuple):
    """What `Basic` carries."""

    name: str
    password: str


class SignedToken(NamedTuple):
    """What looks like a JSON Web Token."""

    text: str


Credential: TypeAlias = tokens.Parts | NameAndPassword | SignedToken


def parse(header: str) -> Credential:
    """Return the credential in a header. Raises `Refused`."""
    if not header:
        raise Refused("missing")
    if len(header) > LONGEST:
        raise Refused("too_long")
    rest = header.partition(" ")[2].strip(" ")
    kind = scheme(header)
    if kind == BASIC:
        return _basic(rest)
    if kind == BEARER:
        return _bearer(rest)
    raise Refused("unknown_scheme")


def scheme(presented: Presented) -> str:
    """Return the kind of what is shown, for the log: nothing that a stranger wrote."""
    if isinstance(presented, Certificate):
        return "certificate"
    if not presented:
        return "none"
    name = presented[: presented.find(" ")].casefold()
    return name if name in (BASIC, BEARER) else "other"


def _basic(text: str) -> NameAndPassword:
    try:
        name, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except ValueError:
        raise Refused("malformed") from None
    if not colon:
        raise Refused("malformed")
    return NameAndPassword(name, password)


def _bearer(text: str) -> Credential:
    if token := tokens.parts(text):
        return token
    if jwts.is_jwt(text):
        return SignedToken(text)
    raise Refused("malformed")
