"""Arrays of tables in a TOML document, edited so that comments stay where they belong.

A comment belongs to the table below it. The parser has it as the end of the table above, which
is why whatever changes a table's end has to see to it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, cast

from tomlkit import aot, item
from tomlkit.container import Container
from tomlkit.items import AoT, Array, Comment, InlineTable, Item, Key, Null, Table, Whitespace

Place: TypeAlias = Container | Table | InlineTable
"""Where keys have values: a document, or a table."""

Row: TypeAlias = Table | InlineTable
"""A table of an array, `[[key]]` or `{…}`."""

_Body: TypeAlias = list[tuple[Key | None, Item]]

_NOTES: Final = (Comment, Whitespace, Null)  #: What no key has as a value.


def rows(place: Place, key: str) -> list[Row]:
    """Return the tables that an array of tables has; none if there is no such array."""
    return [*(_value(place, key) or [])]


def append(place: Place, key: str, values: Mapping[str, Any]) -> None:
    """Append a table to an array, in the array's own style; make the array if there is none."""
    array = _value(place, key)
    if isinstance(array, Array):
        cast("list[Item]", array).append(item(dict(values), _parent=array))
        return
    if isinstance(place, InlineTable):
        place[key] = [dict(values)]
        return
    if isinstance(place, Container) and not isinstance(array, AoT):
        place[key] = _array_of(values)
        return
    with _end_kept(array if isinstance(array, AoT) else place):
        if isinstance(array, AoT):
            row = item(dict(values))
            row.trivia.indent = "\n"  # an empty line above it
            cast("list[Item]", array).append(row)
        else:
            place[key] = _array_of(values)


def put(row: Row, key: str, value: Any) -> None:
    """Give a key of a table a value."""
    if isinstance(row, Table):
        with _end_kept(row):
            row[key] = value
    else:
        row[key] = value


def remove(place: Place, key: str, at: int) -> None:
    """Remove a table from an array, and the comment directly above it.

    The comment goes only if an empty line is above it; else it may be about more.
    """
    array = place[key]
    if isinstance(array, Array):
        del array[at]
    elif isinstance(array, AoT):
        _remove_table(place, key, array, at)


def _remove_table(place: Place, key: str, array: AoT, at: int) -> None:
    where = _index(place, key)
    end = _take_end(array[at])
    above, below = _end(array[at - 1]) if at else _above(_body(place), where)
    if _drop_comment(above, below):
        end = end.removeprefix("\n")
    following = array[at + 1] if at + 1 < len(array) else None
    del array[at]
    if following is not None:
        following.trivia.indent = end + following.trivia.indent
    elif at:
        _add_end(array, end)
    else:
        place.remove(key)
        _body(place)[where] = (None, Whitespace(end))


def _drop_comment(body: _Body, below: int) -> bool:
    """Remove the comment that ends where something begins, if an empty line is above it.

    Return whether what follows need not begin with an empty line.
    """
    start = below
    while start and isinstance(body[start - 1][1], Comment):
        start -= 1
    separated = start > 0 and isinstance(body[start - 1][1], Whitespace)
    if separated:
        body[start:below] = [(None, Null())] * (below - start)
    return separated or below == 0


def _above(body: _Body, at: int) -> tuple[_Body, int]:
    """Return where what is written directly above a key ends."""
    above = body[at - 1][1] if at else None
    return _end(above) if isinstance(above, AoT | Table) else (body, at)


def _end(what: Place | AoT) -> tuple[_Body, int]:
    body = _last_body(what)
    return body, len(body)


def _array_of(values: Mapping[str, Any]) -> AoT:
    array = aot()
    cast("list[Item]", array).append(item(dict(values)))
    return array


def _value(place: Place, key: str) -> Any:
    return cast("Mapping[str, Any]", place).get(key)


def _index(place: Place, key: str) -> int:
    return next(at for at, (one, _) in enumerate(_body(place)) if one and one.key == key)


@contextmanager
def _end_kept(what: Place | AoT) -> Generator[None]:
    """Let what is below a table stay below it, whatever is added to the table."""
    end = _take_end(what)
    yield
    _add_end(what, end)


def _take_end(what: Place | AoT) -> str:
    """Remove the comments and empty lines at the end, and return them."""
    body = _last_body(what)
    start = len(body)
    while start and isinstance(body[start - 1][1], _NOTES):
        start -= 1
    text = "".join(one.as_string() for _, one in body[start:])
    del body[start:]
    return text


def _add_end(what: Place | AoT, text: str) -> None:
    if text:
        _last_body(what).append((None, Whitespace(text)))


def _last_body(what: Place | AoT) -> _Body:
    """Return what the last table has, however deep it is."""
    if isinstance(what, AoT):
        return _last_body(what[-1])
    body = _body(what)
    last = next((one for _, one in reversed(body) if not isinstance(one, _NOTES)), None)
    return _last_body(last) if isinstance(last, AoT | Table) else body


def _body(place: Place) -> _Body:
    return (place if isinstance(place, Container) else place.value).body
