from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from longshore.core.limits import CHUNK_BYTES
from longshore.server import wire
from longshore.v1.file_service_pb2 import DownloadFileResponse, UploadFileRequest
from longshore.v1.operation_pb2 import File

DATA = UploadFileRequest.DATA_FIELD_NUMBER
SIZES = [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]


@pytest.mark.parametrize("size", SIZES)
def test_a_field_that_is_alone_is_read(size: int) -> None:
    data = bytes(size)
    found = wire.sole(DATA, wire.part(DATA, data))
    assert found is not None
    assert bytes(found) == data


@given(st.binary(max_size=20), st.sampled_from(["", "a"]))
def test_what_stands_beside_others_is_left_to_a_decoder(data: bytes, sha256: str) -> None:
    message = UploadFileRequest(data=data, sha256=sha256).SerializeToString()
    found = wire.sole(DATA, message)
    assert (found and bytes(found)) == (data if data and not sha256 else None)


@given(st.binary(max_size=12))
@example(b"\x12")
@example(b"\x12\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")
@example(b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
def test_what_is_read_is_what_a_decoder_reads(message: bytes) -> None:
    found = wire.sole(DATA, message)
    if found is not None:
        assert UploadFileRequest.FromString(message) == UploadFileRequest(data=bytes(found))
    else:
        try:
            decoded = UploadFileRequest.FromString(message)
        except DecodeError:
            return
        assert message != wire.part(DATA, decoded.data)


async def told(*chunks: bytes) -> AsyncGenerator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_a_stream_has_its_lead_first_and_chunks_that_fit() -> None:
    lead = wire.part(DownloadFileResponse.FILE_FIELD_NUMBER, File(size=3).SerializeToString())
    for chunks in ([], [b""], [b"a", b"b"], [b"a" * (2 * CHUNK_BYTES + 1), b"b"]):
        stream = wire.stream(lead, DownloadFileResponse.DATA_FIELD_NUMBER, told(*chunks))
        messages = [DownloadFileResponse.FromString(one) async for one in stream]
        assert messages[0].file.size == 3
        assert not any(one.HasField("file") for one in messages[1:])
        assert all(len(one.data) <= CHUNK_BYTES for one in messages)
        assert b"".join(one.data for one in messages) == b"".join(chunks)
