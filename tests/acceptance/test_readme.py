"""What the README shows is what happens: its commands run, in order, as they stand there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf.descriptor_pool import Default
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from longshore.client import Client
from longshore.server.catalog_service import CatalogService
from longshore.server.file_service import FileService
from longshore.server.job_service import JobService
from longshore.server.launch_service import LaunchService
from longshore.server.operation_service import OperationService
from longshore.server.queue_service import QueueService
from longshore.server.server_service import ServerService
from longshore.server.task_service import TaskService
from longshore.server.worker_service import WorkerService
from tests.acceptance.processes import COMMAND, ROOT
from tests.acceptance.waiting import eventually_answered, within
from tests.tools.ports import steady_address

README = (ROOT / "README.md").read_text()
_LINE_BYTES = 4 * 1024 * 1024  #: As long as a message may be.
SERVICES = (
    CatalogService,
    FileService,
    JobService,
    LaunchService,
    OperationService,
    QueueService,
    ServerService,
    TaskService,
    WorkerService,
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[str]:
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like a fresh checkout after set-up."""
    shutil.copytree(
        ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "README.md", tmp_path)
    (tmp_path / ".venv").symlink_to(COMMAND.parents[1])
    return tmp_path


@pytest.fixture
async def server(checkout: Path) -> AsyncIterator[str]:
    """What `make run` starts, on a port of its own."""
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "serve", "--demo", "--store", "sqlite:longshore.db"),
        *("--listen", "127.0.0.1:0"),
        cwd=checkout,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = (await within(process.stdout.readline(), "the address")).decode()
        address = line.rsplit(" ", 1)[-1].strip()
        await service_is_offered(address, "archive")
        yield address
    finally:
        process.terminate()
        assert await within(process.wait(), "the end of the server") == 0


async def service_is_offered(address: str, slug: str) -> None:
    async with Client(address) as client:

        async def offered() -> bool:
            return slug in [service.slug for service in await client.catalog.services()]

        await eventually_answered(offered, f"service {slug!r}")


class Shell:
    """A shell that a reader types commands into."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def type(self, command: str) -> str:
        """Return what a command prints. Fails the test if the command fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # Not everything that is printed ends with the end of a line.
        self._process.stdin.write(f"{command}\nprintf '\\ndone=%s\\n' $?\n".encode())
        printed: list[str] = []
        while True:
            line = (await within(self._process.stdout.readline(), command)).decode()
            if not line or line.startswith("done="):
                assert line == "done=0\n", f"{command}\n{''.join(printed)}{line}"
                return "".join(printed)
            printed.append(line)


@pytest.fixture
async def shell(checkout: Path, server: str) -> AsyncIterator[Shell]:
    for block in [*blocks("python"), *blocks("yaml")]:
        name = block.splitlines()[0].removeprefix("# ")
        (checkout / name).write_text(block.replace("127.0.0.1:50051", server))
    process = await asyncio.create_subprocess_exec(
        *("bash", "-m"),
        cwd=checkout,
        env={**os.environ, "LONGSHORE_SERVER": server},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=_LINE_BYTES,
    )
    try:
        yield Shell(process)
    finally:
        # Also when a command failed: nothing that was started is left behind.
        assert process.stdin is not None
        process.stdin.write(b"kill $(jobs -p) 2> /dev/null\n")
        process.stdin.close()
        await within(process.wait(), "the end of the shell")


@pytest.mark.timeout(360)  # They are many, and each of them is a process.
async def test_every_command_of_the_readme_succeeds(shell: Shell, server: str) -> None:
    printed: dict[str, str] = {}
    others = {address: steady_address() for address in ("127.0.0.1:50052", "127.0.0.1:8080")}
    for block in blocks("console"):
        for command in commands(block):
            typed = command
            for address, own in others.items():
                typed = typed.replace(address, own)
            printed[command] = await shell.type(typed)
            if command.endswith("&") and "worker" in command:
                await service_is_offered(server, "hello")
    assert "Hello, Ada!" in printed["python client.py"]
    assert printed["python sync_client.py"].startswith("{")
    assert "Hello, Grace!" in printed["longshore run task greet name=Grace --json"]
    assert "bag" in printed["longshore get 1"]
    assert (
        "files are what was packed"
        in printed["longshore run launch verify-bag folder=build/bag"]
    )
    assert "it starts at" in printed["longshore explain 5"]
    assert "inventory.csv" in printed["longshore download $inventory -o build"]
    assert re.search(r"^task \d+  SUCCEEDED  {", printed["longshore results -n 1"])
    denied = 'longshore queue pause default || echo "for operators only"'
    assert "for operators only" in printed[denied]
    assert "paused" in printed["longshore queue pause default --token-file root.token"]
    assert "not any more" in next(
        text for one, text in printed.items() if one.startswith("while longshore status")
    )
    posted = next(text for one, text in printed.items() if one.endswith("/v1/tasks:run"))
    assert "STATE_SUCCEEDED" in posted
    assert "STATE_SUCCEEDED" in next(text for one, text in printed.items() if "filter=" in one)
    assert "data: {" in next(text for one, text in printed.items() if "event-stream" in one)
    assert "<service" in next(text for one, text in printed.items() if "/xml" in one)
    assert "1 passed" in next(text for one, text in printed.items() if one.startswith("pytest"))


async def test_every_grpcurl_line_of_the_readme_is_answered(shell: Shell, server: str) -> None:
    first = commands(blocks("console")[0])
    for command in first[:2]:
        await shell.type(command)
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    asked = [shlex.split(line) for line in lines if " -d " in line]
    assert len(asked) >= 5
    async with grpc.aio.insecure_channel(server) as channel:
        for _, _, _, body, _, path in asked:
            assert await answers(channel, path, json.loads(body))


async def answers(channel: grpc.aio.Channel, path: str, body: dict[str, Any]) -> int:
    """Return how many messages answer a call, made from its description alone."""
    service, _, name = path.partition("/")
    method = Default().FindServiceByName(service).methods_by_name[name]
    request = ParseDict(body, GetMessageClass(method.input_type)())
    encode, read = (
        type(request).SerializeToString,
        GetMessageClass(method.output_type).FromString,
    )
    if method.server_streaming:
        stream = channel.unary_stream(f"/{path}", encode, read)
        return len([message async for message in stream(request)])
    await channel.unary_unary(f"/{path}", encode, read)(request)
    return 1


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.SERVICE)
def test_the_readme_names_every_method_that_is_served(service: Any) -> None:
    descriptor = Default().FindServiceByName(service.SERVICE)
    (row,) = re.findall(rf"^\| `{descriptor.name}` \| (.*) \|$", README, re.MULTILINE)
    served = {method.name for method in descriptor.methods if hasattr(service, method.name)}
    assert set(re.findall(r"`(\w+)`", row)) == served
