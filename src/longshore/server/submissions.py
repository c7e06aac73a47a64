"""Submissions: from a submit on the wire to the change that asks for it, every check on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring
from typing import Final, NamedTuple, TypeAlias

import uuid_utils
from google.protobuf.struct_pb2 import Value

from longshore.core.changes import Key, Submit
from longshore.core.errors import (
    AccountNotFound,
    ActionNotFound,
    InvalidFields,
    NotFound,
    QueueNotFound,
    ServiceNotFound,
    Violation,
)
from longshore.core.lanes import action_key
from longshore.core.limits import PLAN_ACTIONS, REQUEST_ID_CHARACTERS, TITLE_CHARACTERS
from longshore.core.operations import Kind
from longshore.core.paths import InvalidPath
from longshore.server import wire
from longshore.server.checks import Flaws, at_most, payload, printable, slug
from longshore.server.directory import Directory, Offers
from longshore.server.methods import Call
from longshore.server.options import DEFAULTS, Wanted, read_options
from longshore.server.parameters import Table
from longshore.server.paths import parse_target, parse_value
from longshore.server.structs import flaw_of_object
from longshore.v1.operation_pb2 import ActionCall
from longshore.v1.task_service_pb2 import RunTaskRequest, SubmitTaskRequest, Task, TaskSpec

TaskSubmission: TypeAlias = SubmitTaskRequest | RunTaskRequest

_SPEC, _OPTIONS = Task.SPEC_FIELD_NUMBER, Task.OPTIONS_FIELD_NUMBER
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_SMALL_BYTES: Final = 4_096  #: Most specs are small, and counting a part of them is not free.
_NO_ARGUMENTS: Final[Mapping[str, Value]] = {}
_quoted = encode_basestring  # A JSON text; faster than an encoder for whole objects.


class Submissions:
    """Makes changes of submits, checked against what workers offer."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def change(self, request: TaskSubmission, call: Call) -> Submit:
        """Return the change that a submit asks for.

        Raises `InvalidFields` with every violation, `LimitExceeded`, `PayloadTooLarge`, or
        a `NotFound` for what the spec names.
        """
        caller, spec, request_id = call.caller, request.spec, request.request_id
        at_most("request_id", REQUEST_ID_CHARACTERS, len(request_id))
        flaws: Flaws = []
        offers = self._directory.offers(caller.tenant)
        document = _document(request, keyed=bool(request_id))
        wanted = DEFAULTS
        if request.HasField("options"):
            wanted = read_options(request.options, offers, flaws)
        _check_spec(spec, flaws)
        plan = _check_plan(spec, offers, flaws)
        if flaws:
            raise InvalidFields(flaws)
        _refuse_unknown(spec, wanted, offers, plan.missing)
        # By position, in the order of `Submit`: a name for each costs as much as a check.
        return Submit(
            caller,
            Kind.TASK,
            uuid_utils.uuid7().bytes,
            wanted.queue,
            plan.keys,
            plan.steps,
            document,
            wanted.priority,
            wanted.suspended,
            wanted.policy,
            wanted.not_before,
            request_id or caller.request_id,
            _traceparent(call.traceparent),
            _attributes(spec, wanted.labels),
            Key(request_id, hashlib.sha256(document).digest()) if request_id else None,
        )


def _document(request: TaskSubmission, *, keyed: bool) -> bytes:
    """Return spec and options as they are stored; equal ones alike, if a key compares them."""
    spec = request.spec.SerializeToString(deterministic=keyed)
    if len(spec) > _SMALL_BYTES:
        _check_size(request.spec, len(spec))
    document = wire.part(_SPEC, spec)
    if request.HasField("options"):
        options = request.options.SerializeToString(deterministic=keyed)
        document += wire.part(_OPTIONS, options) if options else b""
    return document


def _check_size(spec: TaskSpec, size: int) -> None:
    payload("spec.context", spec.context.ByteSize())
    payload("spec", size)


def _check_spec(spec: TaskSpec, flaws: Flaws) -> None:
    name = spec.name
    if name:
        at_most("spec.name", TITLE_CHARACTERS, len(name))
        printable(name, "spec.name", flaws)
    count = len(spec.actions)
    at_most("spec.actions", PLAN_ACTIONS, count)
    if not count:
        flaws.append(Violation("spec.actions", "at least one action is needed", "MISSING"))
    if spec.HasField("context"):
        flaw = flaw_of_object(spec.context.fields)
        if flaw is not None:
            flaws.append(Violation(f"spec.context{flaw.where}", flaw.description))


class _Plan(NamedTuple):
    """What decisions need to know of the actions of a spec."""

    keys: tuple[str, ...]
    steps: int  #: 0: a single action that a worker can be given as it is.
    missing: NotFound | None  #: The first thing named that nobody offers.


def _check_plan(spec: TaskSpec, offers: Offers, flaws: Flaws) -> _Plan:
    service, missing = spec.service, None
    if service and service not in offers.services:
        slug(service, "spec.service", flaws)
        missing = _at("spec.service", ServiceNotFound(service))
    keys: list[str] = []
    simple = True
    for index, call in enumerate(spec.actions):
        name, path = call.action, f"spec.actions[{index}]"
        keys.append(action_key(service, name))
        tables = offers.actions.get((service, name))
        if tables is None:
            slug(name, f"{path}.action", flaws)
            missing = missing or _at(f"{path}.action", ActionNotFound(name, service))
        _check_arguments(call, tables, path, flaws)
        if call.argument_paths or call.assign or call.results:
            simple = False
            _check_expressions(call, path, flaws)
    if len(keys) == 1:
        return _Plan((keys[0],), 0 if simple else 1, missing)
    return _Plan(tuple(sorted(set(keys))), len(keys), missing)


def _check_arguments(
    call: ActionCall, tables: tuple[Table, ...] | None, path: str, flaws: Flaws
) -> None:
    """Check arguments against what is published; of several offers one has to fit."""
    fields = call.arguments.fields if call.HasField("arguments") else _NO_ARGUMENTS
    if tables is None:
        flaw = flaw_of_object(fields)
        if flaw is not None:
            flaws.append(Violation(f"{path}.arguments{flaw.where}", flaw.description))
        return
    first: list[Violation] | None = None
    for table in tables:
        found = table.violations(fields, call.argument_paths, path)
        if not found:
            return
        first = first or found
    flaws += first or ()


def _check_expressions(call: ActionCall, path: str, flaws: Flaws) -> None:
    for name, text in call.argument_paths.items():
        field = f"{path}.argument_paths[{name}]"
        if name in call.arguments.fields:
            flaws.append(Violation(field, "stands in arguments as well; only one can count"))
        _read(parse_value, text, field, flaws)
    for index, assignment in enumerate(call.assign):
        _read(parse_target, assignment.target, f"{path}.assign[{index}].target", flaws)
        _read(parse_value, assignment.value, f"{path}.assign[{index}].value", flaws)


def _read(parse: Callable[[str], object], text: str, field: str, flaws: Flaws) -> None:
    try:
        parse(text)
    except InvalidPath as error:
        flaws.append(Violation(field, str(error)))


def _refuse_unknown(
    spec: TaskSpec, wanted: Wanted, offers: Offers, missing: NotFound | None
) -> None:
    if spec.account:
        raise _at("spec.account", AccountNotFound(spec.service, spec.account))
    if wanted.allow_unregistered:
        return
    if missing is not None:
        raise missing
    if wanted.queue not in offers.queues:
        raise _at("options.queue", QueueNotFound(wanted.queue))


def _at(field: str, error: NotFound) -> NotFound:
    """Say which field of the request names what is not there."""
    error.facts["field"] = field
    return error


def _traceparent(text: str | None) -> str | None:
    return text if text and _TRACEPARENT.fullmatch(text) else None


def _attributes(spec: TaskSpec, labels: Mapping[str, str] | None) -> str | None:
    """Return the JSON of what lists filter by, as far as it is set."""
    name, service = spec.name, spec.service
    members: list[str] = []
    if name:
        members.append(f'"name":{_quoted(name)}')
    if service:
        members.append(f'"service":{_quoted(service)}')
    if labels:
        pairs = ",".join([f"{_quoted(key)}:{_quoted(labels[key])}" for key in labels])
        members.append(f'"labels":{{{pairs}}}')
    return f"{{{','.join(members)}}}" if members else None
