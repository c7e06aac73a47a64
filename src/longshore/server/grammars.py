"""Grammars: the one place that knows the parser library, and what its errors say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Final

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput
from lark.lark import PostLex

_END: Final = "$END"
_END_SHOWN: Final = "<END-OF-FILE>"  # The same, as one kind of Lark's errors words it.
_SHOWN: Final = 64  # Characters of the caller's text that a message repeats.


class Unexpected(Exception):
    """A text cannot go on as it does at `position`; each language says so in its own words."""

    def __init__(self, position: int, found: str, expected: frozenset[str]) -> None:
        super().__init__(position, found, expected)
        self.position = position  #: In characters, from 0.
        self.found = found  #: What stands there, as a message shows it.
        self.expected = expected  #: Names of the terminals that may stand there; "$END" is one.


def _ignore(_: Token) -> None:
    pass


class Grammar:
    """An LALR grammar in Lark's notation, built when it is first used.

    `watch` gives a function for every text, which sees each token before the parser does and
    may raise to end the reading.
    """

    def __init__(
        self,
        rules: str,
        *,
        start: list[str],
        watch: Callable[[], Callable[[Token], None]] = lambda: _ignore,
    ) -> None:
        self._rules = rules
        self._start = start
        self._watch = watch

    def parse(self, text: str, start: str) -> Tree[Token]:
        """Return the parse tree. Raises `Unexpected`."""
        try:
            tree: Tree[Token] = self._lark.parse(text, start=start)
        except UnexpectedInput as error:
            raise _unexpected(error, text) from None
        return tree

    @cached_property
    def _lark(self) -> Any:
        postlex = _Watched(self._watch)
        return Lark(self._rules, parser="lalr", start=self._start, postlex=postlex)


class _Watched(PostLex):
    def __init__(self, watch: Callable[[], Callable[[Token], None]]) -> None:
        self._watch = watch

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        see = self._watch()
        for token in stream:
            see(token)
            yield token


def position_of(token: Token) -> int:
    """Return where a token begins, in characters from 0."""
    return token.start_pos or 0


def shown(text: str) -> str:
    """Return a caller's text as a message repeats it."""
    return repr(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…")


def _unexpected(error: Any, text: str) -> Unexpected:
    token: Token | None = getattr(error, "token", None)
    if token is None:  # not even a token can be made of what stands there
        position = int(error.pos_in_stream)
        allowed = frozenset(_END if name == _END_SHOWN else name for name in error.allowed)
        return Unexpected(position, shown(text[position]), allowed)
    # Empty if the parser had closed what it read before it met a token that cannot follow.
    expected = frozenset(error.accepts or {_END})
    if token.type == _END:
        return Unexpected(len(text), "the end", expected)
    return Unexpected(position_of(token), shown(str(token)), expected)
