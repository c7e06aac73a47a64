"""What all random tests of a store stand on: the store itself, and changes that gather."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from longshore.core.changes import Change
from tests.conformance.candidates import CANDIDATES, Candidate
from tests.conformance.world import World

_T = TypeVar("_T")


class StatefulTest(RuleBasedStateMachine):
    """A store that rules ask for changes; a batch is committed when one of them says so."""

    candidate: ClassVar[Candidate]

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.world = World(self.candidate, Path(self.folder.name))
        self.run(self.world.open())
        self.changes: list[Change] = []
        self.expected: list[object] = []

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return self.runner.run(coroutine)

    def last_look(self) -> None:
        """Commit, and see what must be so in the end."""
        raise NotImplementedError

    def teardown(self) -> None:
        try:
            self.last_look()
        finally:
            self.run(self.world.close())
            self.runner.close()
            self.folder.cleanup()


def play(test: type[StatefulTest], name: str, examples: int = 60) -> None:
    """Play random sequences of a test's rules on a candidate."""

    class Machine(test):  # type: ignore[valid-type, misc]
        candidate = CANDIDATES[name]

    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=slow,
        ),
    )
