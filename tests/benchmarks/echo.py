"""The baseline: a bare grpc.aio server with the contract's messages and nothing behind them.

Run as a program it reads one line, the hexadecimal bytes with which it answers everything, and
names its address. Unary calls are decoded and answered; a watch is told the answer whenever a
task is suspended or resumed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any, Final

import grpc
import uvloop

from longshore.v1 import task_service_pb2 as tasks

_SERVICE: Final = "longshore.v1.TaskService"
_OPTIONS: Final = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.max_send_message_length", 4 << 20),
]


class Echo:
    """Answers with the same bytes again and again, already encoded."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._watchers: set[asyncio.Queue[bytes]] = set()

    async def unary(self, request: object, context: object) -> bytes:
        return self._answer

    async def change(self, request: object, context: object) -> bytes:
        for watcher in self._watchers:
            watcher.put_nowait(self._answer)
        return b""

    async def watch(self, request: object, context: object) -> AsyncGenerator[bytes]:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._watchers.add(queue)
        try:
            yield b""
            while True:
                yield await queue.get()
        finally:
            self._watchers.discard(queue)

    def handlers(self) -> grpc.GenericRpcHandler:
        def unary(function: Any, kind: Any) -> grpc.RpcMethodHandler[Any, Any]:
            return grpc.unary_unary_rpc_method_handler(
                function, request_deserializer=kind.FromString
            )

        return grpc.method_handlers_generic_handler(
            _SERVICE,
            {
                "SubmitTask": unary(self.unary, tasks.SubmitTaskRequest),
                "BatchGetTasks": unary(self.unary, tasks.BatchGetTasksRequest),
                "SuspendTask": unary(self.change, tasks.SuspendTaskRequest),
                "ResumeTask": unary(self.change, tasks.ResumeTaskRequest),
                "WatchTasks": grpc.unary_stream_rpc_method_handler(
                    self.watch, request_deserializer=tasks.WatchTasksRequest.FromString
                ),
            },
        )


async def serve(answer: bytes) -> None:
    """Serve until the process is ended."""
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((Echo(answer).handlers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"echo listening on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(bytes.fromhex(sys.stdin.readline())))
