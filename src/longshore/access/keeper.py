"""The keeper: knows who may call, as a file says it, and notices when the file changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

import structlog

from longshore.access import credentials, tokens
from longshore.access.authorities import Authority, FixedKeys, KeySource
from longshore.access.book import Book, OwnToken
from longshore.access.cache import Cache
from longshore.access.checks import Checks
from longshore.access.configuration import Configuration
from longshore.access.delays import Delays
from longshore.access.errors import InvalidPrincipals, Refused
from longshore.access.issuers import Issuer
from longshore.access.loading import Loaded, load, load_changed
from longshore.access.passwords import PasswordChecks
from longshore.access.remote_keys import RemoteKeys
from longshore.core.access import Identity, Presented
from longshore.core.errors import Unauthenticated
from longshore.core.principals import Principal

log = structlog.get_logger()


class Keeper:
    """Knows who may call: `longshore.core.access.Access` over a file of principals.

    Entered, it has read the file and looks again every `poll_seconds`, also for keys of issuers.
    What no longer stands there is forgotten at once; a file that cannot be used changes nothing
    and is complained about.
    """

    def __init__(
        self,
        file: Path,
        *,
        poll_seconds: float = 0.5,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.generation = 0
        self._file = file
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._monotonic = monotonic
        self._passwords = PasswordChecks()
        self._delays = Delays(monotonic)
        self._cache = Cache()
        self._own: list[OwnToken] = []
        self._remote: dict[str, RemoteKeys] = {}  #: By URL.
        self._loaded = Loaded(Configuration(), {}, {})
        self._checks = self._new_checks()
        self._complaint = ""
        self._looking = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Read the file. Raises `InvalidPrincipals`."""
        await self._take(await asyncio.to_thread(load, self._file))
        self._watching = asyncio.create_task(self._watch(), name="principals")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()
        with suppress(asyncio.CancelledError):
            await self._watching
        for remote in self._remote.values():
            await remote.close()
        self._passwords.close()

    def known(self, presented: Presented) -> Identity | None:
        """Return whose credential it is if it was checked before. Takes microseconds."""
        identity = self._cache.get(presented)
        if identity is None or identity.expires is None:
            return identity
        return identity if self._clock() < identity.expires else None

    async def identify(self, presented: Presented, address: str) -> Identity:
        """Check a credential. Raises `Unauthenticated` and `RateLimited`."""
        if identity := self.known(presented) or self._of_token(presented):
            return identity
        scheme = credentials.scheme(presented)
        try:
            return await self._delays.run(
                address, partial(self._check, presented), alone=scheme == credentials.BASIC
            )
        except Refused as refused:
            whose = {"principal": refused.principal} if refused.principal else {}
            log.warning(
                "authentication_failed",
                address=address,
                scheme=scheme,
                reason=refused.reason,
                **whose,
            )
            raise Unauthenticated from None

    def still(self, identity: Identity) -> Principal | None:
        """Return the principal as it is configured now; None if the credential is revoked."""
        return self._checks.still(identity)

    def matches_api_key(self, principal: Principal, api_key: str) -> bool | None:
        """Whether it is the principal's api-key; None if none is configured for it."""
        return self._checks.matches_api_key(principal, api_key)

    def with_token(self, principal: Principal) -> str:
        """Return a new token of a principal that is in no file, and stays while this runs."""
        token = tokens.new_token()
        self._own.append(OwnToken(principal, token.id, token.hash))
        self._checks = self._new_checks()
        return token.secret_text

    async def look(self) -> None:
        """Look whether anything has changed, and take it up."""
        async with self._looking:
            try:
                loaded = await self._load_changed()
            except InvalidPrincipals as error:
                self._complain(str(error))
            else:
                self._complaint = ""
                if loaded is not None:
                    await self._take(loaded)
        for remote in self._remote.values():
            remote.look()

    async def _load_changed(self) -> Loaded | None:
        if self._complaint:  # What was wrong may be a file that is not watched yet.
            return await asyncio.to_thread(load, self._file)
        return await asyncio.to_thread(load_changed, self._file, self._loaded.stamps)

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:
                # Whatever it was: what is revoked later must still be noticed.
                log.exception("principals_unchanged", file=str(self._file))
            await asyncio.sleep(self._poll_seconds)

    def _of_token(self, presented: Presented) -> Identity | None:
        """Return whose token it is, and keep that; None if it is wrong, or something else."""
        identity = self._checks.of_token(presented)
        if identity is not None:
            self._cache.put(presented, identity)
        return identity

    async def _check(self, presented: Presented) -> Identity:
        """Check a credential, and keep what is found. Raises `Refused`."""
        if identity := self.known(presented):
            return identity  # Others showed the same at once, and this one waited for them.
        generation = self.generation
        identity = await self._checks.identify(presented)
        if generation == self.generation:
            self._cache.put(presented, identity)
            return identity
        principal = self.still(identity)
        if principal is None:
            raise Refused("revoked", identity.principal.name)
        return identity._replace(principal=principal)

    async def _take(self, loaded: Loaded) -> None:
        """Take up what was read, if it says anything new."""
        before, self._loaded = self._loaded, loaded
        if loaded[:2] == before[:2]:
            return
        urls = {one.keys for one in loaded.configuration.issuers if isinstance(one.keys, str)}
        gone = [self._remote.pop(url) for url in self._remote.keys() - urls]
        for url in urls - self._remote.keys():
            self._remote[url] = RemoteKeys(url, monotonic=self._monotonic, changed=self._forget)
        self._checks = self._new_checks()
        self._forget()
        log.info(
            "principals_read",
            file=str(self._file),
            principals=len(loaded.configuration.principals),
            issuers=len(loaded.configuration.issuers),
        )
        for remote in gone:
            await remote.close()

    def _forget(self) -> None:
        """Check everybody anew: something that was right may be wrong now."""
        self.generation += 1
        self._cache.clear()

    def _new_checks(self) -> Checks:
        configuration = self._loaded.configuration
        authorities = [Authority(one, self._source(one)) for one in configuration.issuers]
        book = Book(configuration, self._own)
        return Checks(book, authorities, self._passwords, self._clock)

    def _source(self, issuer: Issuer) -> KeySource:
        if isinstance(issuer.keys, Path):
            return FixedKeys(self._loaded.keys[issuer.keys])
        return self._remote[issuer.keys]

    def _complain(self, problem: str) -> None:
        """Say once that what stands there now is not taken up, not at every look."""
        if problem != self._complaint:
            log.error("principals_unchanged", file=str(self._file), problem=problem)
        self._complaint = problem
