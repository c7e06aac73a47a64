"""Views of changes: live on a terminal, plain lines in a pipe, JSON for programs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from longshore.cli.describing import Change, called, title
from longshore.cli.output import printable, say, say_json
from longshore.cli.wording import STATE_STYLES, amount, happened, moment
from longshore.client import shown
from longshore.client.handles import has_ended, state_name
from longshore.client.kinds import Operation
from longshore.v1.operation_pb2 import STATE_RUNNING, STATE_UNSPECIFIED, Event
from longshore.v1.operation_pb2 import Progress as HowFar

#: So many bars at most; what else runs shows by its lines.
_BARS: Final = 10


class View(AbstractContextManager["View"], Protocol):
    """Shows changes as they come."""

    def show(self, change: Change) -> None: ...


class _Quiet:
    """A view that needs nothing to begin and nothing to end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class JsonLines(_Quiet):
    """A change as one line of JSON."""

    def show(self, change: Change) -> None:
        say_json(change)


class Lines(_Quiet):
    """A change as one line; with the id of its operation where there are several."""

    def __init__(self, *, several: bool) -> None:
        self._several = several

    def show(self, change: Change) -> None:
        say(line(change, several=self._several))


def line(change: Change, *, several: bool) -> str:
    """Return time, id, state and what happened; of the present state, what it is."""
    if change.HasField("event"):
        event = change.event
        cells = [moment(event.time), event.operation_id, f"{state_name(event.state):9}"]
        said = happened(event)
    else:
        operation = shown(change)
        assert operation
        about, status = operation.metadata, operation.status
        cells = [moment(status.update_time), about.id, f"{state_name(status.state):9}"]
        said = called(operation) + ("" if several else f", {about.id}")
    if not several:
        del cells[1]
    return "  ".join([*cells, printable(said)]).rstrip()


class Live:
    """Lines that scroll, and below them a bar for each operation that runs."""

    def __init__(self, *, several: bool, console: Console | None = None) -> None:
        self._several = several
        self._bars: dict[str, TaskID] = {}
        self._names: dict[str, str] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[said]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, change: Change) -> None:
        if change.HasField("event"):
            self._show_event(change.event)
        operation = shown(change)
        if operation:
            self._show_operation(operation)
        if not change.HasField("event") or not change.event.HasField("progress"):
            self._print(change, operation)

    def _print(self, change: Change, operation: Operation | None) -> None:
        state = change.event.state if change.HasField("event") else STATE_UNSPECIFIED
        if operation:
            state = operation.status.state
        name = state_name(state)
        text = Text(line(change, several=self._several))
        text.highlight_words([name], STATE_STYLES.get(name, ""))
        self._progress.console.print(text, soft_wrap=True)

    def _show_event(self, event: Event) -> None:
        if event.HasField("progress"):
            self._move(event.operation_id, event.progress)
        elif event.HasField("state_changed"):
            self._drop(event.operation_id)
            if event.state == STATE_RUNNING:
                self._move(event.operation_id, HowFar())

    def _show_operation(self, operation: Operation) -> None:
        about, status = operation.metadata, operation.status
        self._names[about.id] = title(operation)
        if has_ended(operation):
            self._drop(about.id)
            del self._names[about.id]
        elif status.state == STATE_RUNNING:
            self._move(about.id, status.progress)

    def _move(self, operation_id: str, how_far: HowFar) -> None:
        bar = self._bars.get(operation_id)
        if bar is None:
            if len(self._bars) == _BARS:
                return
            name = printable(self._names.get(operation_id, operation_id))
            bar = self._bars[operation_id] = self._progress.add_task(name, total=None, said="")
        said = ", ".join(part for part in (amount(how_far), how_far.message) if part)
        self._progress.update(
            bar,
            total=how_far.total or None,
            completed=how_far.done,
            said=printable(said),
            refresh=True,
        )

    def _drop(self, operation_id: str) -> None:
        bar = self._bars.pop(operation_id, None)
        if bar is not None:
            self._progress.remove_task(bar)
