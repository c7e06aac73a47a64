"""Named pages: lists of the small things that have a name, in the order of their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar

from google.protobuf.message import Message

from longshore.core.fields import FieldType
from longshore.core.limits import PAGE_BYTES
from longshore.core.page_tokens import PageToken
from longshore.server.checks import page_size

M = TypeVar("M", bound=Message)
N = TypeVar("N", bound=tuple[str, ...])
T = TypeVar("T")

_NO_REVISION: Final = 0  #: These lists are not watched from where they were read.


class PageRequest(Protocol):
    """What these lists are asked by."""

    @property
    def page_size(self) -> int: ...
    @property
    def page_token(self) -> str: ...


def named_page(
    request: PageRequest, asked: str, rows: Mapping[N, T], show: Callable[[N, T], M]
) -> tuple[list[M], str]:
    """Return the messages of a page and the token of the next one, empty on the last.

    Names have equally many parts; `asked` is from `page_tokens.question`. Raises
    `InvalidFields`, `InvalidPageToken`, `LimitExceeded`.
    """
    size = page_size(request.page_size)
    names = sorted(rows)
    if request.page_token:
        # Without rows nothing is left to compare, but the token must still be one.
        types = (FieldType.TEXT,) * len(names[0] if names else ("",))
        after = PageToken.decode(request.page_token, asked, types).after
        names = [name for name in names if name > after]
    shown: list[M] = []
    room = PAGE_BYTES
    for index, name in enumerate(names):
        message = show(name, rows[name])
        room -= message.ByteSize()
        if len(shown) == size or (shown and room < 0):
            token = PageToken(asked, names[index - 1], _NO_REVISION)
            return shown, token.encode()
        shown.append(message)
    return shown, ""
