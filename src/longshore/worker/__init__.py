"""The SDK for workers: functions become actions, and a stream keeps them at work.

    from longshore.worker import Context, Worker

    worker = Worker("archive")

    @worker.action("digest")
    def digest(path: str, context: Context, algorithm: str = "sha256") -> dict[str, str]: ...

Nothing here knows how a server works: it needs the contract and its client only.
"""

from __future__ import annotations

from longshore.client.tls import Tls
from longshore.worker.actions import Service
from longshore.worker.context import Context
from longshore.worker.errors import ActionError, PermanentError
from longshore.worker.files import Chunks, File
from longshore.worker.saving import FileInfo, Saved
from longshore.worker.worker import Worker

__all__ = [
    "ActionError",
    "Chunks",
    "Context",
    "File",
    "FileInfo",
    "PermanentError",
    "Saved",
    "Service",
    "Tls",
    "Worker",
]
