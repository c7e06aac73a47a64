"""The OpenAPI document of all that the gateway serves: canonical JSON, and the dialects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI

from longshore.gateway.canonical.bindings import Binding
from longshore.gateway.documents.dialects import merge
from longshore.gateway.documents.operations import paths_of, tags_of
from longshore.gateway.documents.schemas import Schemas
from longshore.gateway.links import Links
from longshore.gateway.settings import GatewaySettings

_DESCRIPTION: Final = """\
Durable asynchronous work behind one contract: submit, get an answer once it is safely on disk, and
watch how it goes.

Paths below `/v1` are the gRPC contract as canonical JSON. A name that a request should not have is
refused; answers have every field but messages that are unset. Errors are `google.rpc.Status`.
Streams are lines of JSON, `{"result": …}` or at last `{"error": …}`, or server-sent events of the
same objects for who accepts `text/event-stream`; the id of an event is the revision after which
`Last-Event-ID` resumes. A stream that fails before its first message is answered with the status of
the failure. Files are sent as they are to who prefers something else to JSON; uploads are made over
gRPC.

The other paths are documented APIs that clients of other systems speak.
"""

_SECURITY: Final[Mapping[str, Any]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of a principal."},
    "basic": {"type": "http", "scheme": "basic", "description": "Its name and password."},
}

_TENANT: Final[Mapping[str, Any]] = {
    "name": "X-Tenant-Id",
    "in": "header",
    "description": "The tenant; by default the first of the caller's.",
    "schema": {"type": "string", "maxLength": 63},
}


def document(
    bindings: Iterable[Binding],
    dialects: Mapping[str, FastAPI],
    settings: GatewaySettings,
) -> dict[str, Any]:
    """Return the document. Dialects are where they are mounted."""
    schemas = Schemas()
    bindings = list(bindings)
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Longshore",
            "version": version("longshore"),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        # Without one: where the document was got from.
        "servers": [{"url": settings.public_url.rstrip("/") or "/"}],
        "security": [{"bearer": []}, {"basic": []}],
        "tags": tags_of(bindings),
        "paths": paths_of(bindings, schemas),
        "components": {
            "schemas": dict(sorted(schemas.found.items())),
            "parameters": {"tenant": _TENANT},
            "securitySchemes": dict(_SECURITY),
        },
    }
    for name, dialect in dialects.items():
        merge(made, name, dialect.openapi(), Links(settings, name))
    return made
