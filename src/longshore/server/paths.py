"""The language of location paths: a subset of JXPath, read into the values of `core.paths`.

inputs/files[2]/size     $job/owner/@name     concat('bag-', name, '.', files[last()]/format)
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, cast

from lark import Token, Tree

from longshore.core.paths import (
    Child,
    Concat,
    Index,
    InvalidPath,
    Last,
    Literal,
    Parent,
    Path,
    Predicate,
    Self,
    Step,
    Target,
    Value,
    Where,
    as_target,
)
from longshore.server.grammars import Grammar, Unexpected, position_of

EXPRESSION_BYTES: Final = 1_024  #: The longest path or value.
PATH_STEPS: Final = 64

# A name may also begin with a digit, which JXPath does not allow but keys of JSON do.
_RULES: Final = r"""
value: path | LITERAL | concat
concat: _CONCAT "(" (path | LITERAL) ("," (path | LITERAL))+ ")"
path: "/" | "/"? _steps | "$" variable ("/" _steps)?
_steps: _step ("/" _step)*
_step: self | parent | child
self: "." predicate*
parent: ".."
child: "@"? NAME predicate*
variable: NAME predicate*
predicate: "[" (INDEX | LAST | "@"? NAME "=" LITERAL) "]"

_CONCAT.2: /concat(?=\s*\()/
LAST.2: /last\s*\(\s*\)/
LITERAL: /"[^"]*"|'[^']*'/
INDEX.2: /[0-9]+(?=\s*\])/
NAME: /(\w|[^\x00-\x7f\s])([\w.-]|[^\x00-\x7f\s])*/

%ignore /\s+/
"""

_GRAMMAR: Final = Grammar(_RULES, start=["value", "path"])


def parse_value(text: str) -> Value:
    """Read a path, a quoted literal or a construction. Raises `InvalidPath`."""
    return _value(_short(text))


def parse_target(text: str) -> Target:
    """Read a path that a value can be assigned to. Raises `InvalidPath`."""
    return _target(_short(text))


@lru_cache(maxsize=1_024)
def _value(text: str) -> Value:
    return _build(_parsed(text, "value").children[0], text)


@lru_cache(maxsize=1_024)
def _target(text: str) -> Target:
    target = as_target(_path(_parsed(text, "path"), text))
    if target is None:
        raise InvalidPath(text, 0, "expected a place in the context: names, and no $variable")
    return target


def _short(text: str) -> str:
    """Return a text that is short enough to read, and to keep in a cache."""
    size = len(text.encode(errors="replace"))
    if size > EXPRESSION_BYTES:
        raise InvalidPath(text, 0, f"at most {EXPRESSION_BYTES} bytes, got {size}")
    return text


def _parsed(text: str, start: str) -> Tree[Token]:
    try:
        return _GRAMMAR.parse(text, start)
    except Unexpected as error:
        if error.found in (repr("'"), repr('"')) and "LITERAL" in error.expected:
            hint = "a quote that nothing closes"
        else:
            hint = f"expected {_expected(error.expected)}, found {error.found}"
        raise InvalidPath(text, error.position, hint) from None


def _expected(terminals: frozenset[str]) -> str:
    """Name what may follow; the first entry that applies says it best."""
    return next((words for name, words in _EXPECTED if name in terminals), "the end")


_EXPECTED: Final = (
    ("_CONCAT", "a path, a quoted literal or concat(…)"),
    ("LITERAL", "a path or a quoted literal"),
    ("LAST", "an index from 1, last() or a name"),
    ("DOT", "a name, . or .."),
    ("NAME", "a name"),
    ("EQUAL", "= and a quoted literal"),
    ("SLASH", "/, [ or the end of the path"),
    ("RSQB", "]"),
    ("RPAR", "a comma or )"),
    ("COMMA", "a comma and another part"),
)


def _build(part: Tree[Token] | Token, text: str) -> Value:
    if isinstance(part, Tree) and part.data == "concat":
        return Concat(tuple(_joined(child, text) for child in part.children))
    return _joined(part, text)


def _joined(part: Tree[Token] | Token, text: str) -> Path | Literal:
    return Literal(part[1:-1]) if isinstance(part, Token) else _path(part, text)


def _path(tree: Tree[Token], text: str) -> Path:
    parts = cast("list[Tree[Token]]", tree.children)
    if len(parts) > PATH_STEPS:
        raise InvalidPath(text, 0, f"at most {PATH_STEPS} steps, got {len(parts)}")
    # A plain dot stays where it is, so it is no step.
    steps = tuple(_step(part, text) for part in parts if part.data != "self" or part.children)
    return Path(steps, variable=bool(parts) and parts[0].data == "variable")


def _step(tree: Tree[Token], text: str) -> Step:
    predicates = tuple(
        _predicate(cast("list[Token]", part.children), text)
        for part in tree.children
        if isinstance(part, Tree)
    )
    match tree.data:
        case "parent":
            return Parent()
        case "self":
            return Self(predicates)
        case _:  # child, variable
            return Child(str(tree.children[0]), predicates)


def _predicate(tokens: list[Token], text: str) -> Predicate:
    first = tokens[0]
    if first.type == "LAST":
        return Last()
    if first.type == "NAME":
        return Where(str(first), tokens[1][1:-1])
    if int(first) == 0:
        raise InvalidPath(text, position_of(first), "indexes count from 1")
    return Index(int(first))
