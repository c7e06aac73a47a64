"""Checks: the rules for single fields, each said once.

A check either adds a violation to a list, so that all of them are told together, or raises
`LimitExceeded` or `PayloadTooLarge` at once.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from longshore.core.errors import InvalidFields, LimitExceeded, PayloadTooLarge, Violation
from longshore.core.installation import RULESETS_QUEUE, is_reserved
from longshore.core.limits import NAME_CHARACTERS, PAGE_SIZE, PAGE_SIZE_DEFAULT, PAYLOAD_BYTES

Flaws = list[Violation]

_FIRST_SECOND: Final = -62_135_596_800  #: Of the year 1.
_LAST_SECOND: Final = 253_402_300_799  #: Of the year 9999.
_LONGEST_SECONDS: Final = 1_000 * 365 * 86_400  #: So that every end of a span is a time.
_NANOS: Final = 1_000_000_000

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


def at_most(field: str, limit: int, actual: int) -> None:
    """Raise `LimitExceeded` if there is more of something than may be."""
    if actual > limit:
        raise LimitExceeded(field, limit, actual)


def payload(field: str, size: int) -> None:
    """Raise `PayloadTooLarge` if a payload has more bytes than may be."""
    if size > PAYLOAD_BYTES:
        raise PayloadTooLarge(field, PAYLOAD_BYTES, size)


def printable(text: str, field: str, flaws: Flaws) -> None:
    """A text for people: no control characters, in which somebody else's terminal drowns."""
    if text and not text.isprintable():
        flaws.append(Violation(field, "only printable characters are allowed"))


def no_controls(text: str, field: str, flaws: Flaws) -> None:
    """A key of a caller's, which programs compare: any characters but those of control."""
    if _CONTROL.search(text):
        flaws.append(Violation(field, "control characters are not allowed"))


def prose(text: str, field: str, flaws: Flaws) -> None:
    """A text for people of any number of lines."""
    if not all(line.isprintable() for line in text.replace("\t", " ").split("\n")):
        flaws.append(Violation(field, "only lines of printable characters are allowed"))


def is_web_url(text: str) -> bool:
    """Tell whether a text is an absolute http or https URL."""
    if not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def slug(text: str, field: str, flaws: Flaws) -> None:
    """A name for programs. A slash would make `a/b` of another service's `b`."""
    at_most(field, NAME_CHARACTERS, len(text))
    if not text:
        flaws.append(Violation(field, "a name is needed", "MISSING"))
    elif "/" in text or not text.isprintable():
        flaws.append(Violation(field, "only printable characters are allowed, and no slash"))


def queue_name(text: str, field: str, flaws: Flaws) -> None:
    """The name of a queue that callers may use."""
    slug(text, field, flaws)
    not_reserved(text, field, flaws)


def queue_of_plans(queue: str, field: str, flaws: Flaws) -> None:
    """The name of a queue that tasks and jobs may wait in.

    Rule sets of all tenants take turns in theirs: nobody else's work may hold them up.
    """
    if queue == RULESETS_QUEUE:
        kept = f"{queue} is kept for launches of rule sets"
        flaws.append(Violation(field, kept, "NOT_PERMITTED"))


def not_reserved(queue: str, field: str, flaws: Flaws) -> None:
    """The name of a queue that is none of the server's own."""
    if is_reserved(queue):
        reserved = "names that begin with longshore. are reserved"
        flaws.append(Violation(field, reserved, "NOT_PERMITTED"))


def time_of(time: Timestamp, field: str, flaws: Flaws) -> int | None:
    """Return milliseconds since 1970, or None after adding a violation."""
    if not _FIRST_SECOND <= time.seconds <= _LAST_SECOND or not 0 <= time.nanos < _NANOS:
        flaws.append(Violation(field, "not a time between the years 1 and 9999"))
        return None
    return time.seconds * 1_000 + time.nanos // 1_000_000


def span_of(span: Duration, field: str, flaws: Flaws, *, least: int = 0) -> int:
    """Return milliseconds; 0 after adding a violation. A part of a millisecond counts whole."""
    seconds, nanos = span.seconds, span.nanos
    if abs(nanos) >= _NANOS or seconds * nanos < 0 or abs(seconds) > _LONGEST_SECONDS:
        flaws.append(Violation(field, "not a duration, or one of more than 1,000 years"))
        return 0
    milliseconds = seconds * 1_000 - (-nanos // 1_000_000)
    if milliseconds < least:
        flaws.append(Violation(field, f"at least {least / 1_000:g} s are needed"))
        return 0
    return milliseconds


def page_size(asked: int) -> int:
    """Return how many rows a page has at most. Raises `LimitExceeded` and `InvalidFields`."""
    at_most("page_size", PAGE_SIZE, asked)
    if asked < 0:
        raise InvalidFields([Violation("page_size", "from 1, or 0 for the default")])
    return asked or PAGE_SIZE_DEFAULT
