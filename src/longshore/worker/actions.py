"""Actions and services: what a worker offers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, TypeVar, overload

from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct

from longshore.client import from_struct
from longshore.v1.catalog_service_pb2 import Service as ServiceMessage
from longshore.v1.catalog_service_pb2 import ServiceAction
from longshore.v1.operation_pb2 import ServiceKind
from longshore.worker.errors import InvalidArguments, Violation
from longshore.worker.files import Reader
from longshore.worker.parameters import Signature, checked, signature_of

F = TypeVar("F", bound=Callable[..., Any])

#: Where plain functions run: an executor, or what makes one when the worker begins to run.
Where: TypeAlias = Literal["thread", "process"] | Executor | Callable[[], Executor]
Kind: TypeAlias = Literal["ruleset", "operation"]

_NAME_CHARACTERS: Final = 63
_KINDS: Final = {
    None: ServiceKind.SERVICE_KIND_UNSPECIFIED,
    "ruleset": ServiceKind.SERVICE_KIND_RULESET,
    "operation": ServiceKind.SERVICE_KIND_OPERATION,
}

#: Built into every server: where launches wait.
_QUEUES: Final[dict[Kind | None, str]] = {"ruleset": "rulesets", "operation": "operations"}


@dataclass(frozen=True, slots=True)
class Action:
    """A function that a worker offers."""

    service: str
    slug: str
    name: str
    description: str
    function: Callable[..., Any]
    signature: Signature
    executor: Where | None  #: Of a plain function; None: the worker's.
    asynchronous: bool  #: Whether it is a coroutine function.

    def arguments(self, data: bytes, reader: Callable[[], Reader]) -> dict[str, Any]:
        """Read and check a serialized Struct. Raises `InvalidArguments`.

        `reader` makes what gets the files among them.
        """
        if not data and not self.signature.parameters:
            return {}
        try:
            values = from_struct(Struct.FromString(data))
        except DecodeError:
            fault = Violation("arguments", "cannot be read", "INVALID")
            raise InvalidArguments([fault]) from None
        return checked(self.signature.parameters, values, reader)

    def to_message(self) -> ServiceAction:
        return ServiceAction(
            slug=self.slug,
            name=self.name,
            description=self.description,
            parameters=[one.to_message() for one in self.signature.parameters],
        )


@dataclass(eq=False, slots=True)
class Service:
    """A named set of actions, or of a kind one that is launched; a `Worker` makes it."""

    slug: str
    name: str = ""
    kind: Kind | None = None
    version: str = ""
    description: str = ""
    actions: dict[str, Action] = field(default_factory=dict[str, Action])

    def __post_init__(self) -> None:
        _check_name("service", self.slug)

    @property
    def queue(self) -> str | None:
        """Where its launches wait; None: it cannot be launched."""
        return _QUEUES.get(self.kind)

    @overload
    def action(self, slug: F, /) -> F: ...

    @overload
    def action(
        self,
        slug: str | None = None,
        *,
        name: str = "",
        description: str | None = None,
        executor: Where | None = None,
    ) -> Callable[[F], F]: ...

    def action(
        self,
        slug: str | Callable[..., Any] | None = None,
        *,
        name: str = "",
        description: str | None = None,
        executor: Where | None = None,
    ) -> Callable[..., Any]:
        """Offer a function, by default under its own name; the function stays as it is.

        A coroutine function runs on the event loop, a plain one in a thread, with `executor`
        in a process of the worker's pool or on any `concurrent.futures.Executor`:

            def cluster() -> Executor:
                return Client("tcp://scheduler:8786").get_executor(pure=False)

            @worker.action(executor=cluster)
            def simulate(steps: int, context: Context) -> float: ...

        A function that makes one is called once for a run of the worker, which shuts down what
        it made; where functions are pickled that is the way, because their processes import the
        module as well. If these are on other machines the worker needs `reachable_at`. Whatever
        an executor does about lost processes, no attempt is begun twice: it fails, and the
        operation's own limits decide about the next. Raises `TypeError` if its
        signature cannot be published, `ValueError` if the name is taken.
        """

        def offer(function: F) -> F:
            chosen = slug if isinstance(slug, str) else function.__name__
            self._add(chosen, function, name, description, executor)
            return function

        return offer(slug) if callable(slug) else offer

    def _add(
        self,
        slug: str,
        function: Callable[..., Any],
        name: str,
        description: str | None,
        executor: Where | None,
    ) -> None:
        _check_name("action", slug)
        if slug in self.actions:
            raise ValueError(f"service {self.slug!r} has an action {slug!r} already")
        if self.kind and self.actions:
            raise ValueError(f"service {self.slug!r} can be launched: it has one action only")
        if description is None:
            description = summary(function)
        asynchronous = inspect.iscoroutinefunction(function)
        if asynchronous and executor is not None:
            raise TypeError(f"action {slug!r}: a coroutine runs on the event loop only")
        try:
            signature = signature_of(function)
        except TypeError as error:
            raise TypeError(f"action {slug!r}: {error}") from error
        self.actions[slug] = Action(
            self.slug, slug, name, description, function, signature, executor, asynchronous
        )

    def to_message(self) -> ServiceMessage:
        return ServiceMessage(
            slug=self.slug,
            name=self.name,
            version=self.version,
            description=self.description,
            kind=_KINDS[self.kind],
            actions=[action.to_message() for action in self.actions.values()],
        )


def summary(function: Callable[..., Any]) -> str:
    """Return the first line of a function's docstring."""
    return (inspect.getdoc(function) or "").partition("\n")[0]


def _check_name(what: str, slug: str) -> None:
    if not 0 < len(slug) <= _NAME_CHARACTERS:
        raise ValueError(f"the name of {what} {slug!r} has 1 to {_NAME_CHARACTERS} characters")
    if "/" in slug or not slug.isprintable():
        raise ValueError(f"the name of {what} {slug!r} is printable and holds no slash")
