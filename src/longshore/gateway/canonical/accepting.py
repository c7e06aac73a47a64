"""What a client accepts, as its `Accept` header says, as far as it matters here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"


def preferred(accept: str) -> str:
    """Return the media type that is wanted most: the first of those with the highest quality.

    A header that is empty, or that only has wildcards which JSON fits, wants JSON.
    """
    best, most = JSON, 0.0
    for kind, quality in _read(accept):
        if quality > most:
            best, most = kind, quality
    return JSON if best in ("*/*", "application/*", "application/x-ndjson") else best


def _read(accept: str) -> Iterator[tuple[str, float]]:
    for one in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in one.split(";"))
        if kind:
            yield kind, _quality(parameters)


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
