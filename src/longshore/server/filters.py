r"""The language of filters: a subset of AIP-160, read into the tree of `core.filters`.

    state = QUEUED AND (service = "archive" OR labels.team:ingest*)

`OR` binds tighter than `AND`, and comparisons side by side are joined by `AND`, as in AIP-160.
`-` and `NOT` negate. A value is a bare word or quoted; `*` at either end of a text stands for
anything, `field:*` asks whether the field is set, and a backslash makes `*`, a quote or a
backslash plain. `:` means the same as `=`, since no field holds several values. A text that
is not set is the empty one: `field = ""` is `NOT field:*`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, cast

from lark import Token, Tree

from longshore.core.errors import InvalidFilter, LimitExceeded
from longshore.core.fields import LABEL_PREFIX, Field, FieldType, filterable, find_field
from longshore.core.filters import (
    EVERYTHING,
    Compare,
    Filter,
    Operator,
    Pattern,
    Present,
    all_of,
    any_of,
    negation,
)
from longshore.core.operations import Kind
from longshore.server.grammars import Grammar, Unexpected, position_of, shown
from longshore.server.literals import read_id_part, read_pattern, read_value, unescape

FILTER_BYTES: Final = 4_096  #: The longest filter.
FILTER_DEPTH: Final = 32  #: Parentheses within parentheses.

_RULES: Final = r"""
filter: conjunction?
?conjunction: sequence ("AND" sequence)*
?sequence: disjunction+
?disjunction: term ("OR" term)*
?term: simple | ("NOT" | "-") simple -> negation
?simple: comparison | "(" conjunction ")"
comparison: FIELD OPERATOR (WORD | STRING)

OPERATOR: /[<>!]=|[=<>:]/
STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/s
WORD: /(\\.|[^\s()"'=<>!\\])+/s
FIELD: /labels\.("(\\.|[^"\\])*"|'(\\.|[^'\\])*')/s
     | /(?!(AND|OR|NOT)(?![^\s()"'=<>!:\\]))[^\s()"'=<>!:\\-][^\s()"'=<>!:\\]*/

%ignore /\s+/
"""


def _watch_depth() -> Callable[[Token], None]:
    """Refuse deep nesting while the text is read, before anything recurses into it."""
    depth = 0

    def see(token: Token) -> None:
        nonlocal depth
        depth += {"LPAR": 1, "RPAR": -1}.get(token.type, 0)
        if depth > FILTER_DEPTH:
            message = f"at most {FILTER_DEPTH} parentheses within each other"
            raise _invalid(message, position_of(token))

    return see


_GRAMMAR: Final = Grammar(_RULES, start=["filter"], watch=_watch_depth)
_EQUALITY_ONLY: Final = frozenset({FieldType.BOOL, FieldType.ID, FieldType.KIND})
_PATTERNED: Final = frozenset({FieldType.TEXT, FieldType.ID})


def parse_filter(text: str, kind: Kind | None) -> Filter:
    """Read the filter of a list or watch of one kind, or of any kind if `None`.

    Positions in errors count characters from 0. Raises `InvalidFilter`, and `LimitExceeded`
    for more than 4 KiB.
    """
    size = _size(text)
    if size > FILTER_BYTES:
        raise LimitExceeded("filter", FILTER_BYTES, size)
    return _parsed(text, kind)


@lru_cache(maxsize=512)
def _parsed(text: str, kind: Kind | None) -> Filter:
    try:
        tree = _GRAMMAR.parse(text, "filter")
    except Unexpected as error:
        raise _syntax_error(error) from None
    return _Reader(kind).filter(tree)


def _size(text: str) -> int:
    """Return the bytes of a text. Raises `InvalidFilter` for what no store keeps as text."""
    if "\0" in text:
        raise _invalid("a NUL character is not allowed", text.index("\0"))
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise _invalid("half of a surrogate pair is no character", error.start) from None


class _Reader:
    """Turns a parse tree into a filter, checking every comparison against its field."""

    def __init__(self, kind: Kind | None) -> None:
        self._kind = kind

    def filter(self, tree: Tree[Token]) -> Filter:
        if tree.data == "comparison":
            return self._comparison(*cast("list[Token]", tree.children))
        parts = [self.filter(child) for child in tree.children if isinstance(child, Tree)]
        match tree.data:
            case "negation":
                return negation(parts[0])
            case "disjunction":
                return any_of(parts)
            case _:  # filter, conjunction, sequence
                return all_of(parts) if parts else EVERYTHING

    def _comparison(self, name_token: Token, operator: Token, value: Token) -> Filter:
        name, field = self._field(name_token)
        try:
            compared = _compare(name, field, str(operator).removeprefix("!"), _unquoted(value))
        except ValueError as error:
            raise _invalid(f"{name}: {error}", position_of(value)) from None
        return negation(compared) if operator == "!=" else compared

    def _field(self, token: Token) -> tuple[str, Field]:
        name = str(token)
        if name.startswith((f'{LABEL_PREFIX}"', f"{LABEL_PREFIX}'")):
            name = LABEL_PREFIX + self._label(token)
        field = find_field(name, self._kind)
        if field is None:
            known = ", ".join(filterable(self._kind))
            raise _invalid(f"unknown field {shown(name)}; known: {known}", position_of(token))
        return name, field

    def _label(self, token: Token) -> str:
        try:
            return unescape(token[len(LABEL_PREFIX) + 1 : -1])
        except ValueError as error:
            raise _invalid(str(error), position_of(token)) from None


def _compare(name: str, field: Field, operator: str, raw: str) -> Filter:
    """Read the right side of a comparison. Raises `ValueError`."""
    operator = "=" if operator == ":" else operator
    if operator != "=" and field.type in _EQUALITY_ONLY:
        raise ValueError(f"only = != : go with {field.type.value}")
    pattern = read_pattern(raw)
    if not pattern.open_start and not pattern.open_end:
        value = read_value(pattern.text, field.type)
        if (operator, value) == ("=", ""):
            return negation(Present(name))
        return Compare(name, cast("Operator", operator), value)
    if operator != "=":
        raise ValueError(r"a * goes with = != : only; a star itself is written \*")
    if not pattern.text:
        return Present(name)
    if field.type not in _PATTERNED:
        raise ValueError("a * goes with texts and ids only")
    return Compare(name, "=", _pattern(pattern, field))


def _pattern(pattern: Pattern, field: Field) -> Pattern:
    if field.type is not FieldType.ID:
        return pattern
    return Pattern(read_id_part(pattern.text), pattern.open_start, pattern.open_end)


def _unquoted(token: Token) -> str:
    return str(token[1:-1]) if token.type == "STRING" else str(token)


def _syntax_error(error: Unexpected) -> InvalidFilter:
    if error.found in (repr("'"), repr('"')):
        return _invalid(
            "a quote that nothing closes, or that stands amid a word", error.position
        )
    message = f"expected {_expected(error.expected)}, found {error.found}"
    return _invalid(message, error.position)


def _expected(terminals: frozenset[str]) -> str:
    if "OPERATOR" in terminals:
        return "an operator (= != < <= > >= :)"
    if "WORD" in terminals:
        return "a value, bare or quoted"
    if "FIELD" in terminals and not terminals & {"AND", "RPAR"}:
        return "a comparison such as state = QUEUED"
    return f"AND, OR, another comparison or {'the end' if '$END' in terminals else ')'}"


def _invalid(message: str, position: int) -> InvalidFilter:
    return InvalidFilter(f"{message} (at {position})", position)
