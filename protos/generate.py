"""Generate the Python of the contract: `python protos/generate.py [folder, default gen]`.

The google/… files that the contract imports come with the installed packages. They are laid
into `build/protos`, where buf and protoc find them, and are not part of the repository.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
IMPORTS = ROOT / "build" / "protos"
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
        f"--python_out={into}",
        f"--grpc_python_out={into}",
        f"--mypy_out=quiet:{into}",
        f"--mypy_grpc_out=quiet,only_async:{into}",
        *map(str, sorted(PROTOS.glob("longshore/**/*.proto"))),
    ]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    lay_imports()
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "gen")
