"""An imitation of the 2.x client of ricloud, written after the description of how that behaves.

With all that makes it hard to please: it believes names and booleans, takes whatever bytes come
for the result, leaves when a status is not 2xx, and is back at once on a stream that ends.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

_TIMEOUT_SECONDS: Final = 60
_PARALLEL_FETCHES: Final = 50
_MOST_IDS: Final = 10_000
_UNKNOWN_SECONDS: Final = 20.0


class ClientError(Exception):
    """The service said, in the one way that is understood, that it will not."""


class StreamError(Exception):
    """The stream said that something is wrong."""


class Left(BaseException):
    """The process printed what came and left."""


class Pending:
    """A task whose result is waited for."""

    def __init__(self, task_id: str, stream: str) -> None:
        self.id = task_id
        self.stream = stream
        self.frames: list[Mapping[str, Any]] = []  #: The headers that came.
        self._content = bytearray()
        self._arrived = threading.Event()

    def write(self, offset: int, data: bytes) -> None:
        self._content[offset : offset + len(data)] = data

    def finish(self) -> None:
        self._arrived.set()

    def wait(self, seconds: float = 60) -> bytes:
        """Return the result, whatever it is."""
        if not self._arrived.wait(seconds):
            raise TimeoutError(f"nothing arrived for {self.id}")
        return bytes(self._content)


class Ricloud:
    """A client: entered, it has looked at its account and begun to wait for results."""

    def __init__(self, base: str, token: str, *, poll_seconds: float = 6.0) -> None:
        self._base = base
        self.token = token
        self._poll_seconds = poll_seconds
        self._pending: dict[str, Pending] = {}
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._streams: dict[str, threading.Thread] = {}
        self._responses: set[HTTPConnection] = set()
        self.account: dict[str, Any] = {}
        self.connects: list[float] = []  #: When the stream was connected.
        self.heartbeats = 0
        self.said: list[Mapping[str, Any]] = []  #: By the stream, of itself.
        self.dropped: list[str] = []  #: Ids of frames that nobody waited for.
        self.fetched: list[str] = []
        self.died: list[BaseException] = []  #: What ended a thread.

    def __enter__(self) -> Self:
        self.account = self._get_json(f"{self._base}/account/")
        self.services = {one["name"]: one for one in self.account["services"]}
        self.actions = {
            action["name"]: action
            for service in self.account["services"]
            for action in service["actions"]
        }
        self.protocol = self.account["retrieval_protocol"]
        self._submission = _url(self.account["task_submission_endpoint"])
        self._results = _url(self.account["stream_endpoints"][0])
        if self.protocol == "asstore":
            self._start(self._poll)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            while thread.is_alive():
                self.cut()
                thread.join(0.1)

    # What a user asks for

    def register(self, service: str, username: str) -> None:
        self._post(f"{self._base}/register-account/", service=service, username=username)

    def deregister(self, service: str, username: str) -> None:
        self._post(f"{self._base}/deregister-account/", service=service, username=username)

    def submit(self, service: str, action: str, account: str, **parameters: Any) -> Pending:
        """Submit by the names of service and action; the slug of the action is sent."""
        asked = {"service": self.services[service]["name"], "account": account}
        slug = self.actions[action]["slug"]
        told = self._post(self._submission, **asked, action=slug, **parameters)
        pending = Pending(told["task_id"], told["stream"])
        self._pending[pending.id] = pending
        if told["retrieval_protocol"] == "aschannel":
            self.listen(pending.stream)
        return pending

    def expect(self, pending: Pending) -> Pending:
        """Wait for what was submitted before, to be sent by the stream."""
        self._pending[pending.id] = pending
        self.listen(pending.stream)
        return pending

    def listen(self, stream: str) -> threading.Thread:
        """Connect to a stream, if that was not done before; return what reads it."""
        if stream not in self._streams:
            self._streams[stream] = self._start(lambda: self._listen(stream))
        return self._streams[stream]

    def await_connection(self) -> None:
        """Wait until a stream was connected."""
        end = time.monotonic() + _TIMEOUT_SECONDS
        while not self.connects and time.monotonic() < end:
            self._stopping.wait(0.01)

    @property
    def listening(self) -> int:
        """How many streams are listened to."""
        return sum(one.is_alive() for one in self._streams.values())

    def status(self, *task_ids: str) -> dict[str, Any]:
        return self._post(f"{self._base}/task-status/", task_ids=list(task_ids))

    def cut(self) -> None:
        """Cut the streams, as a network does."""
        for connection in [*self._responses]:
            with suppress(OSError):
                if connection.sock is not None:
                    connection.sock.shutdown(2)

    # asstore

    def _poll(self) -> None:
        with ThreadPoolExecutor(_PARALLEL_FETCHES) as pool:
            while not self._stopping.wait(self._poll_seconds):
                ids = list(itertools.islice(self._pending, _MOST_IDS))
                if not ids:
                    continue
                entries = self.status(*ids)
                entries.pop("success")
                ready = {
                    task_id: entry["retrieval_endpoint"]
                    for task_id, entry in entries.items()
                    if "retrieval_endpoint" in entry
                }
                contents = pool.map(self._get, ready.values())
                for task_id, content in zip(ready, contents, strict=True):
                    self.fetched.append(task_id)
                    self._finish(task_id, 0, content)

    # aschannel

    def _listen(self, stream: str) -> None:
        delays = _growing()
        url = f"{self._results}?{urlencode({'stream': stream})}"
        while not self._stopping.is_set():
            try:
                with closing(self._connection(url)) as connection:
                    self._responses.add(connection)
                    try:
                        response = self._request(connection, "GET", url)
                        self.connects.append(time.monotonic())
                        if response.status in (401, 503):
                            return
                        self._read(response, delays)
                    finally:
                        self._responses.discard(connection)
            except (OSError, HTTPException):
                self._stopping.wait(next(delays))

    def _read(self, response: HTTPResponse, delays: Iterator[float]) -> None:
        """Read frames until the stream ends as if all was well."""
        while line := _line(response):
            if line == b"\r\n":
                self.heartbeats += 1
                continue
            header = json.loads(_sized(response, line))
            payload = _sized(response, _line(response))
            if header["type"] == "system":
                self._hear(payload)
            else:
                self._take(header, payload)

    def _hear(self, payload: bytes) -> None:
        self.said.append(json.loads(payload))
        if b"error" in payload:
            raise StreamError(payload)

    def _take(self, header: Mapping[str, Any], payload: bytes) -> None:
        task_id = header["task_id"]
        pending = self._known(task_id)
        if pending is None:
            self.dropped.append(task_id)
            return
        pending.frames.append(header)
        chunk = header.get("chunk", 1)
        offset = header.get("chunk_size", 0) * (chunk - 1)
        if chunk == header.get("total_chunks", 1):
            self._finish(task_id, offset, payload)
        else:
            pending.write(offset, payload)

    def _known(self, task_id: str) -> Pending | None:
        """Return who waits for a task, who may be a moment late."""
        end = time.monotonic() + _UNKNOWN_SECONDS
        while task_id not in self._pending and time.monotonic() < end:
            if self._stopping.wait(0.01):
                break
        return self._pending.get(task_id)

    def _finish(self, task_id: str, offset: int, data: bytes) -> None:
        pending = self._pending.pop(task_id)
        pending.write(offset, data)
        self._post(f"{self._base}/results-consumed/", task_ids=task_id)
        pending.finish()

    # HTTP

    def _start(self, run: Callable[[], None]) -> threading.Thread:
        def noted() -> None:
            try:
                run()
            except BaseException as error:  # noqa: BLE001 - a thread's end is seen by the test
                if not self._stopping.is_set():
                    self.died.append(error)

        thread = threading.Thread(target=noted, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _post(self, url: str, **fields: Any) -> dict[str, Any]:
        body = urlencode(fields, doseq=True).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        with closing(self._connection(url)) as connection:
            response = self._request(connection, "POST", url, body, headers)
            told: dict[str, Any] = json.loads(response.read())
        if not 200 <= response.status < 300:
            raise Left(told)
        if not told["success"]:
            raise ClientError(told["error"])
        return told

    def _get_json(self, url: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._get(url))
        return told

    def _get(self, url: str) -> bytes:
        with closing(self._connection(url)) as connection:
            return self._request(connection, "GET", url).read()

    def _request(
        self,
        connection: HTTPConnection,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HTTPResponse:
        path = url.partition("//")[2].partition("/")[2]
        shown = {"Authorization": f"Token {self.token}", **(headers or {})}
        connection.request(method, f"/{path}", body, shown)
        return connection.getresponse()

    def _connection(self, url: str) -> HTTPConnection:
        parts = urlsplit(url)
        return HTTPConnection(parts.hostname or "", parts.port or 80, timeout=_TIMEOUT_SECONDS)


def _url(endpoint: Mapping[str, str]) -> str:
    return f"{endpoint['protocol']}://{endpoint['host']}{endpoint['uri']}"


def _growing() -> Iterator[float]:
    delay = 0.1
    while True:
        yield delay
        delay = min(delay * 2, 10.0)


def _line(response: HTTPResponse) -> bytes:
    """Return a line with its end; nothing if the stream has ended as if all was well."""
    line = b""
    while not line.endswith(b"\n"):
        byte = response.read(1)
        if not byte:
            return b""
        line += byte
    return line


def _sized(response: HTTPResponse, line: bytes) -> bytes:
    """Return what is as long as a line says, without the end of its line."""
    content = response.read(int(line))
    assert content.endswith(b"\r\n"), content[-20:]
    return content[:-2]
