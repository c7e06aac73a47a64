"""Operations: bindings of the contract as OpenAPI describes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, count
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.rpc.status_pb2 import Status

from longshore.gateway.canonical.bindings import WHOLE, Binding
from longshore.gateway.canonical.queries import query_fields
from longshore.gateway.canonical.templates import shown, variable_of
from longshore.gateway.documents.comments import comment, summary
from longshore.gateway.documents.schemas import Schema, Schemas, is_required

_JSON: Final = "application/json"
_STATUS: Final = cast("Descriptor", Status.DESCRIPTOR)
_TENANT: Final = {"$ref": "#/components/parameters/tenant"}


def paths_of(bindings: Iterable[Binding], schemas: Schemas) -> dict[str, Any]:
    """Return the paths of all bindings."""
    paths: dict[str, Any] = {}
    names: set[str] = set()
    for binding in bindings:
        path = paths.setdefault(shown(binding.template), {})
        path[binding.verb.lower()] = _operation(binding, schemas, names)
    return paths


def tags_of(bindings: Iterable[Binding]) -> list[Schema]:
    """Return a tag for each service, in the order of the services."""
    services = {one.method.containing_service.full_name: None for one in bindings}
    return [{"name": name, "description": comment(name)} for name in services]


def _operation(binding: Binding, schemas: Schemas, names: set[str]) -> Schema:
    method = binding.method
    said = comment(method.full_name)
    made: Schema = {
        "tags": [method.containing_service.full_name],
        "operationId": _unique(f"{method.containing_service.name}_{method.name}", names),
        "summary": summary(said) or method.name,
        "parameters": [*_parameters(binding, schemas), _TENANT],
        "responses": {"200": _answer(binding, schemas), "default": _refusal(schemas)},
    }
    if said:
        made["description"] = said
    if binding.body:
        made["requestBody"] = _body(binding, schemas)
    return made


def _unique(name: str, names: set[str]) -> str:
    """Return a name that no operation has yet: a method may have several bindings."""
    numbered = (f"{name}_{number}" for number in count(2))
    free = next(one for one in chain([name], numbered) if one not in names)
    names.add(free)
    return free


def _parameters(binding: Binding, schemas: Schemas) -> Iterator[Schema]:
    place = shown(binding.template)
    for path in binding.template.fields:
        if (variable := variable_of(path)) in place:
            found = _parameter(variable.strip("{}"), field_at(binding.input, path), schemas)
            yield found | {"in": "path", "required": True}
    if binding.body == WHOLE:
        return
    for path, field in query_fields(binding.input, {*binding.template.fields, binding.body}):
        found = _parameter(path, field, schemas) | {"in": "query"}
        yield found | {"required": True} if is_required(field) else found


def _parameter(path: str, field: FieldDescriptor, schemas: Schemas) -> Schema:
    schema = schemas.single(field)
    if field.is_repeated:
        schema = {"type": "array", "items": schema}
    said = comment(field.full_name)
    return {"name": path, "schema": schema} | ({"description": said} if said else {})


def field_at(kind: Descriptor, path: str) -> FieldDescriptor:
    """Return the field at a path of a message."""
    *outer, last = path.split(".")
    for name in outer:
        inner = kind.fields_by_name[name].message_type
        assert inner is not None
        kind = inner
    return kind.fields_by_name[last]


def _body(binding: Binding, schemas: Schemas) -> Schema:
    if binding.body == WHOLE:
        taken = frozenset(path for path in binding.template.fields if "." not in path)
        schema = schemas.without(binding.input, taken)
        required = any(
            is_required(one) for one in binding.input.fields if one.name not in taken
        )
    else:
        inner = binding.input.fields_by_name[binding.body].message_type
        assert inner is not None
        schema, required = schemas.of(inner), True
    return {"content": {_JSON: {"schema": schema}}, "required": required}


def _answer(binding: Binding, schemas: Schemas) -> Schema:
    schema = schemas.of(binding.output)
    described = comment(binding.output.full_name) or binding.output.name
    if not binding.streams:
        return {"description": described, "content": {_JSON: {"schema": schema}}}
    failed = schemas.of(_STATUS)
    line = {"type": "object", "properties": {"result": schema, "error": failed}}
    if binding.streams_bytes:
        content = {_JSON: {"schema": line}, "application/octet-stream": {}}
        how = (
            "Lines of JSON with pieces of the file or, if anything else is accepted, the file."
        )
    else:
        content = {"application/x-ndjson": {"schema": line}, "text/event-stream": {}}
        how = "Lines of JSON or, if these are accepted, server-sent events of the same objects."
    return {"description": f"{described}\n\n{how}", "content": content}


def _refusal(schemas: Schemas) -> Schema:
    schema = schemas.of(_STATUS)
    return {
        "description": "What is wrong: `details` has the reason, and every field that is wrong.",
        "content": {_JSON: {"schema": schema}},
    }
