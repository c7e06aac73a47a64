"""Orders: in which sequence a list shows operations, and where its next page begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from longshore.core.errors import InvalidFields, LimitExceeded, Violation
from longshore.core.fields import FieldType, field_named, find_field, sortable
from longshore.core.operations import Kind

ORDER_BYTES: Final = 1_024  #: The longest `order_by`.


class SortKey(NamedTuple):
    """A field that a list is ordered by."""

    field: str
    descending: bool = False


class Boundary(NamedTuple):
    """What one sort key held in the last operation of a page."""

    field: str
    descending: bool
    value: str | int


@dataclass(frozen=True, slots=True)
class Order:
    """A total order: the last key is unique, `number` or else `id`.

    An unset text sorts as the empty one, an unset number as 0.
    """

    keys: tuple[SortKey, ...]

    @property
    def text(self) -> str:
        """The one text of all `order_by` that give this order."""
        return ",".join(
            f"{key.field} desc" if key.descending else key.field for key in self.keys
        )

    @property
    def types(self) -> tuple[FieldType, ...]:
        """What the values of a boundary are, key by key."""
        return tuple(field_named(key.field).type for key in self.keys)

    def after(self, values: tuple[str | int, ...]) -> tuple[Boundary, ...]:
        """Return where the page begins that follows an operation with these values.

        With keys a, b, c it holds what satisfies a > A, or a = A and b > B, or a = A and
        b = B and c > C, where a descending key turns `>` into `<`. Where all keys go one way
        that is one comparison of rows: (a, b, c) > (A, B, C).
        """
        return tuple(
            Boundary(key.field, key.descending, value)
            for key, value in zip(self.keys, values, strict=True)
        )


NEWEST_FIRST: Final = Order((SortKey("number", descending=True),))


def parse_order(text: str, kind: Kind | None) -> Order:
    """Read an `order_by` such as `state, create_time desc`; empty means newest first.

    Ties go by id, ascending. Raises `InvalidFields` and `LimitExceeded`.
    """
    if len(text.encode(errors="replace")) > ORDER_BYTES:
        raise LimitExceeded("order_by", ORDER_BYTES, len(text.encode(errors="replace")))
    if not text.strip():
        return NEWEST_FIRST
    keys = [_sort_key(part, kind) for part in text.split(",")]
    names = [key.field for key in keys]
    for name in names:
        if names.count(name) > 1:
            raise _refused(f"{name!r} appears twice")
    if "number" in names:
        return Order(tuple(keys[: names.index("number") + 1]))
    return Order((*keys, SortKey("id")))


def _sort_key(part: str, kind: Kind | None) -> SortKey:
    name, *direction = part.split() or [""]
    if direction not in ([], ["desc"]):
        raise _refused(f'{part.strip()!r}: only " desc" may follow a field')
    field = find_field(name, kind)
    if field is None or not field.sortable:
        raise _refused(f"cannot order by {name!r}, only by {', '.join(sortable(kind))}")
    return SortKey(name, descending=bool(direction))


def _refused(description: str) -> InvalidFields:
    return InvalidFields([Violation("order_by", description)])
