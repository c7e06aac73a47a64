"""Reflection: lets grpcurl and its like ask what is served, in both versions of the protocol.

The library speaks `v1alpha` only. Version `v1` has the same messages under another name, so
the same servicer serves both.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Iterable
from typing import Any, ClassVar

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from longshore.server.decoding import decode
from longshore.server.gate import Call


class Reflection(enum.Enum):
    """Who may ask what is served."""

    OPEN = "open"  #: Anybody.
    KNOWN = "known"  #: Who is known to the server, whatever the role.
    OFF = "off"  #: Nobody.


class ReflectionV1Alpha:
    """Describes services, and itself, to who asks."""

    SERVICE: ClassVar[str] = "grpc.reflection.v1alpha.ServerReflection"

    def __init__(self, services: Iterable[str]) -> None:
        names = (*services, ReflectionV1Alpha.SERVICE, ReflectionV1.SERVICE)
        self._servicer: Any = reflection.aio.ReflectionServicer(names, pool=_pool_with_v1())

    async def ServerReflectionInfo(self, call: Call) -> None:
        requests = _requests(call)
        async for response in self._servicer.ServerReflectionInfo(requests, call.context):
            await call.write(response)


class ReflectionV1(ReflectionV1Alpha):
    """The same, under the name of the newer version."""

    SERVICE: ClassVar[str] = "grpc.reflection.v1.ServerReflection"


async def _requests(call: Call) -> AsyncGenerator[ServerReflectionRequest]:
    while (data := await call.read()) is not None:
        yield decode(ServerReflectionRequest, data)


def _pool_with_v1() -> descriptor_pool.DescriptorPool:
    """Return the default pool, which then also knows the protocol under its newer name."""
    pool = descriptor_pool.Default()
    described = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(described)
    _call_it_v1(described)
    pool.AddSerializedFile(described.SerializeToString())
    return pool


def _call_it_v1(described: FileDescriptorProto) -> None:
    described.name = described.name.replace("v1alpha", "v1")
    described.package = described.package.replace("v1alpha", "v1")
    for message in described.message_type:
        for field in message.field:
            if field.HasField("type_name"):
                field.type_name = field.type_name.replace(".v1alpha.", ".v1.")
    for service in described.service:
        for method in service.method:
            method.input_type = method.input_type.replace(".v1alpha.", ".v1.")
            method.output_type = method.output_type.replace(".v1alpha.", ".v1.")
