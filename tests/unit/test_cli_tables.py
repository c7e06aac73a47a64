"""Tables at every width of a terminal, and in a pipe."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from longshore.cli.tables import Column, Fit, draw, say_table

ID = "019a0000-0000-7000-8000-000000000001"
COLUMNS = (
    Column("NUMBER"),
    Column("STATE", styles={"FAILED": "red"}),
    Column("ACTION", Fit.CUT),
    Column("QUEUE", Fit.CUT),
    Column("ID", Fit.SPARE),
)
ROWS = [
    ["7", "FAILED", "archive/scan → digest → identify → bag", "default", ID],
    ["123456", "RUNNING", "resize", "the-queue-of-what-may-wait-until-night", ID],
]


def drawn(width: int, *, colours: bool = False) -> list[str]:
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        force_terminal=colours,
        color_system="standard" if colours else None,
    )
    draw(COLUMNS, ROWS, console)
    return [line.rstrip() for line in file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [200, 140, 110, 90, 80, 60, 50])
def test_a_table_is_no_wider_than_its_terminal_and_one_line_per_row(width: int) -> None:
    lines = drawn(width)
    assert len(lines) == 3
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize("width", [200, 140, 110, 90, 80, 60, 50, 20])
def test_what_is_for_pasting_is_never_cut(width: int) -> None:
    heads, _, row = drawn(width)
    assert "123456" in row
    assert "RUNNING" in row
    assert (ID in row) is ("ID" in heads.split())


def test_an_id_goes_only_where_there_is_no_room_to_read_the_rest() -> None:
    assert ID in drawn(100)[1]
    assert ID not in drawn(70)[1]


def test_long_text_ends_in_an_ellipsis_where_it_is_cut_and_only_there() -> None:
    assert "archive/scan → digest → identify → bag" in drawn(200)[1]
    assert "archive/scan" in drawn(100)[1]
    assert "…" in drawn(100)[1]
    assert "…" not in "".join(drawn(200))


def test_numbers_stand_one_below_the_other() -> None:
    heads, first, second = drawn(120)
    assert heads.index("NUMBER") == second.index("123456")
    assert first.startswith("     7  FAILED")


def test_colours_are_for_terminals() -> None:
    assert "\x1b[31mFAILED" in drawn(120, colours=True)[1]
    assert "\x1b" not in "".join(drawn(120))


def test_in_a_pipe_there_are_tabs_and_all_columns(capsys: pytest.CaptureFixture[str]) -> None:
    say_table(COLUMNS, ROWS)
    assert [line.split("\t") for line in capsys.readouterr().out.splitlines()] == [
        ["NUMBER", "STATE", "ACTION", "QUEUE", "ID"],
        *ROWS,
    ]


def test_no_cell_can_steer_a_terminal_or_break_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say_table((Column("NAME"), Column("SAID")), [["a\tb", "two\nlines \x1b[31m"]])
    assert capsys.readouterr().out == "NAME\tSAID\na␉b\ttwo␊lines ␛[31m\n"
