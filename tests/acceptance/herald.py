"""Callbacks made by an ordinary worker, and somebody who is called."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from longshore.worker import Worker

QUEUE = "longshore.callbacks"

worker = Worker("herald", queues=QUEUE, slots=4)


@worker.action("longshore.callback")
def call_back(
    operation_id: str,
    number: int,
    kind: str,
    state: str,
    url: str,
    method: str,
    format: str,  # noqa: A002 - the contract's word
) -> dict[str, int]:
    """Tell of the end of an operation. An answer that is none fails the attempt."""
    told = json.dumps({"id": operation_id, "number": number, "kind": kind, "state": state})
    request = urllib.request.Request(url, told.encode(), method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return {"status": answer.status}


class Receiver:
    """An HTTP server that is called back, on a thread of its own.

    `answer` returns the HTTP status for the how-manieth call for an operation, from 1.
    """

    def __init__(self, answer: Callable[[int], int] = lambda _: 204) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        #: What was told, call by call, by the ids of operations.
        self.calls: dict[str, list[dict[str, str | int]]] = {}
        self.answers: dict[str, list[int]] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(receiver.take(told))
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/done"

    def take(self, told: dict[str, str | int]) -> int:
        """Note a call and return its answer."""
        with self._lock:
            calls = self.calls.setdefault(str(told["id"]), [])
            calls.append(told)
            status = self._answer(len(calls))
            self.answers.setdefault(str(told["id"]), []).append(status)
            return status
