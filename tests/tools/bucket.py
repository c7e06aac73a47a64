"""A bucket: a service that speaks S3, as a process of its own."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

_LISTENING = re.compile(r"Running on (http://\S+)")


class Bucket:
    """What a test knows of the service, and asks it besides the product."""

    def __init__(self, endpoint: str, process: asyncio.subprocess.Process) -> None:
        self.environment = {
            "AWS_ENDPOINT": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "dock",
            "AWS_SECRET_ACCESS_KEY": "very-secret",
        }
        self._process = process

    async def http(self, method: str, path: str) -> str:
        """Call the service, which believes whoever calls, and return what it says."""
        host, port = self.environment["AWS_ENDPOINT"].removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: 0\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        return answer

    async def names(self, bucket: str) -> list[str]:
        """Return the names of all that is kept whole."""
        return re.findall(r"<Key>([^<]*)</Key>", await self.http("GET", f"/{bucket}"))

    async def unfinished(self, bucket: str) -> list[str]:
        """Return the names of all that is kept in parts."""
        return re.findall(r"<Key>([^<]*)</Key>", await self.http("GET", f"/{bucket}?uploads"))

    async def stop(self) -> None:
        """End the service, with all that it keeps."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def serving() -> AsyncGenerator[Bucket]:
    """Start the service on a free port, and end it afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    bucket: Bucket | None = None
    while bucket is None:
        line = (await process.stderr.readline()).decode()
        assert line, "the service ended before it listened"
        if found := _LISTENING.search(line):
            bucket = Bucket(found[1], process)
    draining = asyncio.create_task(process.stderr.read())
    try:
        yield bucket
    finally:
        await bucket.stop()
        await draining
