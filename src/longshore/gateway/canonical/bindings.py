"""Bindings: which HTTP request is which call, read from the annotations of the contract."""

from __future__ import annotations

import importlib
import pkgutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.longrunning import operations_proto_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import longshore.v1
from longshore.gateway.canonical.templates import Template, start_of

WHOLE: Final = "*"  #: As a body: every field that is not in the path.

_SERVICES: Final = "_service_pb2"  #: How the modules of the contract end that have a service.


@dataclass(frozen=True, slots=True)
class Binding:
    """One way to make a call by HTTP."""

    method: MethodDescriptor
    verb: str  #: GET, POST and so on.
    template: Template
    body: str  #: The field that the body fills, `WHOLE`, or nothing.
    request: type[Message]

    @property
    def input(self) -> Descriptor:
        return self.method.input_type

    @property
    def output(self) -> Descriptor:
        return self.method.output_type

    @property
    def streams(self) -> bool:
        """Whether it is answered by messages one by one."""
        return self.method.server_streaming

    @property
    def streams_bytes(self) -> bool:
        """Whether the answers are pieces of one file, and nothing that could be resumed."""
        data = self.output.fields_by_name.get("data")
        is_bytes = data is not None and data.type == FieldDescriptor.TYPE_BYTES
        return self.streams and is_bytes and "revision" not in self.output.fields_by_name


def bindings() -> list[Binding]:
    """Return those of all methods of the contract and of google.longrunning, in their order.

    Methods whose requests are streamed have none, as HTTP cannot make such calls.
    """
    return [
        binding
        for file in _files()
        for service in file.services_by_name.values()
        for method in service.methods
        if not method.client_streaming
        for binding in _of(method)
    ]


class Routes:
    """Finds the bindings of a path."""

    def __init__(self, bindings: Iterable[Binding]) -> None:
        self._literal: dict[str, dict[str, Binding]] = defaultdict(dict)
        self._patterns: dict[str, list[tuple[Template, dict[str, Binding]]]] = {}
        for binding in bindings:
            self._add(binding)
        for patterns in self._patterns.values():
            patterns.sort(key=lambda one: (not one[0].verb, -len(one[0].text)))

    def find(self, path: str) -> Mapping[str, Binding] | None:
        """Return what a path, as it was sent, stands for by HTTP's verbs; None: for nothing.

        What follows a colon is a verb of the contract if it can be one.
        """
        if path in self._literal:
            return self._literal[path]
        for start in (start_of(path), ""):
            for template, by_verb in self._patterns.get(start, ()):
                if template.pattern.fullmatch(path):
                    return by_verb
        return None

    def _add(self, binding: Binding) -> None:
        """Add a binding; of several with the same path and verb the first counts."""
        template = binding.template
        if template.literal:
            self._literal[template.text].setdefault(binding.verb, binding)
            return
        patterns = self._patterns.setdefault(template.start, [])
        for known, by_verb in patterns:
            if known.pattern == template.pattern:
                by_verb.setdefault(binding.verb, binding)
                return
        patterns.append((template, {binding.verb: binding}))


def _files() -> Iterator[Any]:
    """Yield the descriptors of all files that have a service."""
    for module in sorted(one.name for one in pkgutil.iter_modules(longshore.v1.__path__)):
        if module.endswith(_SERVICES):
            yield importlib.import_module(f"longshore.v1.{module}").DESCRIPTOR
    yield operations_proto_pb2.DESCRIPTOR


def _of(method: MethodDescriptor) -> Iterator[Binding]:
    extension: Any = annotations_pb2.http
    options = method.GetOptions()
    if not options.HasExtension(extension):
        return
    rule: HttpRule = options.Extensions[extension]
    for one in (rule, *rule.additional_bindings):
        verb = one.WhichOneof("pattern")
        if verb == "custom":
            verb, path = one.custom.kind, one.custom.path
        else:
            path = getattr(one, verb)
        request = GetMessageClass(method.input_type)
        yield Binding(method, verb.upper(), Template.parse(path), one.body, request)
