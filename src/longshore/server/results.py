"""Results: what work gave, streamed to whoever asks for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from longshore.core.deliveries import Delivery, Stage
from longshore.core.errors import (
    FileNotFound,
    OperationNotFound,
    ResultConsumed,
    WrongState,
)
from longshore.core.ids import target_of, text_of
from longshore.core.operations import Kind, Part, Record, State
from longshore.engine.engine import Engine
from longshore.server import wire
from longshore.server.contents import Contents
from longshore.server.gate import Call
from longshore.server.plan_checks import at
from longshore.v1.launch_service_pb2 import DownloadLaunchFilesResponse
from longshore.v1.task_service_pb2 import FetchTaskResultResponse

_PARTS: Final = (Part.RESULT, Part.FILES, Part.DELIVERY)
_CONTENT_TYPE: Final = FetchTaskResultResponse.CONTENT_TYPE_FIELD_NUMBER
_DATA: Final = FetchTaskResultResponse.DATA_FIELD_NUMBER
_ZIP_DATA: Final = DownloadLaunchFilesResponse.DATA_FIELD_NUMBER


class Results:
    """Streams results of tasks, and the files of launches."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._contents = Contents(engine)

    async def fetch(self, asked: str, call: Call) -> AsyncGenerator[bytes]:
        """Yield the messages with a task's result.

        Raises `OperationNotFound`, `ResultConsumed`, `WrongState` and as files do.
        """
        record = await self._record(asked, Kind.TASK, call)
        _refuse_without_result(record)
        content = await self._contents.content_of(record)
        lead = wire.part(_CONTENT_TYPE, content.content_type.encode())
        async with aclosing(wire.stream(lead, _DATA, content.chunks)) as messages:
            async for message in messages:
                yield message

    async def launch_files(self, asked: str, call: Call) -> AsyncGenerator[bytes]:
        """Yield the messages with a zip of what a launch has made.

        Raises `OperationNotFound`, `FileNotFound` and as files do.
        """
        record = await self._record(asked, Kind.LAUNCH, call)
        files = await self._contents.files_of(record)
        if not files:
            raise at("id", FileNotFound(made_by=text_of(record.operation.id)))
        chunks = self._contents.zip_of(files).chunks
        async with aclosing(wire.stream(b"", _ZIP_DATA, chunks)) as messages:
            async for message in messages:
                yield message

    async def _record(self, asked: str, kind: Kind, call: Call) -> Record:
        (record,) = await self._engine.store.get(call.caller.tenant, [target_of(asked)], _PARTS)
        if record is None or record.operation.kind != kind:
            raise OperationNotFound(asked)
        return record


def _refuse_without_result(record: Record) -> None:
    """Raise `ResultConsumed` or `WrongState` for what has no result, or none yet or any more."""
    operation = record.operation
    document = record.documents.get(Part.DELIVERY)
    delivery = None if document is None else Delivery.decode(document)
    if delivery is not None and delivery.retrieve_time is not None:
        raise ResultConsumed(text_of(operation.id))
    ready = operation.state == State.SUCCEEDED or (
        delivery is not None and not operation.ended and delivery.stage >= Stage.ONGOING
    )
    if not ready:
        wanted = "a result that can be fetched"
        raise WrongState(text_of(operation.id), State(operation.state).name, wanted)
