"""Random changes on stores that move from one kind to the other and back meanwhile."""

from __future__ import annotations

import pytest

from tests.conformance.candidates import CANDIDATES
from tests.conformance.moves import Moving
from tests.conformance.stateful import play
from tests.conformance.test_file_model import FileMachine
from tests.conformance.test_model import StoreMachine

_EXAMPLES = 8


class MovingStore(StoreMachine, Moving):
    """Goes on with operations."""


class MovingFiles(FileMachine, Moving):
    """Goes on with files."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CANDIDATES)
def test_a_store_that_moves_goes_on_as_if_nothing_had_happened(name: str) -> None:
    play(MovingStore, name, _EXAMPLES)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CANDIDATES)
def test_files_of_a_store_that_moves_are_all_there(name: str) -> None:
    play(MovingFiles, name, _EXAMPLES)
