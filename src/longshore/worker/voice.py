"""Voices on the worker's side: from any thread to the event loop."""

from __future__ import annotations

from collections.abc import Callable

from longshore.client.sources import Source
from longshore.worker.action_files import ActionFiles
from longshore.worker.lease import Lease
from longshore.worker.post import Post
from longshore.worker.saving import Saved
from longshore.worker.words import Word


class LeaseVoice:
    """The voice of what works under a lease."""

    __slots__ = ("_files", "_lease", "_post", "_tell")

    def __init__(
        self,
        lease: Lease,
        tell: Callable[[Lease, Word], None],
        post: Post,
        files: ActionFiles,
    ) -> None:
        self._lease = lease
        self._tell = tell
        self._post = post
        self._files = files

    @property
    def cancelled(self) -> bool:
        return self._lease.stop is not None

    def say(self, word: Word) -> None:
        if self._post.here():
            self._tell(self._lease, word)
        else:
            self._post.call(self._tell, self._lease, word)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._post.call_later(seconds, call)

    def save(self, path: str, source: Source, content_type: str) -> Saved:
        return self._files.save(path, source, content_type)
