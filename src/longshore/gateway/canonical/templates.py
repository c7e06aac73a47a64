"""Path templates as `google.api.http` writes them: `/v1/{name=operations/**}:cancel`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

_VARIABLE: Final = re.compile(r"\{(?P<field>[\w.]+)(?:=(?P<segments>[^{}]+))?\}")
_VERB: Final = re.compile(r":(?P<verb>[^/{}:]+)$")
_STARS: Final = re.compile(r"(\*\*|\*)")
_STAR_PATTERNS: Final = {"*": "[^/]+", "**": ".+"}
#: A slash that was written as no slash stays so where a variable may have several segments.
_ENCODED_SLASH: Final = re.compile("(%2f)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Template:
    """A template, ready to be compared with the paths of requests, as they were sent."""

    text: str
    pattern: re.Pattern[str]
    fields: tuple[str, ...]  #: The path of the field that each group of the pattern fills.
    spacious: frozenset[str]  #: Fields that may have several segments.
    verb: str  #: What is after the colon at the end; may be empty.

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template of the contract; what is not well-formed is matched literally."""
        found = _VERB.search(text)
        verb = found["verb"] if found else ""
        body = text[: found.start()] if found else text
        variables = list(_VARIABLE.finditer(body))
        spacious = (one["field"] for one in variables if "**" in (one["segments"] or ""))
        pattern = "".join(_pieces(body)) + (re.escape(f":{verb}") if verb else "")
        return cls(
            text,
            re.compile(pattern),
            tuple(one["field"] for one in variables),
            frozenset(spacious),
            verb,
        )

    @property
    def literal(self) -> bool:
        """Whether it stands for one path only."""
        return not self.fields and "*" not in self.text

    @property
    def start(self) -> str:
        """Return the first two segments, or nothing if they are not the same in all paths."""
        plain = _VARIABLE.sub(lambda one: one["segments"] or "*", self.text)
        start = start_of(plain)
        return "" if "*" in start else start

    def bind(self, path: str) -> dict[str, str]:
        """Return what a path that the pattern matches says of fields."""
        found = self.pattern.fullmatch(path)
        assert found is not None
        return {
            field: self._decoded(field, text)
            for field, text in zip(self.fields, found.groups(), strict=True)
        }

    def _decoded(self, field: str, text: str) -> str:
        if "%" not in text:
            return text
        if field not in self.spacious:
            return unquote(text)
        kept = _ENCODED_SLASH.split(text)
        return "".join(one if index % 2 else unquote(one) for index, one in enumerate(kept))


def start_of(path: str) -> str:
    """Return the first two segments of a path."""
    return "/".join(path.split("/", 3)[:3])


def variable_of(field: str) -> str:
    """Return the variable for a field: paths that differ by names only are one to OpenAPI."""
    return f"{{{field.rpartition('.')[2]}}}"


def shown(template: Template) -> str:
    """Return a template as OpenAPI writes it, each star by the name of its field.

    That is `/v1/operations/{name}` for `/v1/{name=operations/**}`.
    """

    def variable(one: re.Match[str]) -> str:
        segments = one["segments"] or "*"
        return _STARS.sub(variable_of(one["field"]), segments, count=1)

    return _VARIABLE.sub(variable, template.text)


def _pieces(body: str) -> Iterator[str]:
    """Yield the regular expression of a template without its verb, in pieces."""
    end = 0
    for variable in _VARIABLE.finditer(body):
        yield _segments(body[end : variable.start()])
        yield f"({_segments(variable['segments'] or '*')})"
        end = variable.end()
    yield _segments(body[end:])


def _segments(text: str) -> str:
    pieces = _STARS.split(text)
    return "".join(_STAR_PATTERNS.get(one) or re.escape(quote(one)) for one in pieces)
