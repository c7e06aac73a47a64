"""Page tokens: where the next page of a list begins, for the question that was asked.

A token carries a digest of its question, so that it is refused under another one. It holds
no secret and no server state: it outlives restarts, and who forges one sees only what the
question shows anyway.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from longshore.core.errors import InvalidPageToken
from longshore.core.fields import FieldType
from longshore.core.filters import Filter, canonical
from longshore.core.operations import Kind
from longshore.core.orders import Order

_VERSION: Final = 1
_CHARACTERS: Final = 16_384  # Longer than any key of ours makes a token.
_DIGEST_BYTES: Final = 12
_INT64: Final = 2**63
_UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class PageToken:
    """Asks for what follows an operation (or event) with these sort values."""

    question: str  #: From `question`.
    after: tuple[str | int, ...]  #: As `Order.types` says.
    revision: int  #: Of the first page; every page repeats it.

    def encode(self) -> str:
        """Return the token as the URL-safe text that callers send back."""
        content = [_VERSION, self.question, self.revision, *self.after]
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, question: str, types: tuple[FieldType, ...]) -> PageToken:
        """Read a token back, for a question whose sort values are of these types.

        Raises `InvalidPageToken` for a token of another question and for anything else.
        """
        match _content(text):
            case [_, asked, int(revision), *after] if (
                asked == question
                and _fits(revision, FieldType.INT)
                and len(after) == len(types)
                and all(map(_fits, after, types))
            ):
                token = cls(question, tuple(after), revision)
                if token.encode() == text:  # also the version, and no second spelling
                    return token
            case _:
                pass
        raise InvalidPageToken


def question(*parts: str) -> str:
    """Return a digest of what is asked: every part that another token must not share."""
    text = json.dumps(parts, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).digest()[:_DIGEST_BYTES]
    return base64.urlsafe_b64encode(digest).decode()


def list_question(tenant: str, kind: Kind | None, wanted: Filter, order: Order) -> str:
    """Return the digest of a list's question; the view and the page size are free to change."""
    return question(tenant, kind.name if kind else "", canonical(wanted), order.text)


def _content(text: str) -> Any:
    """Return the JSON of a token, or None if it holds none."""
    if len(text) > _CHARACTERS:
        return None
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        return json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        return None


def _fits(value: Any, kind: FieldType) -> bool:
    """Tell whether a store can compare this value, which anybody may have made up."""
    match kind:
        case FieldType.TEXT:
            return isinstance(value, str) and _storable(value)
        case FieldType.ID:
            return isinstance(value, str) and _UUID.fullmatch(value) is not None
        case _:
            return type(value) is int and -_INT64 <= value < _INT64


def _storable(text: str) -> bool:
    """Tell whether a text is one: JSON can smuggle in halves of surrogate pairs."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
