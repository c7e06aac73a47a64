"""The contract is complete, well formed, and what the generated code says."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf.descriptor import (
    Descriptor,
    FieldDescriptor,
    FileDescriptor,
    MethodDescriptor,
)

import longshore
from protos.generate import ROOT, generate, lay_imports

BUF = Path(sys.executable).parent / "buf"
VERBS = ("get", "put", "post", "delete", "patch")
V1 = importlib.import_module("longshore.v1")
HTTP: Any = annotations_pb2.http  # extensions have no common type
FIELD_BEHAVIOR: Any = field_behavior_pb2.field_behavior


def contract_files() -> list[FileDescriptor]:
    names = [module.name for module in pkgutil.iter_modules(V1.__path__)]
    modules = [importlib.import_module(f"longshore.v1.{n}") for n in sorted(names)]
    return [module.DESCRIPTOR for module in modules if module.__name__.endswith("_pb2")]


def methods() -> list[MethodDescriptor]:
    services = [s for file in contract_files() for s in file.services_by_name.values()]
    return [method for service in services for method in service.methods]


def route(method: MethodDescriptor) -> tuple[str, str]:
    """Return the verb and the path under which a method is called over HTTP."""
    rule = method.GetOptions().Extensions[HTTP]
    verb = rule.WhichOneof("pattern")
    return (verb, getattr(rule, verb)) if verb else ("", "")


def reachable(message: Descriptor, seen: set[str]) -> Iterator[FieldDescriptor]:
    """Yield the fields of a message of ours, and of those messages in it."""
    if message.full_name in seen or not message.full_name.startswith("longshore."):
        return
    seen.add(message.full_name)
    for field in message.fields:
        yield field
        if field.message_type and not field.message_type.GetOptions().map_entry:
            yield from reachable(field.message_type, seen)


def tree(root: Path) -> dict[str, bytes]:
    files = (file for file in root.rglob("*") if file.is_file() and file.suffix != ".pyc")
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.fixture(scope="module", autouse=True)
def imports() -> None:
    """The third-party .proto files, where buf and protoc find them."""
    lay_imports()


@pytest.fixture
def other_edition(tmp_path: Path) -> Path:
    """A copy of the contract that may be changed."""
    shutil.copyfile(ROOT / "buf.yaml", tmp_path / "buf.yaml")
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    shutil.copytree(ROOT / "build" / "protos", tmp_path / "build" / "protos")
    return tmp_path


def test_generated_code_is_fresh(tmp_path: Path) -> None:
    generate(tmp_path)
    assert tree(tmp_path) == tree(ROOT / "gen")


@pytest.mark.parametrize("file", contract_files(), ids=lambda file: file.name)
def test_import_path_is_proto_package(file: FileDescriptor) -> None:
    module = importlib.import_module(f"{file.package}.{Path(file.name).stem}_pb2")
    assert module.DESCRIPTOR is file


def test_longshore_is_a_namespace_that_hand_written_and_generated_code_share() -> None:
    assert longshore.__file__ is None, "src/longshore/__init__.py would hide gen/longshore"
    assert V1.__file__ is None


def test_the_contract_keeps_the_lint_rules() -> None:
    lint = run(BUF, "lint")
    assert lint.returncode == 0, lint.stdout


def test_the_contract_is_formatted() -> None:
    formatted = run(BUF, "format", "protos", "-d", "--exit-code")
    assert formatted.returncode == 0, formatted.stdout


def test_the_contract_breaks_no_caller_of_the_last_release(tmp_path: Path) -> None:
    tag = run("git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*")
    if tag.returncode != 0:
        pytest.skip("there is no release yet that a change could break")
    archive = tmp_path / "release.tar"
    run("git", "archive", f"--output={archive}", tag.stdout.strip(), "protos", "buf.yaml")
    shutil.unpack_archive(archive, tmp_path, filter="data")
    shutil.copytree(ROOT / "build" / "protos", tmp_path / "build" / "protos")
    breaking = run(BUF, "breaking", "--against", tmp_path)
    assert breaking.returncode == 0, breaking.stdout


def test_a_field_that_disappears_is_found_to_break_callers(other_edition: Path) -> None:
    assert run(BUF, "breaking", "--against", other_edition).returncode == 0
    file = other_edition / "protos" / "longshore" / "v1" / "operation.proto"
    file.write_text(
        file.read_text().replace("message Expired {", "message Expired { string gone = 1; ")
    )
    breaking = run(BUF, "breaking", "--against", other_edition)
    assert breaking.returncode != 0
    assert "gone" in breaking.stdout


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.name)
def test_every_method_but_those_fed_by_a_stream_has_a_route(method: MethodDescriptor) -> None:
    verb, path = route(method)
    if method.client_streaming:
        assert not verb
    else:
        assert verb in VERBS
        assert path.startswith("/v1/")


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.name)
def test_what_a_route_names_is_a_field_of_the_request(method: MethodDescriptor) -> None:
    _, path = route(method)
    for name in re.findall(r"\{([^}]+)\}", path):
        message: Descriptor | None = method.input_type
        for part in name.split("."):
            assert message
            message = message.fields_by_name[part].message_type


def test_no_two_methods_share_a_route() -> None:
    routes = [(v, re.sub(r"\{[^}]+\}", "{}", path)) for v, path in map(route, methods()) if v]
    assert sorted(set(routes)) == sorted(routes)


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.name)
def test_every_field_that_a_caller_sends_says_whether_it_is_needed(
    method: MethodDescriptor,
) -> None:
    for field in reachable(method.input_type, set()):
        assert field.GetOptions().Extensions[FIELD_BEHAVIOR], field.full_name
