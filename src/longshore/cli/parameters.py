"""What may stand on a command line: spans, moments, pairs, JSON."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import click

from longshore.client import InvalidValue
from longshore.client.callers import split_addresses

_UNITS: Final[dict[str, float]] = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


#: Not every platform tells which cores a process may use.
_TELLS_CORES: Final = hasattr(os, "sched_getaffinity")

#: A file that is there and can be read; no folder.
_FILE: Final = click.Path(exists=True, dir_okay=False, readable=True)


class Span(click.ParamType[timedelta]):
    """A span of time: `90` or `90s`, `1.5h`, `1h30m`, `500ms`, `2d`."""

    name = "span"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        text = str(value).strip()
        parts = _PART.findall(text)
        if "".join(number + unit for number, unit in parts) == text and parts:
            return timedelta(
                seconds=sum(float(number) * _UNITS[unit] for number, unit in parts)
            )
        try:
            return timedelta(seconds=float(text))
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no span of time; write 30s, 5m, 1h30m or 2d", param, ctx)


class Lifetime(Span):
    """How long something is kept: a span of time, or `never` removed, which is negative."""

    name = "span|never"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if value == "never":
            return timedelta(seconds=-1)
        return super().convert(value, param, ctx)


class Moment(click.ParamType[datetime]):
    """A point in time in ISO 8601; without a zone it is local time."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value.astimezone()
        try:
            return datetime.fromisoformat(str(value)).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time; write 2026-03-01T12:00:00+01:00", param, ctx)


class Servers(click.ParamType[str]):
    """Where servers are: `host:port`, or several with commas between."""

    name = "host:port[,…]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        try:
            return ",".join(split_addresses(str(value)))
        except InvalidValue as error:
            self.fail(f"{error}; write host:port, or several with commas between", param, ctx)


class Processes(click.ParamType[int]):
    """How many processes: a number, or `auto` for one on each core that may be used."""

    name = "n|auto"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if value == "auto":
            return len(os.sched_getaffinity(0)) if _TELLS_CORES else os.cpu_count() or 1
        count = click.IntRange(min=1).convert(value, param, ctx)
        if count > 1 and not hasattr(socket, "SO_REUSEPORT"):
            self.fail("processes cannot share a port on this platform", param, ctx)
        return count


class Pair(click.ParamType[tuple[str, str]]):
    """A name and a value: `team=north`."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return cast("tuple[str, str]", value)
        name, sign, text = str(value).partition("=")
        if not name or not sign:
            self.fail(f"{value!r} is no pair; write name=value", param, ctx)
        return name, text


class Argument(click.ParamType[tuple[str, Any]]):
    """An argument of an action: `key=text`, `key:=json` for what is no text, `key@=file`.

    The value of the last is the `Path` of a file that can be read.
    """

    name = "key=text|key:=json|key@=file"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        if isinstance(value, tuple):
            return cast("tuple[str, Any]", value)
        key, sign, text = str(value).partition("=")
        if not sign or not key.rstrip(":@"):
            said = f"{value!r} is no argument; write key=text, key:=json or key@=file"
            self.fail(said, param, ctx)
        match key[-1]:
            case ":":
                return key[:-1], self._json(key[:-1], text, param, ctx)
            case "@":
                return key[:-1], Path(os.fsdecode(_FILE.convert(text, param, ctx)))
            case _:
                return key, text

    def _json(
        self, key: str, text: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            # Without the text: it may be a password.
            self.fail(f"{key}: what is given is no JSON: {error}", param, ctx)


class Json(click.ParamType[Any]):
    """JSON of one sort, as text or as `@FILE`."""

    def __init__(self, sort: type[dict[str, Any] | list[Any]]) -> None:
        self._sort: type[Any] = sort
        self.name = "json|@file"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        text = value
        if isinstance(value, str):
            text = self._read(value[1:], param, ctx) if value.startswith("@") else value
            try:
                value = json.loads(text)
            except ValueError as error:
                self.fail(f"this is no JSON: {error}", param, ctx)
        if not isinstance(value, self._sort):
            wanted = "an object" if self._sort is dict else "a list"
            self.fail(f"{wanted} is wanted here, as JSON", param, ctx)
        return value

    def _read(self, name: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"{name} cannot be read: {error}", param, ctx)


def merged(
    whole: Mapping[str, Any] | None, single: Iterable[tuple[str, Any]]
) -> dict[str, Any]:
    """Return arguments given at once and one by one; the latter win."""
    return {**(whole or {}), **dict(single)}
