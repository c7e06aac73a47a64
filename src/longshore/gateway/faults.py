"""Faults of requests that the gateway finds itself, before it asks anybody."""

from __future__ import annotations


class Fault(Exception):
    """A request that cannot be answered; each dialect says so in its own shape."""

    status = 400

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field  #: Where it is, if it is at one place.


class Malformed(Fault):
    """What was sent cannot be read."""


class Missing(Fault):
    """Something that is needed was not sent."""


class TooLarge(Fault):
    """More was sent than is read."""

    status = 413


class UnsupportedMedia(Fault):
    """What was sent is of a kind that is not read here."""

    status = 415


class NotAcceptable(Fault):
    """Nothing can be answered in a kind that the client accepts."""

    status = 406
