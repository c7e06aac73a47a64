"""Facts of the contract for the OpenAPI document: headers, bodies and answers of each route."""

from __future__ import annotations

from typing import Any, Final, cast

from fastapi import Security
from fastapi.security import APIKeyHeader
from pydantic import BaseModel
from starlette.responses import Response

from longshore.gateway.vitam import models
from longshore.gateway.vitam.errors import of_status

_STRING: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer"}

#: Says so in the document only: the routes read the header themselves.
_KEY: Final = APIKeyHeader(
    name="X-Vitam-Key",
    scheme_name="VitamPlatform",
    description="Vitam Platform Key: an API token",
    auto_error=False,
)

#: Of every answer.
_HEADERS: Final[dict[str, Any]] = {
    "X-Request-Id": {
        "description": "Unique Request Identifier",
        "required": True,
        "schema": _STRING,
    },
    "FullApiVersion": {
        "description": "Complete Version of the API.",
        "required": True,
        "schema": _STRING,
    },
    "X-Application-Id": {
        "description": "Session Identifier from client Front-Office Application, if sent",
        "schema": _STRING,
    },
    "X-Tenant-Id": {
        "description": "Unique Tenant Identifier, if sent",
        "schema": _NUMBER,
    },
}


def _flat(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with what it refers to put in place of the references."""
    parts = schema.pop("$defs", {})

    def put(value: object) -> Any:
        if isinstance(value, list):
            return [put(one) for one in cast("list[object]", value)]
        if not isinstance(value, dict):
            return value
        members = cast("dict[str, Any]", value)
        if "$ref" in members:
            return put(parts[members["$ref"].removeprefix("#/$defs/")])
        return {name: put(one) for name, one in members.items()}

    return cast("dict[str, Any]", put(schema))


def _body(*kinds: type[BaseModel], required: bool = True) -> dict[str, Any]:
    """Return what OpenAPI says of a body that is one of these."""
    schemas = [_flat(kind.model_json_schema()) for kind in kinds]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _parameter(where: str, name: str, description: str, schema: Any = _STRING) -> Any:
    return {"in": where, "name": name, "description": description, "schema": schema}


def _answers(code: int, model: Any, *errors: int) -> dict[int | str, Any]:
    """Return what OpenAPI says of answers; without a model there may be anything in them."""
    told: dict[str, Any] = {"model": model} if model else {"content": {"*/*": {"schema": {}}}}
    answers: dict[int | str, Any] = {
        code: {"description": "Done", "headers": _HEADERS, **told},
        "default": {"description": "Anything else that went wrong", "model": models.Error},
    }
    for error in errors:
        meaning = of_status(error).message
        refused = {"description": meaning, "model": models.Error, "headers": _HEADERS}
        answers[error] = refused
    return answers


def _route(
    model: Any,
    *parameters: Any,
    code: int = 200,
    errors: tuple[int, ...] = (401, 404, 409, 412),
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what FastAPI is told of a route besides its path and its methods."""
    sent = {"requestBody": body} if body else {}
    return {
        "status_code": code,
        "response_model": None,
        "response_class": Response,
        "responses": _answers(code, model, *errors),
        "openapi_extra": {"parameters": list(parameters), **sent},
        "dependencies": [Security(_KEY)],
        "tags": ["vitam"],
    }


_SENT: Final = (
    _parameter(
        "header",
        "X-Application-Id",
        "Session Identifier from client Front-Office Application",
    ),
    _parameter("header", "X-Tenant-Id", "Unique Tenant Identifier", _NUMBER),
)

_TASK: Final = (
    {**_parameter("path", "id_async", "the id of a task"), "required": True},
    *_SENT,
)

_PAGING: Final = (
    _parameter("query", "query", "in place of the member of the body"),
    _parameter("query", "next", "in place of the member of the body"),
    _parameter("query", "limit", "in place of the member of the body", _NUMBER),
    _parameter("query", "offset", "in place of the member of the body", _NUMBER),
)

_INSTRUCTION: Final = _body(models.Instructions, models.GenericObject)

LIST: Final = _route(
    models.CollectionList,
    *_PAGING,
    *_SENT,
    body=_body(models.CollectionQuery, required=False),
)
SUBMIT: Final = _route(models.AsyncStatus, *_SENT, code=201, body=_body(models.StepDescription))
INSTRUCT_ONE_OF: Final = _route(models.AsyncStatus, *_SENT, body=_INSTRUCTION)
GET: Final = _route(models.AsyncStatus | models.CollectionList, *_TASK)
INSTRUCT: Final = _route(models.AsyncStatus, *_TASK, body=_INSTRUCTION)
RESULT: Final = _route(None, *_TASK)
STATUS: Final = _route(models.ServiceStatus, errors=(401, 404, 503))
