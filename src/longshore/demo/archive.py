"""The archive worker: its actions, and two services that are launched.

The results of one action are fit to be the arguments of the next, as in `archive.yaml`: the
`root` of `scan` is the `path` of `digest`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from longshore.demo.bags import make_bag
from longshore.demo.digests import Algorithm, digest_file, digest_tree
from longshore.demo.folders import Tree, shown
from longshore.demo.formats import identify_tree
from longshore.demo.inventories import save_inventory
from longshore.demo.naming import RULES, Rule, check_tree
from longshore.demo.verification import verify_bag
from longshore.worker import Context, File, Worker

_LISTED: Final = 1_000
_BETWEEN: Final = 100  #: Files between two words of progress.

worker = Worker(
    "archive",
    slots=4,
    version="1",
    description="Archive work on the files and folders of the worker's machine.",
)

Path = Annotated[str, Field(description="A file or folder on the worker's machine.")]
Folder = Annotated[
    str, Field(title="Folder", description="A folder on the worker's machine.", min_length=1)
]


@worker.action
def scan(path: Path, context: Context) -> dict[str, Any]:
    """Count the files, folders and bytes below a path, and list the first 1,000 files."""
    tree = Tree(path, context)
    listing: list[dict[str, Any]] = []
    files = size = 0
    for file in tree.files():
        files += 1
        size += file.size
        if files <= _LISTED:
            listing.append({"path": shown(file.name), "size": file.size})
        if files % _BETWEEN == 0:
            context.progress(files, unit="files", message=shown(file.name))
    context.progress(files, files, "files")
    return {
        "root": str(tree.root),
        "files": files,
        "folders": tree.folders,
        "links": tree.links,
        "bytes": size,
        "listing": listing,
        "truncated": files > _LISTED,
        "skipped": tree.skipped,
    }


@worker.action
def digest(
    path: Path,
    context: Context,
    algorithm: Annotated[Algorithm, Field(description="The digest's name.")] = "sha256",
) -> dict[str, Any]:
    """Digest every file below a path, and all of them together."""
    return digest_tree(Tree(path, context), algorithm, context)


@worker.action("digest-file")
def digest_one(
    file: Annotated[File, Field(description="The id of a file that was uploaded or made.")],
    algorithm: Annotated[Algorithm, Field(description="The digest's name.")] = "sha256",
) -> dict[str, Any]:
    """Digest one file, wherever it was uploaded from."""
    return digest_file(file, algorithm)


@worker.action
def inventory(path: Path, context: Context) -> None:
    """List every file below a path with its size, in a file of its own."""
    save_inventory(Tree(path, context), context)


@worker.action
def identify(path: Path, context: Context) -> dict[str, Any]:
    """Count the files below a path by their formats."""
    return identify_tree(Tree(path, context), context)


@worker.action(executor="process")
def bag(
    path: Path,
    target: Annotated[str, Field(description="Where the bag is made: a new or empty folder.")],
    context: Context,
) -> dict[str, Any]:
    """Copy a file or folder into a new BagIt bag, and check it."""
    return make_bag(Tree(path, context), target, context)


@worker.operation("verify-bag", name="Verify a bag", version="1")
def verify(folder: Folder, context: Context) -> dict[str, Any]:
    """Read a BagIt bag again, and fail if it is not what was packed."""
    return verify_bag(Tree(folder, context), context)


@worker.ruleset("naming-rules", name="Naming rules", version="1")
def check_names(
    folder: Folder,
    context: Context,
    rules: Annotated[
        tuple[Rule, ...], Field(title="Rules", description="Which to check. Default: all.")
    ] = RULES,
    longest_path: Annotated[
        int,
        Field(
            title="Longest path",
            description="How many characters a path below the folder may have.",
            ge=1,
        ),
    ] = 240,
) -> dict[str, Any]:
    """Warn of names below a folder that some systems would not keep."""
    return check_tree(Tree(folder, context), rules, longest_path, context)
