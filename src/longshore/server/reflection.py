"""Reflection: lets grpcurl and its like ask what is served, in both versions of the protocol.

The library speaks `v1alpha` only. Version `v1` has the same messages under another name, so
the same servicer is registered under both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection, reflection_pb2

_V1ALPHA: Final = "grpc.reflection.v1alpha.ServerReflection"
_V1: Final = "grpc.reflection.v1.ServerReflection"


def add_reflection(server: grpc.aio.Server, services: Iterable[str]) -> None:
    """Let a server describe these services, health and reflection itself."""
    pool = _pool_with_v1()
    names = (*services, _V1ALPHA, _V1)
    servicer: Any = reflection.aio.ReflectionServicer(names, pool=pool)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    method = {"ServerReflectionInfo": handler}
    server.add_generic_rpc_handlers(
        tuple(grpc.method_handlers_generic_handler(name, method) for name in (_V1ALPHA, _V1))
    )


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
