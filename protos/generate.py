"""Generate the Python of the contract: `python protos/generate.py [folder, default gen]`.

The google/… files that the contract imports come with the installed packages. They are laid
into `build/protos`, where buf and protoc find them, and are not part of the repository.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

from grpc_tools import protoc  # pyright: ignore[reportMissingTypeStubs]

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
IMPORTED = ROOT / "build" / "protos"
BIN = Path(sys.executable).parent

#: Folders of .proto files, each with a module of the package that ships it.
SHIPPED = {
    "google/api": "google.api.annotations_pb2",
    "google/longrunning": "google.longrunning.operations_pb2",
    "google/rpc": "google.rpc.status_pb2",
    "google/protobuf": "grpc_tools.protoc",
}


def lay_imports(into: Path = IMPORTED) -> None:
    """Copy the third-party .proto files into a folder that mirrors their import paths."""
    for folder, module in SHIPPED.items():
        for file in shipped(module, folder).glob("*.proto"):
            target = into / folder / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def shipped(module: str, folder: str) -> Path:
    """Return where the package of a module keeps a folder of .proto files."""
    origin = importlib.import_module(module).__file__
    if origin is None:
        raise FileNotFoundError(f"{module} has no place on disk")
    home = Path(origin).parent
    return home if home.match(folder) else home / "_proto" / folder


def generate(into: Path) -> None:
    """Write messages, services and their stubs into a folder, in place of what is there."""
    lay_imports()
    shutil.rmtree(into / "longshore", ignore_errors=True)
    into.mkdir(parents=True, exist_ok=True)
    arguments = [
        "protoc",
        f"-I{PROTOS}",
        f"-I{IMPORTED}",
        f"--plugin=protoc-gen-mypy={BIN / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={BIN / 'protoc-gen-mypy_grpc'}",
        f"--python_out={into}",
        f"--grpc_python_out={into}",
        f"--mypy_out=quiet:{into}",
        f"--mypy_grpc_out=quiet,only_async:{into}",
        *(str(file) for file in sorted(PROTOS.glob("longshore/**/*.proto"))),
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "gen")
