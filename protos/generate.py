"""Generate the Python of the contract: `python protos/generate.py [folder, default gen]`.

Beside it `comments.json` has what the contract says of each of its elements, by full name, for
documents that are made of descriptors: these have no comments. The google/… files that the contract imports come with the installed packages. They are laid
into `build/protos`, where buf and protoc find them, and are not part of the repository.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
IMPORTS = ROOT / "build" / "protos"
DESCRIBED = ROOT / "build" / "described.bin"
BIN = Path(sys.executable).parent

#: Import paths of third-party .proto files, each with the folder that ships them.
SHIPPED = {
    "google/api": files("google.api"),
    "google/longrunning": files("google.longrunning"),
    "google/protobuf": files("grpc_tools").joinpath("_proto", "google", "protobuf"),
    "google/rpc": files("google.rpc"),
}


def lay_imports() -> None:
    """Copy the third-party .proto files to where buf and protoc look for them."""
    for folder, shipped in SHIPPED.items():
        (IMPORTS / folder).mkdir(parents=True, exist_ok=True)
        for file in shipped.iterdir():
            if file.name.endswith(".proto"):
                (IMPORTS / folder / file.name).write_bytes(file.read_bytes())


def generate(into: Path) -> None:
    """Write messages, services and their stubs into a folder, in place of what is there."""
    shutil.rmtree(into / "longshore", ignore_errors=True)
    into.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "grpc_tools.protoc"),
        f"-I{PROTOS}",
        f"-I{IMPORTS}",
        f"--plugin=protoc-gen-mypy={BIN / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={BIN / 'protoc-gen-mypy_grpc'}",
        f"--descriptor_set_out={DESCRIBED}",
        "--include_source_info",
        f"--python_out={into}",
        f"--grpc_python_out={into}",
        f"--mypy_out=quiet:{into}",
        f"--mypy_grpc_out=quiet,only_async:{into}",
        *map(str, sorted(PROTOS.glob("longshore/**/*.proto"))),
    ]
    subprocess.run(command, check=True)
    described = FileDescriptorSet.FromString(DESCRIBED.read_bytes())
    found = dict(comment for file in described.file for comment in comments(file))
    text = json.dumps(found, ensure_ascii=False, indent=0, sort_keys=True)
    (into / "longshore" / "v1" / "comments.json").write_text(f"{text}\n", encoding="utf-8")


def comments(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    """Yield the full name of each element of a file with its comment."""
    for location in file.source_code_info.location:
        if location.leading_comments:
            text = "\n".join(line.strip() for line in location.leading_comments.splitlines())
            yield ".".join([file.package, *names(file, location.path)]), text.strip()


def names(element: Any, path: Sequence[int]) -> Iterator[str]:
    """Yield the names along a path: of fields of descriptors, and places in them, in turn."""
    for number, place in zip(path[::2], path[1::2], strict=False):
        field = element.DESCRIPTOR.fields_by_number[number]
        element = getattr(element, field.name)[place]
        yield element.name


if __name__ == "__main__":
    lay_imports()
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "gen")
