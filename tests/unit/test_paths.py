from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.core.locating import assign, evaluate
from longshore.core.paths import (
    Concat,
    InvalidPath,
    Json,
    Literal,
    Object,
    Path,
    PathError,
    PathMissing,
    PathNotText,
    PathUnassignable,
)
from longshore.server.paths import EXPRESSION_BYTES, PATH_STEPS, parse_target, parse_value

CONTEXT: Final[Object] = {
    "name": "bag",
    "count": 3,
    "ratio": 0.5,
    "whole": 5.0,
    "large": 1e300,
    "yes": True,
    "nothing": None,
    "empty": [],
    "owner": {"name": "Ada", "e-mail": {"work.address": "ada@example.org"}, "été_1": "warm"},
    "files": [
        {"path": "a.txt", "size": 10, "tags": ["text"]},
        {"path": "b.tif", "size": 20, "tags": ["image", "large"], "width": 7},
        {"path": "c.tif", "size": 20, "tags": []},
    ],
    "rows": [[1, 2], [3, [4]]],
    "concat": "a name",
    "last": ["a name, too"],
    "2024": "a year",
}


def value(text: str, context: Object = CONTEXT, initial: Object | None = None) -> Any:
    return evaluate(parse_value(text), context, initial or {})


def assigned(text: str, new: Any, context: Object) -> Object:
    before = copy.deepcopy(context)
    after = assign(parse_target(text), context, new)
    assert context == before
    return after


@pytest.mark.parametrize(
    "text, expected",
    [
        ("name", "bag"),
        ("/name", "bag"),
        (" / name ", "bag"),
        ("./name", "bag"),
        ("@name", "bag"),
        ("owner/name", "Ada"),
        ("owner/@name", "Ada"),
        ("owner/./name", "Ada"),
        ("owner/e-mail/work.address", "ada@example.org"),
        ("owner/été_1", "warm"),
        ("owner/e-mail/../name", "Ada"),
        ("owner/../name", "bag"),
        ("owner/../../name", PathMissing),
        ("..", PathMissing),
        ("nothing", None),
        ("nothing/more", PathMissing),
        ("name/more", PathMissing),
        ("absent", PathMissing),
        ("owner/absent", PathMissing),
        ("2024", "a year"),
        ("concat", "a name"),
        ("last[last()]", "a name, too"),
        ("files[1]/path", "a.txt"),
        ("files[3]/path", "c.tif"),
        ("files[ last( ) ]/path", "c.tif"),
        ("files[4]", PathMissing),
        ("files[999999999999999999999]", PathMissing),
        ("empty", []),
        ("empty[1]", PathMissing),
        ("empty[last()]", PathMissing),
        ("nothing[1]", PathMissing),
        ("name[1]", "bag"),
        ("name[2]", PathMissing),
        ("owner[1]/name", "Ada"),
        ("owner[name='Ada']/name", "Ada"),
        ("owner[name='Bob']", PathMissing),
        ("files[path='b.tif']/size", 20),
        ('files[ @path = "b.tif" ]/size', 20),
        ("files[size='20']/path", "b.tif"),
        ("files[size='20'][2]/path", "c.tif"),
        ("files[size='20'][last()]/path", "c.tif"),
        ("files[size='20'][path='c.tif']/path", "c.tif"),
        ("files[2][path='c.tif']", PathMissing),
        ("files[tags='large']/path", "b.tif"),
        ("files[absent='']", PathMissing),
        ("files/path", "a.txt"),
        ("files/width", 7),
        ("files/width/../path", "b.tif"),
        ("files/width/../../name", "bag"),
        ("files/absent", PathMissing),
        ("files[2]/../name", "bag"),
        ("files/tags[1]", "text"),
        ("files[2]/tags[2]", "large"),
        ("rows[2]", [3, [4]]),
        ("rows[2][1]", [3, [4]]),
        ("rows[2]/.[1]", 3),
        ("rows[2]/.[2]/.[1]", 4),
        ("rows/.[1]", [1, 2]),
        (".[1]/name", "bag"),
        ("'text'", "text"),
        ('"it\'s"', "it's"),
        ("''", ""),
        ("concat(name, '-', count)", "bag-3"),
        ("concat ( 'a' , \"b\" )", "ab"),
        ("concat(ratio, ' ', whole, ' ', large)", "0.5 5 1e+300"),
        ("concat(yes, nothing, files[1]/size)", "true10"),
        ("concat('x', owner)", PathNotText),
        ("concat(files, 'x')", PathNotText),
        ("concat('x', absent)", PathMissing),
    ],
)
def test_a_value_is_found_where_its_path_leads(text: str, expected: Any) -> None:
    if isinstance(expected, type) and issubclass(expected, PathError):
        with pytest.raises(expected):
            value(text)
    else:
        assert value(text) == expected


@pytest.mark.parametrize("text", [".", "/", "owner/.."])
def test_the_whole_context_is_a_value(text: str) -> None:
    assert value(text) is CONTEXT


def test_a_variable_is_read_from_the_context_as_it_was_at_first() -> None:
    initial: Object = {"name": "first", "files": [{"path": "x"}]}
    assert value("$name", initial=initial) == "first"
    assert value("$files[1]/path", initial=initial) == "x"
    assert value("concat($name, '/', name)", initial=initial) == "first/bag"
    with pytest.raises(PathMissing) as missing:
        value("$owner/name", initial=initial)
    assert missing.value.path == "$owner/name"


def test_what_is_missing_is_named_by_its_whole_path() -> None:
    with pytest.raises(PathMissing, match="nothing at path 'files\\[4\\]/path'") as missing:
        value("concat('x', /files[4]/@path)")
    assert missing.value.path == "files[4]/path"


def test_a_text_that_grows_too_long_is_refused() -> None:
    with pytest.raises(PathNotText):
        value(f"concat({', '.join(['a'] * 300)})", {"a": "x" * 2**20})


@pytest.mark.parametrize(
    "text, before, after",
    [
        ("a", {}, {"a": 1}),
        ("/a", {"b": 2}, {"b": 2, "a": 1}),
        ("@a", {"a": {"b": 2}}, {"a": 1}),
        ("a/b/c", {}, {"a": {"b": {"c": 1}}}),
        ("a/b/c", {"a": {"b": None, "d": 2}}, {"a": {"b": {"c": 1}, "d": 2}}),
        ("a/./b", {}, {"a": {"b": 1}}),
        ("a/../b", {}, {"b": 1}),
        ("a/b[1]/../c", {}, {"a": {"c": 1}}),
        ("a[1]", {}, {"a": [1]}),
        ("a[1]", {"a": None}, {"a": [1]}),
        ("a[1]", {"a": [2, 3]}, {"a": [1, 3]}),
        ("a[3]", {"a": [2, 3]}, {"a": [2, 3, 1]}),
        ("a[last()]", {"a": [2, 3]}, {"a": [2, 1]}),
        ("a[1]/b[1]/c", {}, {"a": [{"b": [{"c": 1}]}]}),
        ("a[2]/b", {"a": [{"b": 2}]}, {"a": [{"b": 2}, {"b": 1}]}),
        (
            "a[n='x']/b",
            {"a": [{"n": "y"}, {"n": "x"}]},
            {"a": [{"n": "y"}, {"n": "x", "b": 1}]},
        ),
        ("a[n='x']/b", {"a": {"n": "x"}}, {"a": {"n": "x", "b": 1}}),
        ("a[n='x']", {"a": [{"n": "x"}]}, {"a": [1]}),
        ("a[1]", {"a": {"n": "x"}}, {"a": 1}),
        ("a/n", {"a": [{}, {"n": "x"}]}, {"a": [{}, {"n": 1}]}),
        ("a[2]/.[2]", {"a": [[], [2]]}, {"a": [[], [2, 1]]}),
        ("a[1]/.[1]", {}, {"a": [[1]]}),
    ],
)
def test_a_value_is_put_where_its_target_leads(
    text: str, before: Object, after: Object
) -> None:
    assert assigned(text, 1, before) == after


@pytest.mark.parametrize(
    "text, context",
    [
        ("a[2]", {}),
        ("a[2]", {"a": []}),
        ("a[3]", {"a": [1]}),
        ("a[2]", {"a": 1}),
        ("a[2]", {"a": {}}),
        ("a[last()]", {}),
        ("a[last()]", {"a": []}),
        ("a[n='x']", {}),
        ("a[n='x']/b", {"a": [{"n": "y"}]}),
        ("a[1][2]", {"a": [1, 2]}),
        ("a/b", {"a": 1}),
        ("a/b", {"a": "text"}),
        ("a/b", {"a": []}),
        ("a/b", {"a": [{"c": 1}]}),
        ("a/b/c", {"a": {"b": False}}),
    ],
)
def test_a_target_that_leads_nowhere_is_refused(text: str, context: Object) -> None:
    with pytest.raises(PathUnassignable) as refused:
        assigned(text, 1, context)
    assert refused.value.path == text


def test_what_an_assignment_does_not_touch_is_shared() -> None:
    before: Object = {"a": [{"b": {}}, {"c": {}}], "d": {}}
    after: Any = assigned("a[1]/e", 1, before)
    was: Any = before
    assert after["d"] is was["d"]
    assert after["a"][1] is was["a"][1]
    assert after["a"][0]["b"] is was["a"][0]["b"]


@pytest.mark.parametrize(
    "text, position, hint",
    [
        ("", 0, "expected a path, a quoted literal or concat(…), found the end"),
        ("a/", 2, "expected a name, . or .."),
        ("a//b", 2, "expected a name, . or .."),
        ("//a", 1, "found '/'"),
        ("a b", 2, "expected /, [ or the end of the path"),
        ("a:b", 1, "found ':'"),
        ("*", 0, "found '*'"),
        ("a/*", 2, "found '*'"),
        ("a[0]", 2, "indexes count from 1"),
        ("a[00]", 2, "indexes count from 1"),
        ("a[-1]", 2, "expected an index from 1, last() or a name"),
        ("a[1", 3, "found the end"),
        ("a[]", 2, "expected an index from 1, last() or a name"),
        ("a[b]", 3, "expected = and a quoted literal"),
        ("a[b=]", 4, "found ']'"),
        ("a[b=c]", 4, "found 'c'"),
        ("a[b!='c']", 3, "found '!'"),
        ("a['b']", 2, "expected an index from 1, last() or a name"),
        ("'a", 0, "a quote that nothing closes"),
        ("'a''b'", 3, "found \"'b'\""),
        ("'a'\"", 3, "expected the end"),
        ("$", 1, "expected a name"),
        ("$/a", 1, "expected a name"),
        ("a/$b", 2, "found '$'"),
        ("concat()", 7, "expected a path or a quoted literal"),
        ("concat(a)", 8, "expected a comma and another part"),
        ("concat(a, b", 11, "found the end"),
        ("concat(a, concat(b, c))", 16, "found '('"),
        ("concat(a, b)/c", 12, "found '/'"),
        ("a" * (EXPRESSION_BYTES + 1), 0, "at most 1024 bytes"),
        ("é" * (EXPRESSION_BYTES // 2 + 1), 0, "at most 1024 bytes"),
        ("/".join("a" * (PATH_STEPS + 1)), 0, "at most 64 steps"),
    ],
)
def test_a_malformed_path_is_refused_where_it_goes_wrong(
    text: str, position: int, hint: str
) -> None:
    with pytest.raises(InvalidPath) as refused:
        parse_value(text)
    assert (refused.value.text, refused.value.position) == (text, position)
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    "text", ["", ".", "/", "..", "a/..", "../a", "$a", "$a/b", "'a'", "concat(a, b)", ".[1]/a"]
)
def test_only_a_place_in_the_context_is_a_target(text: str) -> None:
    with pytest.raises(InvalidPath):
        parse_target(text)


def test_a_path_may_be_as_long_as_is_said() -> None:
    assert parse_value("a" * EXPRESSION_BYTES)
    assert parse_target("/".join("a" * PATH_STEPS))


@given(st.text() | st.text("ab1./@[]='\"$(), concatlast", max_size=30))
def test_any_text_is_a_value_or_refused_as_one(text: str) -> None:
    try:
        read = parse_value(text)
    except InvalidPath as error:
        place = error.position
    else:
        place = 0
        assert parse_value(str(read)) == read
    assert 0 <= place <= len(text)


@given(st.text() | st.text("ab1./@[]='\"$", max_size=30))
def test_any_text_is_a_target_or_refused_as_one(text: str) -> None:
    try:
        read = parse_target(text)
    except InvalidPath as error:
        place = error.position
    else:
        place = 0
        assert parse_target(str(read)) == read
    assert 0 <= place <= len(text)


names = st.sampled_from(["a", "b", "n"])
scalars = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.sampled_from("xy")
)
values = st.recursive(
    scalars, lambda of: st.lists(of, max_size=3) | st.dictionaries(names, of, max_size=3)
)
contexts = st.dictionaries(names, values, max_size=3)


def written(*predicates: str) -> st.SearchStrategy[str]:
    name = st.sampled_from(["a", "b", "n", "@a", "."])
    step = st.tuples(name, st.sampled_from(predicates)).map("".join) | st.just("..")
    return st.lists(step, min_size=1, max_size=5).map("/".join)


written_paths = written("", "", "[1]", "[2]", "[last()]", "[n='x']", "[n='x'][1]")


@given(
    written("", "[1]", "[2]", "[last()]"), contexts, scalars.filter(lambda new: new is not None)
)
def test_what_was_assigned_is_found_again(text: str, context: Any, new: Any) -> None:
    try:
        target = parse_target(text)
        after = assigned(text, new, context)
    except (InvalidPath, PathUnassignable):
        return
    assert value(str(target), after) == new


@given(written_paths, contexts, values)
def test_a_value_is_put_into_any_context_or_refused(text: str, context: Any, new: Any) -> None:
    with suppress(InvalidPath, PathUnassignable):
        assigned(text, new, context)


@given(st.lists(written_paths | st.just("'x'"), min_size=2, max_size=3), contexts)
def test_a_value_of_any_context_is_found_or_refused(parts: list[str], context: Any) -> None:
    before = copy.deepcopy(context)
    for text in [parts[0], f"${parts[0]}", f"concat({', '.join(parts)})"]:
        with suppress(InvalidPath, PathError):
            evaluate(parse_value(text), context, context)
    assert context == before


def places(here: Json, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path or "/", here
    if isinstance(here, dict):
        for name, member in here.items():
            yield from places(member, f"{path}/{name}")
    if isinstance(here, list):
        for number, element in enumerate(here, start=1):
            yield from places(element, f"{path}/.[{number}]")


@given(contexts)
def test_every_place_of_a_context_has_a_path(context: Any) -> None:
    for path, found in places(context):
        assert value(path, context) is found


def test_values_are_told_apart_by_what_they_are() -> None:
    assert isinstance(parse_value("a"), Path)
    assert isinstance(parse_value("'a'"), Literal)
    assert isinstance(parse_value("concat(a, 'b')"), Concat)
