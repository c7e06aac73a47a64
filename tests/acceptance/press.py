"""The work of the tests of files: it takes files, and makes them."""

from __future__ import annotations

from pathlib import Path

from longshore.worker import Context, File, Worker

worker = Worker("press", slots=4)


@worker.action
async def pages(context: Context, count: int = 1) -> None:
    """Make files and no result."""
    for number in range(1, count + 1):
        await context.save_file(f"pages/{number}.txt", f"page {number}\n".encode())


@worker.action
async def bind(context: Context, sheet: File, title: str = "") -> dict[str, str]:
    """Make a file of one that it takes, and give a result as well."""
    info = await sheet.info()
    await context.save_file("book.bin", await sheet.read())
    return {"title": title, "sheet": info.path, "sha256": info.sha256}


@worker.action
async def proof(text: str = "") -> dict[str, str]:
    """Give a result and no file."""
    return {"proof": text}


@worker.action
async def jam() -> None:
    """Fail for good."""
    raise RuntimeError("the press is jammed")


@worker.operation("edition")
def edition(context: Context, folder: str) -> dict[str, int]:
    """Save all files of a folder, as a thread does it."""
    found = sorted(file for file in Path(folder).rglob("*") if file.is_file())
    for file in found:
        context.save_file(file.relative_to(folder).as_posix(), file)
    return {"files": len(found)}
