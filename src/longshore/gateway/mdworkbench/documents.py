"""Documents: what routes have in common in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

from fastapi import Query, Security
from fastapi.security.http import HTTPBase
from pydantic.json_schema import SkipJsonSchema

from longshore.gateway.mdworkbench.errors import Error
from longshore.gateway.mdworkbench.representations import Media

T = TypeVar("T")

#: What may be missing in a request; documents say no more of that than that it is not needed.
Unset: TypeAlias = T | SkipJsonSchema[None]

Responses: TypeAlias = dict[int | str, dict[str, Any]]

#: Of routes that ask for an administrator; who it is they find out themselves.
ADMINISTRATOR: Final = [
    Security(HTTPBase(scheme="basic", scheme_name="mdw-admin", auto_error=False))
]

#: Of the route that takes the parameters of a service.
FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "description": (
            "A field per parameter of the service. Without a body, headers that are called "
            "as the parameters stand for them."
        ),
        "content": {
            "multipart/form-data": {"schema": {"type": "object", "additionalProperties": True}}
        },
    }
}

#: What some statuses mean here.
_MEANINGS: Final[Mapping[int, str]] = MappingProxyType(
    {503: "The server is out of reach, or in maintenance and takes no launches."}
)


def shown(model: Any) -> Responses:
    """Return the answer of a route that shows such nodes."""
    xml: dict[str, Any] = {Media.XML.value: {"schema": {}}}
    return {200: {"model": model, "description": "As JSON or as XML.", "content": xml}}


def described(*statuses: int) -> Responses:
    """Return the errors that a route documents, and that there may be others."""
    told: Responses = {
        status: {
            "model": Error,
            "description": _MEANINGS.get(status, HTTPStatus(status).phrase),
        }
        for status in statuses
    }
    return {**told, "default": {"model": Error, "description": "Any other error."}}


def one_of(*values: str, called: str | None = None) -> Any:
    """Return how a parameter of the query is documented that has one of these values."""
    return Query(alias=called, json_schema_extra={"enum": list(values)})
