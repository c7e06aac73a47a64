"""Certificates for tests: authorities that vouch for servers and clients."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

#: What a server of a test is called.
HOSTS = ("localhost", "127.0.0.1", "::1")


class Pair(NamedTuple):
    """The files of a certificate and its key."""

    certificate: Path
    key: Path

    def copy(self, folder: Path, name: str = "own") -> Pair:
        """Copy it, so that it can be changed."""
        copied = Pair(folder / f"{name}.pem", folder / f"{name}.key")
        for source, target in zip(self, copied, strict=True):
            put(source, target)
        return copied


class Authority:
    """A CA, and where those that it makes are kept."""

    def __init__(self, folder: Path) -> None:
        self._trusted = trustme.CA()
        self._folder = folder
        self._made = 0
        self.ca = folder / "ca.pem"
        self._trusted.cert_pem.write_to_path(str(self.ca))

    def issue(
        self, *names: str, subject: str | None = None, ends: datetime | None = None
    ) -> Pair:
        """Make a certificate for these names, of a subject with this common name."""
        self._made += 1
        made = Pair(self._folder / f"{self._made}.pem", self._folder / f"{self._made}.key")
        leaf = self._trusted.issue_cert(
            *names,
            common_name=subject,
            organization_name="Quay, Ltd.",
            organization_unit_name="tests",
            not_after=ends,
        )
        leaf.private_key_pem.write_to_path(str(made.key))
        leaf.cert_chain_pems[0].write_to_path(str(made.certificate))
        return made

    @property
    def server(self) -> Pair:
        """A certificate for a server of this machine."""
        return self.issue(*HOSTS)


def put(source: Path, target: Path) -> None:
    """Put a file in the place of another, at once."""
    beside = target.with_name(f"{target.name}.new")
    shutil.copy(source, beside)
    beside.replace(target)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another one, which nobody trusts unless told to."""
    return Authority(tmp_path_factory.mktemp("stranger"))
