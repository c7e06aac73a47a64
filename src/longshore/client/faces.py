"""Faces: the objects of the client as they look to code that does not await."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import wraps
from types import GenericAlias, TracebackType
from typing import Any, Final, Self

from longshore.client.paging import Page
from longshore.client.portal import portal

_END: Final = object()

#: What shows the objects of a class.
_FACES: Final[dict[type[Any], type[Face]]] = {}


class Face:
    """Shows an object: its methods block, and what they return has a face as well."""

    def __init_subclass__(cls, *, shows: type[Any] | None = None) -> None:
        if shows is not None:
            _FACES[shows] = cls
            cls.__doc__ = shows.__doc__

    def __class_getitem__(cls, kinds: Any) -> GenericAlias:
        return GenericAlias(cls, kinds)

    def __init__(self, shown: Any) -> None:
        self._shown = shown

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(self._shown, name)
        return _blocking(value) if callable(value) else face(value)

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._shown) if not name.startswith("_")]

    def __repr__(self) -> str:
        return repr(self._shown)


class ClosingFace(Face):
    """Shows what is closed at the end of a `with` block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        portal().call(self._shown.close)


class ListFace(Face):
    """Shows a list: each iteration begins anew."""

    def __iter__(self) -> Iterator[Any]:
        return _iterate(aiter(self._shown))


class StreamFace(ClosingFace):
    """Shows a stream, which is its own iterator and ends with its last reference."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return next(_iterate(self._shown))

    def __del__(self) -> None:
        portal().soon(self._shown.close)


def face(value: Any) -> Any:
    """Return how a value looks to code that does not await; most look as they are."""
    kind: type[Any] = value.__class__
    if kind in _FACES:
        return _FACES[kind](value)
    if issubclass(kind, Page):
        return replace(value, items=face(value.items))
    if issubclass(kind, list):
        return [face(one) for one in value]
    return _iterate(value) if issubclass(kind, AsyncIterator) else value


def _blocking(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def blocking(*arguments: Any, **named: Any) -> Any:
        return face(portal().call(method, *arguments, **named))

    return blocking


def _iterate(items: AsyncIterator[Any]) -> Iterator[Any]:
    while (item := portal().call(anext, items, _END)) is not _END:
        yield face(item)
