"""Location paths: how a plan's actions find values in their context and write them to it.

The paths are those of JXPath, applied to JSON. A step by name enters a member; a list is
looked through: `items/name` is the name of the first element of `items` that has one. In
brackets, `[2]` counts from 1, `[last()]` is the last and `[type='x']` takes those elements
whose member has that value; several brackets narrow one after the other, and the first element
that is left is taken. What is no list counts as a list of one. A list within a list is entered
by `.`, as in `rows[2]/.[1]`. `..` goes back to the object that the last name was found in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | int | bool | None"
Object: TypeAlias = dict[str, Json]


@dataclass(frozen=True, slots=True)
class Index:
    """The element at a place, counted from 1."""

    number: int

    def __str__(self) -> str:
        return f"[{self.number}]"


@dataclass(frozen=True, slots=True)
class Last:
    """The last element."""

    def __str__(self) -> str:
        return "[last()]"


@dataclass(frozen=True, slots=True)
class Where:
    """The elements that have a member of this value, or a list with this value in it.

    Numbers and booleans are compared by their JSON text, null by the empty one.
    """

    name: str
    text: str

    def __str__(self) -> str:
        return f"[{self.name}={_quoted(self.text)}]"


Predicate: TypeAlias = Index | Last | Where


@dataclass(frozen=True, slots=True)
class Child:
    """The member of a name, or what the predicates leave of it."""

    name: str
    predicates: tuple[Predicate, ...] = ()

    def __str__(self) -> str:
        return self.name + "".join(map(str, self.predicates))


@dataclass(frozen=True, slots=True)
class Self:
    """What the predicates leave of the present value."""

    predicates: tuple[Predicate, ...]

    def __str__(self) -> str:
        return "." + "".join(map(str, self.predicates))


@dataclass(frozen=True, slots=True)
class Parent:
    """The object that holds the present value."""

    def __str__(self) -> str:
        return ".."


Step: TypeAlias = Child | Self | Parent


@dataclass(frozen=True, slots=True)
class Path:
    """Where a value is: steps from the context, or from the context as it was at first."""

    steps: tuple[Step, ...]
    variable: bool = False  #: From the context as it was at first: `$name/…`.

    def __str__(self) -> str:
        return ("$" if self.variable else "") + "/".join(map(str, self.steps)) or "/"


Move: TypeAlias = str | tuple[Predicate, ...]
"""One way inward: into the member of this name, or into the element that passes these."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a value is to be put; the first step is a name."""

    steps: tuple[Child | Self, ...]

    @property
    def moves(self) -> tuple[Move, ...]:
        moves: list[Move] = []
        for step in self.steps:
            if isinstance(step, Child):
                moves.append(step.name)
            if step.predicates:
                moves.append(step.predicates)
        return tuple(moves)

    def __str__(self) -> str:
        return "/".join(map(str, self.steps))


@dataclass(frozen=True, slots=True)
class Literal:
    """A text that stands for itself."""

    text: str

    def __str__(self) -> str:
        return _quoted(self.text)


@dataclass(frozen=True, slots=True)
class Concat:
    """Texts and the values of paths, joined to one text."""

    parts: tuple[Path | Literal, ...]

    def __str__(self) -> str:
        return f"concat({', '.join(map(str, self.parts))})"


Value: TypeAlias = Path | Literal | Concat


class InvalidPath(ValueError):
    """A text is no path, or no value; reading stopped at `position` (characters from 0)."""

    def __init__(self, text: str, position: int, hint: str) -> None:
        super().__init__(f"{hint} (at {position})")
        self.text = text
        self.position = position
        self.hint = hint


class PathError(Exception):
    """A path does not fit the values it is applied to; the caller adds action and argument."""

    def __init__(self, path: Path | Concat | Target, reason: str) -> None:
        super().__init__(f"{reason} {str(path)!r}")
        self.path = str(path)
        self.reason = reason


class PathMissing(PathError):
    """There is nothing at a path."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "nothing at path")


class PathUnassignable(PathError):
    """Nothing can be written at a path."""


class PathNotText(PathError):
    """What is at a path cannot be joined to a text."""


def as_target(path: Path) -> Target | None:
    """Return where a path writes, or None if nothing can ever be written there."""
    steps: list[Child | Self] = []
    for step in path.steps:
        if isinstance(step, Parent):
            if not steps:
                return None
            steps.pop()
        else:
            steps.append(step)
    if path.variable or not steps or not isinstance(steps[0], Child):
        return None
    return Target(tuple(steps))


def _quoted(text: str) -> str:
    # A literal cannot hold both kinds of quotes, since it was read from one.
    return f'"{text}"' if "'" in text else f"'{text}'"
