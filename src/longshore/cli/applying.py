"""What is read from files, applied one by one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from google.protobuf.message import Message

from longshore.cli.documents import Document, naming
from longshore.cli.output import say, say_json
from longshore.cli.running import Asking

M = TypeVar("M", bound=Message)


async def apply_documents(
    asking: Asking,
    documents: Iterable[Document[M]],
    apply: Callable[[M], Awaitable[M]],
    told: Callable[[M], str],
) -> None:
    """Apply documents and say what holds then. Raises `CallError`, naming the document."""
    for document in documents:
        with naming(document.where):
            applied = await apply(document.message)
        if asking.as_json:
            say_json(applied)
        else:
            say(told(applied))
