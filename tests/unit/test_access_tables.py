"""Arrays of tables in TOML are edited, and comments stay with what they are about."""

from __future__ import annotations

import tomllib

import pytest
from tomlkit import dumps, parse

from longshore.access import tables

BEFORE = """\
# Who may call.

# Ada sits in the north.
[[people]]
name = "ada"  # she

  # her laptop
  [[people.keys]]
  id = "a"

  # her phone
  [[people.keys]]
  id = "b"

# The press works at night.
[[people]]
name = "press"
keys = [{id = "c"}, {id = "d"}]

# Not ours.
[[others]]
name = "corp"

# The end.
"""


def without(text: str, *lines: str) -> str:
    for line in lines:
        assert line in text
        text = text.replace(line, "")
    return text


ADA = BEFORE[BEFORE.index("# Ada") : BEFORE.index("# The press")]
LAPTOP = BEFORE[BEFORE.index("  # her laptop") : BEFORE.index("  # her phone")]
PHONE = BEFORE[BEFORE.index("  # her phone") : BEFORE.index("# The press")]
PRESS = BEFORE[BEFORE.index("# The press") : BEFORE.index("# Not ours")]
CORP = BEFORE[BEFORE.index("# Not ours") : BEFORE.index("# The end")]


@pytest.mark.parametrize(
    "key, at, gone", [("people", 0, ADA), ("people", 1, PRESS), ("others", 0, CORP)]
)
def test_a_table_goes_with_its_comment_and_nothing_else_goes(
    key: str, at: int, gone: str
) -> None:
    document = parse(BEFORE)
    tables.remove(document, key, at)
    assert dumps(document) == without(BEFORE, gone)


@pytest.mark.parametrize("at, gone", [(0, LAPTOP), (1, PHONE)])
def test_a_table_within_a_table_goes_with_its_comment(at: int, gone: str) -> None:
    document = parse(BEFORE)
    tables.remove(tables.rows(document, "people")[0], "keys", at)
    assert dumps(document).replace("\n\n", "\n") == without(BEFORE, gone).replace("\n\n", "\n")


def test_the_only_table_within_a_table_leaves_what_follows_where_it_is() -> None:
    document = parse(BEFORE)
    ada = tables.rows(document, "people")[0]
    tables.remove(ada, "keys", 1)
    document = parse(dumps(document))
    tables.remove(tables.rows(document, "people")[0], "keys", 0)
    assert dumps(document) == without(BEFORE, LAPTOP, PHONE)


def test_a_comment_at_the_top_of_a_file_is_about_all_of_it() -> None:
    document = parse('# Who may call.\n[[people]]\nname = "ada"\n\n[[people]]\nname = "b"\n')
    tables.remove(document, "people", 0)
    assert dumps(document) == '# Who may call.\n\n[[people]]\nname = "b"\n'


def test_the_last_table_of_all_leaves_the_rest() -> None:
    document = parse('# Settings.\nlisten = 1\n\n# Ada.\n[[people]]\nname = "ada"\n')
    tables.remove(document, "people", 0)
    assert tomllib.loads(dumps(document)) == {"listen": 1}
    assert "# Settings." in dumps(document)
    assert "# Ada." not in dumps(document)


def test_a_new_table_stands_behind_the_others_and_before_the_comment_on_what_follows() -> None:
    document = parse(BEFORE)
    tables.append(document, "people", {"name": "new", "keys": [{"id": "e"}]})
    said = dumps(document)
    assert (
        said.replace('\n[[people]]\nname = "new"\n\n[[people.keys]]\nid = "e"\n', "") == BEFORE
    )
    assert said.index('"press"') < said.index('"new"') < said.index("# Not ours")


def test_a_new_table_within_a_table_stands_before_the_comment_on_the_next() -> None:
    document = parse(BEFORE)
    tables.append(tables.rows(document, "people")[0], "keys", {"id": "e"})
    said = dumps(document)
    assert said.index('"b"') < said.index('"e"') < said.index("# The press")
    assert tomllib.loads(said)["people"][0]["keys"] == [{"id": "a"}, {"id": "b"}, {"id": "e"}]


def test_arrays_on_one_line_stay_so() -> None:
    document = parse(BEFORE)
    press = tables.rows(document, "people")[1]
    tables.remove(press, "keys", 0)
    tables.append(press, "keys", {"id": "e"})
    assert 'keys = [{id = "d"}, {id = "e"}]' in dumps(document)


def test_tables_on_one_line_get_arrays_and_keys_on_it() -> None:
    document = parse('people = [{name = "ada"}, {name = "press"}]\n')
    ada = tables.rows(document, "people")[0]
    tables.append(ada, "keys", {"id": "a"})
    tables.put(ada, "secret", "x")
    tables.append(document, "people", {"name": "new", "keys": [{"id": "b"}]})
    tables.remove(document, "people", 1)
    assert tomllib.loads(dumps(document)) == {
        "people": [
            {"name": "ada", "keys": [{"id": "a"}], "secret": "x"},
            {"name": "new", "keys": [{"id": "b"}]},
        ]
    }


def test_a_new_key_of_a_table_stands_before_its_tables_and_before_the_next_comment() -> None:
    document = parse(BEFORE)
    for row in tables.rows(document, "people"):
        tables.put(row, "secret", "x")
    said = dumps(document)
    assert [row["secret"] for row in tomllib.loads(said)["people"]] == ["x", "x"]
    assert said.replace('secret = "x"\n', "") == BEFORE


def test_an_array_that_is_not_there_has_no_tables_and_is_made() -> None:
    document = parse("# Empty yet.\n")
    assert tables.rows(document, "people") == []
    tables.append(document, "people", {"name": "ada"})
    assert dumps(document) == '# Empty yet.\n\n[[people]]\nname = "ada"\n'
