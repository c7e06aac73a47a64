"""Where what is downloaded is put."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from longshore.cli.places import place_of_one, refuse_taken


def test_a_single_file_is_put_where_somebody_says_or_under_its_name(tmp_path: Path) -> None:
    assert place_of_one(None, "a.txt") == Path("a.txt")
    assert place_of_one("b.txt", "a.txt") == Path("b.txt")
    assert place_of_one(str(tmp_path), "a.txt") == tmp_path / "a.txt"
    assert place_of_one("new/", "a.txt") == Path("new/a.txt")


def test_what_is_there_is_replaced_on_demand_only(tmp_path: Path) -> None:
    taken = tmp_path / "a.txt"
    taken.touch()
    refuse_taken([tmp_path / "b.txt"], force=False)
    refuse_taken([taken], force=True)
    with pytest.raises(click.UsageError, match="exists already: --force replaces it"):
        refuse_taken([taken], force=False)


@pytest.mark.parametrize("place", ["/", os.devnull])
def test_folders_and_devices_are_never_replaced(place: str) -> None:
    with pytest.raises(click.UsageError, match="cannot be replaced"):
        refuse_taken([Path(place)], force=True)


def test_two_files_never_become_one() -> None:
    with pytest.raises(click.UsageError, match=r"two files would become a\.txt"):
        refuse_taken([Path("a.txt"), Path("b.txt"), Path("a.txt")], force=True)
