from __future__ import annotations

import json

from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from longshore.cli.output import to_json
from longshore.v1 import operation_pb2 as pb
from longshore.v1.task_service_pb2 import Task


def test_an_error_is_shown_with_details_of_any_type() -> None:
    error = Status(code=13, message="broken")
    error.details.add(type_url="type.googleapis.com/quay.v1.Crane", value=b"\x08\x07")
    error.details.add().Pack(RetryInfo())
    shown = json.loads(to_json(Task(status=pb.Status(error=error))))
    assert shown["status"]["error"]["details"] == [
        {"@type": "type.googleapis.com/quay.v1.Crane"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo"},
    ]
