"""Logins: a name and a password once, a token that holds both, sealed, from then on."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from starlette.datastructures import FormData
from starlette.requests import Request

from longshore.gateway.faults import Fault, Missing
from longshore.gateway.settings import InvalidSettings

_PREFIX: Final = "lsl_"  #: Tells these tokens from those of principals.
_PURPOSE: Final = b"longshore dataone login"
_KEY_CHARACTERS: Final = 32

#: Characters of a name or a password; headers are not much longer.
_LONGEST: Final = 1_024


class NotLoggedIn(Fault):
    """A name, a password or a token is not, or no longer, good for anything."""

    status = 401


class Seal:
    """Seals credentials into tokens that nobody else can read, make or use for ever.

    Whoever has the key can open them: gateways that share it need nothing else in common.
    """

    def __init__(
        self, key: str, lifetime: timedelta, now: Callable[[], float] = time.time
    ) -> None:
        """`lifetime` is at least a second. Raises `InvalidSettings` for a key to be guessed."""
        if len(key) < _KEY_CHARACTERS:
            raise InvalidSettings(
                f"dataone_login_key: at least {_KEY_CHARACTERS} random characters are needed"
            )
        derived = HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(key.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(derived))
        self._now = now
        self.seconds = max(int(lifetime.total_seconds()), 1)

    def token(self, authorization: str) -> str:
        """Return a token that holds a header."""
        sealed = self._fernet.encrypt_at_time(authorization.encode(), int(self._now()))
        return _PREFIX + sealed.decode()

    def header(self, authorization: str) -> str:
        """Return the header that a sealed bearer token holds, and others as they are.

        Raises `NotLoggedIn` if the token was not made here, or too long ago.
        """
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token.startswith(_PREFIX):
            return authorization
        sealed = token.removeprefix(_PREFIX).encode()
        try:
            return self._fernet.decrypt_at_time(
                sealed, ttl=self.seconds, current_time=int(self._now())
            ).decode()
        except InvalidToken:
            raise NotLoggedIn("the login has expired, or was none: log in again") from None


def basic_of(form: FormData) -> str:
    """Return the header that the fields of a login make. Raises `Missing`, `NotLoggedIn`."""
    name, password = _field(form, "username"), _field(form, "password")
    if ":" in name or len(name) > _LONGEST or len(password) > _LONGEST:
        raise NotLoggedIn("name or password are wrong")
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


def credential_of(request: Request, seal: Seal | None) -> str | None:
    """Return what a request shows, as servers know it. Raises `NotLoggedIn`."""
    shown = request.headers.get("authorization")
    return seal.header(shown) if seal and shown else shown


def _field(form: FormData, name: str) -> str:
    value = form.get(name)
    if not isinstance(value, str) or not value:
        raise Missing("a text is needed", name)
    return value
