"""Everything that can be read of a server: every method that reads, in every view, as bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import product
from typing import Any, NamedTuple

import grpc.aio
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from longshore.core.principals import Role
from longshore.server.roles import NEEDED
from tests.acceptance.waiting import within

#: All that may be called by who can do nothing but read.
READS = sorted(path for path, needed in NEEDED.items() if Role.VIEWER in needed)

import_module("google.longrunning.operations_pb2")  # Else its service is not known.

_REFLECTION = "grpc.reflection."


class Known(NamedTuple):
    """What there is to ask for by its name."""

    tasks: Sequence[str]
    jobs: Sequence[str]
    launches: Sequence[str]
    contracts: Sequence[str]
    schedules: Sequence[str]
    services: Sequence[str]
    files: Sequence[str]

    @property
    def operations(self) -> list[str]:
        return [*self.tasks, *self.jobs, *self.launches]

    def named(self, path: str) -> Sequence[str]:
        """Return what a method can be asked for, by the names of methods."""
        method = path.rpartition("/")[2]
        if path.startswith("/google.longrunning."):
            return [f"operations/{one}" for one in self.operations]
        for word, names in (
            ("Task", self.tasks),
            ("Job", self.jobs),
            ("Launch", self.launches),
            ("Contract", self.contracts),
            ("Schedule", self.schedules),
            ("Service", self.services),
            ("File", self.files),
        ):
            if word in method and method != "DownloadLaunchFiles":
                return names
        return self.launches if method == "DownloadLaunchFiles" else self.operations


async def read_all(channel: Any, known: Known) -> dict[str, list[bytes]]:
    """Ask for everything; return all that was answered, errors too, by path."""
    found: dict[str, list[bytes]] = {}
    for path in READS:
        if _REFLECTION in path:
            continue
        service, _, name = path[1:].rpartition("/")
        method = Default().FindServiceByName(service).methods_by_name[name]
        answers = found[path] = []
        for request in _requests(method, known.named(path)):
            answers += await _answers(channel, path, method, request)
    return found


def _requests(method: MethodDescriptor, names: Sequence[str]) -> Iterator[Message]:
    """Yield requests for all of these, with every view and every switch that there is."""
    kind = GetMessageClass(method.input_type)
    fields = method.input_type.fields_by_name
    switches = {name: _values(field) for name, field in fields.items() if _values(field)}
    for chosen in product(*switches.values()):
        request = kind(**dict(zip(switches, chosen, strict=True)))
        if "page_size" in fields:
            setattr(request, "page_size", 1_000)  # noqa: B010 - it is no field of every message
        if "ids" in fields:
            request.ids.extend(names)  # type: ignore[attr-defined]
            yield request
            continue
        key = next((one for one in ("id", "name", "file_id", "slug") if one in fields), "")
        if not key or method.name.startswith("List"):
            yield request
            continue
        for name in names:
            one = kind()
            one.CopyFrom(request)
            setattr(one, key, name)
            yield one


def _values(field: FieldDescriptor) -> list[Any]:
    if field.enum_type is not None:
        return [value.number for value in field.enum_type.values]
    return [False, True] if field.type == FieldDescriptor.TYPE_BOOL else []


async def _answers(
    channel: Any, path: str, method: MethodDescriptor, request: Message
) -> list[bytes]:
    answers: list[bytes] = []
    make = channel.unary_stream if method.server_streaming else channel.unary_unary
    asked = make(path)(request.SerializeToString())
    try:
        if not method.server_streaming:
            answers.append(await within(asked, f"the answer of {path}"))
        else:
            while (
                one := await within(asked.read(), f"a message of {path}")
            ) is not grpc.aio.EOF:
                answers.append(one)
    except grpc.aio.AioRpcError as error:
        answers += [repr(error).encode(), repr(error.trailing_metadata()).encode()]
    return answers
