"""Places: how an operator says where files are kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

from obstore.store import LocalStore, from_url

from longshore.core.errors import FilesUnavailable
from longshore.stores.blobs.faults import translated

if TYPE_CHECKING:  # obstore has these for type checkers only
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

#: How the names of a service's settings begin in the environment.
_BUCKETS: Final = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
_ADVICE: Final = "name a folder, or file:///folder, s3://bucket, gs://bucket or az://container"

# A download may take as long as its reader likes, so only silence is limited.
_TIMEOUTS: Final = {"timeout": timedelta(days=1), "read_timeout": timedelta(seconds=60)}
# obstore reads these from the environment only if it is given no timeouts.
_CLIENT: Final = (
    "allow_http",
    "allow_invalid_certificates",
    "proxy_ca_certificate",
    "proxy_excludes",
    "proxy_url",
)
# A caller waits meanwhile: a service that is down has to be said within seconds.
_RETRIES: Final[RetryConfig] = {"max_retries": 5, "retry_timeout": timedelta(seconds=30)}


@dataclass(frozen=True, slots=True)
class Place:
    """A folder, or a bucket with the start of the names in it; holds no credentials."""

    text: str  #: As operators know it.
    folder: Path | None  #: Unset for buckets.

    @classmethod
    def of(cls, text: str) -> Place:
        """Read a path or a URL. Raises `FilesUnavailable`, without repeating its secrets."""
        if text.partition(":")[0] not in {*_BUCKETS, "file"} and "://" not in text:
            return cls._of_folder(text)
        try:
            url = urlsplit(text)
        except ValueError:
            raise FilesUnavailable(f"the place for files is no URL: {_ADVICE}") from None
        _check(url)
        if url.scheme == "file":
            return cls._of_folder(url2pathname(url.path))
        return cls(text, None)

    @classmethod
    def _of_folder(cls, text: str) -> Place:
        if not text or "\0" in text:
            raise FilesUnavailable(f"no place for files is named: {_ADVICE}")
        folder = Path(text).absolute()
        return cls(str(folder), folder)

    def connect(self) -> ObjectStore:
        """Make the folder if it is missing, or read the credentials in the environment."""
        with translated(f"kept at {self.text}"):
            if self.folder is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
                return LocalStore(self.folder)
            prefix = _BUCKETS[urlsplit(self.text).scheme]
            return from_url(self.text, client_options=_client(prefix), retry_config=_RETRIES)


def _client(prefix: str) -> ClientConfig:
    settings = {name: os.environ.get(prefix + name.upper()) for name in _CLIENT}
    given = {name: value for name, value in settings.items() if value}
    return cast("ClientConfig", _TIMEOUTS | given)


def _check(url: SplitResult) -> None:
    """Raise `FilesUnavailable` for what would be misread, or would hold secrets."""
    if "@" in url.netloc or url.query or url.fragment:
        raise FilesUnavailable(
            "the place for files may have no user, password or parameters: credentials are "
            "read from the environment"
        )
    if url.scheme == "file":
        if url.netloc not in {"", "localhost"} or not url.path.startswith("/"):
            raise FilesUnavailable("a file URL has three slashes: file:///folder")
    elif url.scheme not in _BUCKETS:
        raise FilesUnavailable(f"files cannot be kept at {url.scheme}://: {_ADVICE}")
    elif not url.netloc:
        raise FilesUnavailable(f"the place for files lacks its bucket: {url.scheme}://bucket")
