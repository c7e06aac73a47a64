"""Framing: what goes over a channel. Every message is a header and a payload, each led by its
length, in which the end of its line counts; an empty line says that the channel lives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from longshore.gateway.asapi.shapes import unsuccessful
from longshore.v1.task_service_pb2 import StreamResultsResponse

HEARTBEAT: Final = b"\r\n"


def system(code: str, message: str) -> bytes:
    """Return what the channel says of itself. The word for what is wrong would end the client's
    listening, so it must not be in it.
    """
    return _frame({"type": "system"}, _json({"message": message, "code": code}))


def result(told: StreamResultsResponse) -> bytes:
    """Return a chunk of a result, or why there is none."""
    task = told.task
    header: dict[str, Any] = {
        "type": task.spec.actions[0].action,
        "task_id": task.metadata.id,
    }
    if told.chunk:
        header |= {
            "total_chunks": told.total_chunks,
            "chunk": told.chunk,
            "chunk_size": told.chunk_size,
        }
        return _frame(header, told.data)
    payload = _json(unsuccessful(task))
    header |= {"total_chunks": 1, "chunk": 1, "chunk_size": len(payload)}
    return _frame(header, payload)


def _frame(header: Mapping[str, Any], payload: bytes) -> bytes:
    head = _json(header)
    return b"%d\r\n%b\r\n%d\r\n%b\r\n" % (len(head) + 2, head, len(payload) + 2, payload)


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
