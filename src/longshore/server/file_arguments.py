"""File arguments: what names a file, and which files a plan takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from google.protobuf.struct_pb2 import Struct

from longshore.core import locating, paths
from longshore.core.ids import named_file
from longshore.core.paths import Literal, Path
from longshore.server import structs
from longshore.server.directory import Offers
from longshore.server.paths import parse_value
from longshore.server.tracing import any_marked, names_of, trace
from longshore.v1.operation_pb2 import ActionCall


class Taken(NamedTuple):
    """A file that a plan takes."""

    file_id: bytes
    field: str  #: Of a task's spec, such as `actions[0].arguments.input`.


def taken_by(
    actions: Sequence[ActionCall], service: str, context: Struct, offers: Offers
) -> list[Taken]:
    """Return the files that a plan takes, as far as that is known before it is run.

    They stand in arguments, or in the context where it is read for them.
    """
    if not any_marked(actions, service, offers.files):
        return []
    return [
        *_in_calls(actions, service, offers),
        *_in_context(context, trace(actions, service, offers.files).paths),
    ]


def _in_calls(actions: Sequence[ActionCall], service: str, offers: Offers) -> Iterator[Taken]:
    for index, call in enumerate(actions):
        for name in sorted(offers.files.get((service, call.action), ())):
            field, text = _said(call, name)
            file_id = named_file(text)
            if file_id is not None:
                yield Taken(file_id, f"actions[{index}].{field}")


def _said(call: ActionCall, name: str) -> tuple[str, str]:
    """Return where an argument is given, and as which text: as it is, or quoted."""
    if name in call.arguments.fields:
        return f"arguments.{name}", call.arguments.fields[name].string_value
    value = parse_value(call.argument_paths[name]) if name in call.argument_paths else None
    return f"argument_paths[{name}]", value.text if isinstance(value, Literal) else ""


def _in_context(struct: Struct, found: Collection[Path]) -> Iterator[Taken]:
    context = structs.to_object(struct) if found else {}
    for path in found:
        try:
            # `$name` begins at the context as it is at first: at this one.
            value = locating.evaluate(Path(path.steps), context, context)
        except paths.PathError:
            continue
        file_id = named_file(value) if isinstance(value, str) else None
        if file_id is not None:
            yield Taken(file_id, ".".join(("context", *names_of(path.steps))))
