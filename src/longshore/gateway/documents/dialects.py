"""Dialects in the document: their own documents, each under its mount and with names of its own."""

from __future__ import annotations

from typing import Any, Final

from longshore.gateway.links import Links

#: What a path item has besides operations.
_NO_OPERATIONS: Final = frozenset({"parameters", "servers", "summary", "description", "$ref"})
_PREFIX: Final = "#/components/"


def merge(into: dict[str, Any], name: str, own: dict[str, Any], links: Links) -> None:
    """Add the document of a dialect. Its components and operations are called `name.…`."""
    mount, server = links.mount, _server(links)
    own = _renamed(own, name)
    into["tags"].append({"name": name, "description": _about(own["info"])})
    for path, item in own.get("paths", {}).items():
        place = _free(into["paths"], f"{mount.path}{path}" or "/", name)
        into["paths"][place] = _item(item, name, server, own)
    for group, components in own.get("components", {}).items():
        known = into["components"].setdefault(group, {})
        known.update({f"{name}.{key}": value for key, value in components.items()})


def _about(info: dict[str, Any]) -> str:
    said = (info.get("title"), info.get("summary"), info.get("description"))
    return "\n\n".join(one for one in said if one)


def _free(paths: dict[str, Any], path: str, name: str) -> str:
    """Return the path; dialects with hosts or ports of their own may have the same ones."""
    return path if path not in paths else f"{path}#{name}"


def _item(
    item: dict[str, Any], name: str, server: dict[str, Any] | None, own: dict[str, Any]
) -> dict[str, Any]:
    """Return a path item whose operations stand alone outside of their document."""
    made = {
        key: value if key in _NO_OPERATIONS else _operation(value, name, own)
        for key, value in item.items()
    }
    if server:
        made["servers"] = [server]
    return made


def _operation(operation: dict[str, Any], name: str, own: dict[str, Any]) -> dict[str, Any]:
    made = {**operation, "tags": [name]}
    if "operationId" in made:
        made["operationId"] = f"{name}_{made['operationId']}"
    security: Any = made.get("security", own.get("security")) or [{}]
    # Without any it would be that of canonical JSON.
    made["security"] = [
        {f"{name}.{scheme}": scopes for scheme, scopes in one.items()} for one in security
    ]
    return made


def _server(links: Links) -> dict[str, Any] | None:
    """Return where a dialect is that is not where all are."""
    mount, settings = links.mount, links.settings
    if not mount.host and mount.port is None:
        return None
    if settings.public_url:
        return {"url": links.public()}
    if mount.host:
        return {"url": f"//{mount.host}"}
    variables = {"host": {"default": "localhost"}}
    scheme = "https" if settings.tls else "http"
    return {"url": f"{scheme}://{{host}}:{mount.port}", "variables": variables}


def _renamed(value: Any, name: str) -> Any:
    """Return a document whose references are to components of this name."""
    plain: Any = value  # Else the checkers disagree about what is in it.
    if isinstance(value, list):
        return [_renamed(one, name) for one in plain]
    if not isinstance(value, dict):
        return value
    made: dict[str, Any] = {}
    for key, one in plain.items():
        if key == "$ref" and isinstance(one, str) and one.startswith(_PREFIX):
            group, _, component = one.removeprefix(_PREFIX).partition("/")
            made[key] = f"{_PREFIX}{group}/{name}.{component}"
        else:
            made[key] = _renamed(one, name)
    return made
