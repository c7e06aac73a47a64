"""Passwords: argon2id, checked off the event loop, two at once at most.

A check takes tens of milliseconds and 64 MiB on purpose; without the bound, strangers could take
all memory and all processors with wrong passwords.
"""

from __future__ import annotations

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

_AT_ONCE: Final = 2
_HASHER: Final = argon2.PasswordHasher()


def hashed(password: str) -> str:
    """Return the hash of a password to keep. Takes as long as a check; blocks."""
    return _HASHER.hash(password)


def is_hash(text: str) -> bool:
    """Whether this is an argon2id hash."""
    try:
        return argon2.extract_parameters(text).type is argon2.Type.ID
    except InvalidHashError:
        return False


class PasswordChecks:
    """Checks passwords, few at once."""

    def __init__(self) -> None:
        # Threads bound what goes on at once, also where callers do not wait for the answer.
        self._threads = ThreadPoolExecutor(_AT_ONCE, "password")

    async def matches(self, password: str, kept: str | None) -> bool:
        """Whether a password has the hash that was kept.

        Without a hash (nobody has that name, or no password) it takes as long, and is false.
        """
        loop = asyncio.get_running_loop()
        fits = await loop.run_in_executor(self._threads, _verified, password, kept or NOBODY)
        return fits and kept is not None

    def close(self) -> None:
        """End the threads; what they are at is finished, and nothing else is begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _verified(password: str, kept: str) -> bool:
    try:
        return _HASHER.verify(kept, password.encode(errors="surrogatepass"))
    except VerificationError:
        return False


def _nobody() -> str:
    """Return a hash that costs as much as others to check, and that no password has."""
    salt = base64.b64encode(bytes(_HASHER.salt_len)).rstrip(b"=").decode()
    digest = base64.b64encode(bytes(_HASHER.hash_len)).rstrip(b"=").decode()
    costs = f"m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${digest}"


NOBODY: Final = _nobody()  #: What passwords of unknown names are checked against.
