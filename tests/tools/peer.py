"""A peer for workers: the server's side of their stream, played by a test line by line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from longshore.v1 import worker_service_pb2 as work

#: Long enough for a loaded machine; nothing waits for it unless something is broken.
_SECONDS = 45
Context = grpc.aio.ServicerContext[work.WorkRequest, work.WorkResponse]


def struct(values: Mapping[str, Any]) -> bytes:
    """Return the serialized Struct of an object."""
    message = Struct()
    message.update(values)
    return message.SerializeToString()


def aborted(reason: str) -> Status:
    """Return an error as the server refuses with it."""
    status = Status(code=10, message=reason.lower())
    status.details.add().Pack(ErrorInfo(reason=reason, domain="longshore.dev"))
    return status


class Stream:
    """One stream of a worker, as the server sees it."""

    def __init__(self, context: Context) -> None:
        self.hello = work.Hello()
        self.draining = False
        self.beats = 0
        self.halfclosed = asyncio.Event()
        self.ended = asyncio.Event()
        self.context = context
        self.messages: list[work.WorkRequest] = []
        self._reports: asyncio.Queue[work.Report] = asyncio.Queue()
        self._outcome: asyncio.Future[Status | None] = asyncio.Future()
        self._drained = asyncio.Event()
        self._beat = asyncio.Event()

    # What the server does.

    async def say(self, **content: Any) -> None:
        await self.context.write(work.WorkResponse(**content))

    async def welcome(
        self, session_id: str = "s-1", epoch: int = 1, beat: float = 5, ttl: float = 30
    ) -> None:
        await self.say(
            welcome=work.Welcome(
                session_id=session_id,
                epoch=epoch,
                beat_interval=_duration(beat),
                time_to_live=_duration(ttl),
            )
        )

    async def assign(
        self,
        action: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        token: int = 100,
        **content: Any,
    ) -> None:
        """Assign an action; the operation's number is the token less 99."""
        await self.say(assignments=[assignment(action, arguments, token=token, **content)])

    async def stop(
        self, token: int = 100, reason: int = work.STOP_REASON_CANCEL_REQUESTED
    ) -> None:
        order = work.StopOrder(
            number=token - 99, lease_token=token, reason=work.StopReason.ValueType(reason)
        )
        await self.say(stops=[order])

    async def acknowledge(self, report: work.Report, error: Status | None = None) -> None:
        await self.say(acknowledgements=[acknowledgement(report, error)])

    def end(self, status: Status | None = None) -> None:
        """End the stream: in peace, or with an error."""
        if not self._outcome.done():
            self._outcome.set_result(status)

    # What the worker does.

    async def report(self) -> work.Report:
        """Return the next report."""
        async with asyncio.timeout(_SECONDS):
            return await self._reports.get()

    async def settled(self) -> work.Report:
        """Return the next report, acknowledged."""
        report = await self.report()
        await self.acknowledge(report)
        return report

    async def silent(self) -> bool:
        """Whether there is no report that has not been looked at."""
        return self._reports.empty()

    async def until(self, event: asyncio.Event) -> None:
        async with asyncio.timeout(_SECONDS):
            await event.wait()

    async def beaten(self) -> None:
        self._beat.clear()
        await self.until(self._beat)

    async def drained(self) -> None:
        await self.until(self._drained)

    async def serve(self) -> None:
        """Listen until the worker closes its half, or the test ends the stream."""
        listening = asyncio.create_task(self._listen())
        done, _ = await asyncio.wait(
            {listening, self._outcome}, return_when=asyncio.FIRST_COMPLETED
        )
        listening.cancel()
        await asyncio.wait({listening})
        self.ended.set()
        status = self._outcome.result() if self._outcome in done else None
        if status is not None:
            code = next(one for one in grpc.StatusCode if one.value[0] == status.code)
            details = (("grpc-status-details-bin", status.SerializeToString()),)
            await self.context.abort(code, status.message, details)

    async def _listen(self) -> None:
        while True:
            request = cast("object", await self.context.read())
            if not isinstance(request, work.WorkRequest):
                break
            self.messages.append(request)
            if request.draining:
                self.draining = True
                self._drained.set()
            if not request.reports and not request.draining:
                self.beats += 1
                self._beat.set()
            for report in request.reports:
                self._reports.put_nowait(report)
        self.halfclosed.set()


def assignment(
    action: str, arguments: Mapping[str, Any] | None = None, *, token: int = 100, **content: Any
) -> work.WorkAssignment:
    return work.WorkAssignment(
        number=token - 99,
        lease_token=token,
        operation_id=f"operation-{token}",
        action=action,
        arguments=b"" if arguments is None else struct(arguments),
        **content,
    )


def acknowledgement(report: work.Report, error: Status | None = None) -> work.Acknowledgement:
    return work.Acknowledgement(
        number=report.number,
        lease_token=report.lease_token,
        sequence=report.sequence,
        error=error,
    )


class Peer:
    """A server that has one method, and leaves what it answers to the test."""

    def __init__(self) -> None:
        self.address = ""
        self._streams: asyncio.Queue[Stream] = asyncio.Queue()

    async def work(self, _requests: object, context: Context) -> None:
        stream = Stream(context)
        request = await context.read()
        stream.hello = request.hello
        stream.draining = request.draining
        self._streams.put_nowait(stream)
        try:
            await stream.serve()
        finally:
            stream.ended.set()

    async def accept(self, *, welcome: bool = True, **content: Any) -> Stream:
        """Return the next stream that a worker opens."""
        async with asyncio.timeout(_SECONDS):
            stream = await self._streams.get()
        if welcome:
            await stream.welcome(**content)
        return stream


@asynccontextmanager
async def peer(*services: grpc.GenericRpcHandler) -> AsyncGenerator[Peer]:
    server = grpc.aio.server()
    found = Peer()
    handlers = {
        "Work": grpc.stream_stream_rpc_method_handler(
            found.work,
            request_deserializer=work.WorkRequest.FromString,
            response_serializer=work.WorkResponse.SerializeToString,
        )
    }
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler("longshore.v1.WorkerService", handlers),
            *services,
        ]
    )
    found.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield found
    finally:
        await server.stop(0)


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    return duration
