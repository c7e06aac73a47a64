"""Documents: what asapi takes and answers, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from pydantic import BaseModel, Field, RootModel

Responses: TypeAlias = dict[int | str, dict[str, Any]]


class Endpoint(BaseModel):
    """Where something can be sent or had."""

    host: str
    protocol: str
    uri: str


class Parameter(BaseModel):
    """Something that an action takes."""

    name: str
    slug: str
    type: str
    description: str
    optional: bool


class Action(BaseModel):
    """Something that can be asked for."""

    name: str
    slug: str
    description: str
    execution: Literal["Asynchronous"]
    parameters: list[Parameter]
    permissions: dict[str, list[str]] = Field(
        description="By parameter all values that may be sent."
    )


class Service(BaseModel):
    """A group of actions."""

    name: str
    slug: str
    actions: list[Action]


class Account(BaseModel):
    """What a token may ask for, and where."""

    services: list[Service]
    task_submission_endpoint: Endpoint
    stream_endpoints: list[Endpoint]
    retrieval_protocol: Literal["asstore", "aschannel"]


class Refused(BaseModel):
    """What is wrong with a form: by field, pairs of a sentence and a code."""

    errors: dict[str, list[tuple[str, str]]]
    success: Literal[False]
    error: str | None = None


class Success(BaseModel):
    """All went well."""

    success: Literal[True]


class Submitted(BaseModel):
    """A task that was submitted."""

    task_id: str
    retrieval_protocol: Literal["asstore", "aschannel"]
    stream: str
    success: Literal[True]


class Entry(BaseModel):
    """How a task stands."""

    status: str | None = None
    retrieval_protocol: Literal["asstore", "aschannel"] | None = None
    retrieval_endpoint: str | None = None
    result_retrieved: bool | None = None
    success: bool
    error: str | None = None


class Statuses(RootModel[dict[str, Entry | Literal[True]]]):
    """How tasks stand, by their ids, and `success`, which is that of looking them up."""


class Failure(BaseModel):
    """What the form is not at fault for."""

    message: str
    success: Literal[False]
    error: str


_FAILURES: Final[Mapping[int, str]] = {
    400: "Something is invalid",
    401: "The token is none, or missing",
    403: "The token may not do this",
    404: "There is no result, or no more",
    413: "Too much was sent",
    415: "What was sent is no form",
    500: "Something unforeseen",
    503: "Not now; try again later",
}

_ALWAYS: Final = (401, 403, 500, 503)
_OF_FORMS: Final = (*_ALWAYS, 413, 415)


def answering(model: Any) -> Responses:
    """Return the answers of what is got."""
    return {200: {"model": model}, **_failures(*_ALWAYS)}


def answering_form(model: Any) -> Responses:
    """Return the answers to a form."""
    return {200: {"model": model | Refused}, **_failures(*_OF_FORMS)}


def answering_bytes(media_type: str, *statuses: int) -> Responses:
    """Return the answers of what is streamed."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"content": content}, **_failures(*statuses, *_ALWAYS)}


def form(more: bool = False, **fields: str) -> dict[str, Any]:
    """Return what says which fields a form has; with `more` it may have others as well."""
    schema = {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": what} for name, what in fields.items()
        },
        "required": list(fields),
        "additionalProperties": more,
    }
    content = {"application/x-www-form-urlencoded": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def parameter(name: str, place: str, description: str) -> dict[str, Any]:
    """Return what says which parameter there is in a `query` or a `path`."""
    schema = {"type": "string"}
    described = {"name": name, "in": place, "description": description, "schema": schema}
    return {"parameters": [{**described, "required": True}]}


def _failures(*statuses: int) -> Responses:
    return {status: {"model": Failure, "description": _FAILURES[status]} for status in statuses}
