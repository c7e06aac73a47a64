"""Lists: every order, page after page, each operation exactly once."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.core.callers import Caller
from longshore.core.changes import Cancel
from longshore.core.filters import Compare
from longshore.core.operations import Kind, Part, State
from longshore.core.orders import NEWEST_FIRST, Order, SortKey, parse_order
from longshore.core.store import Counts, Page
from tests.conformance.world import (
    MINUTE,
    NOON,
    SECOND,
    World,
    done,
    numbers,
    submit_change,
)

ME = Caller("default", "ada")


async def all_pages(world: World, order: Order, limit: int, **more: Any) -> list[Page]:
    pages = [await world.find(order=order, limit=limit, **more)]
    while pages[-1].after is not None:
        assert len(pages) < 100
        pages.append(await world.find(order=order, limit=limit, after=pages[-1].after, **more))
    return pages


async def mixed(world: World, count: int = 30) -> None:
    """Submit operations that differ in all that lists can be ordered by."""
    for one in range(count):
        await world.submit(
            principal=f"user{one % 3}",
            queue=("default", "night", "Night")[one % 3],
            priority=one % 4,
            kind=Kind.JOB,
            attributes={
                "name": ("b", "a", "ä", "B", "")[one % 5] or None,
                "contract": f"c{one % 2}",
                **({"template_id": one % 7} if one % 2 else {}),
            },
        )
        world.pass_time(SECOND * (one % 3))
    for number in range(1, count, 4):
        await world.do(Cancel(ME, number))


def value(page_record: Any, field: str) -> Any:
    """Return what a record is sorted by, as the contract says."""
    import json

    operation, facts, queue, _ = page_record
    attributes = json.loads(facts.attributes)
    match field:
        case "submitter" | "create_time":
            return getattr(facts, field)
        case "queue":
            return queue
        case "id":
            return operation.id
        case "number" | "state" | "priority" | "update_time":
            return getattr(operation, field)
        case "template_id":
            return attributes.get(field) or 0
        case _:
            return attributes.get(field) or ""


async def test_lists_are_newest_first(world: World) -> None:
    await world.apply(*(submit_change() for _ in range(5)))
    page = await world.find()
    assert numbers(page) == [5, 4, 3, 2, 1]
    assert page.after is None
    assert page.revision == world.revision


async def test_an_empty_list_has_one_empty_page(world: World) -> None:
    page = await world.find(with_total=True)
    assert (page.records, page.after, page.total, page.revision) == ([], None, 0, 0)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
async def test_pages_join_without_gap_or_repeat(world: World, limit: int) -> None:
    await world.apply(*(submit_change() for _ in range(6)))
    for order in (NEWEST_FIRST, Order((SortKey("number"),))):
        pages = await all_pages(world, order, limit)
        assert [len(page.records) for page in pages[:-1]] == [limit] * (len(pages) - 1)
        found = [number for page in pages for number in numbers(page)]
        assert found == sorted(found, reverse=order == NEWEST_FIRST)
        assert len(found) == 6


@pytest.mark.parametrize(
    "order_by",
    [
        "state",
        "state desc, priority",
        "priority desc",
        "create_time, submitter desc",
        "queue, priority desc, update_time",
        "submitter",
        "contract, template_id desc",
        "template_id",
        "update_time desc",
        "priority, number desc",
    ],
)
async def test_every_order_is_kept_over_all_pages(world: World, order_by: str) -> None:
    await mixed(world)
    order = parse_order(order_by, Kind.JOB)
    for limit in (4, 30):
        pages = await all_pages(world, order, limit)
        records = [record for page in pages for record in page.records]
        assert len({record.operation.number for record in records}) == 30
        expected = records
        for key in reversed(order.keys):
            expected = sorted(
                expected, key=lambda one: value(one, key.field), reverse=key.descending
            )
        assert records == expected


async def test_texts_are_ordered_by_code_point_and_unset_ones_come_first(world: World) -> None:
    for name in ("b", "ä", "B", None, "a", "\U0001f600", "\uffee"):
        await world.submit(attributes={"name": name} if name else None)
    page = await world.find(order=parse_order("name", Kind.TASK))
    assert numbers(page) == [4, 3, 5, 1, 2, 7, 6]


async def test_what_does_not_change_while_paging_appears_once(world: World) -> None:
    await world.apply(*(submit_change() for _ in range(20)))
    order = parse_order("state", Kind.TASK)
    seen: list[int] = []
    page = await world.find(order=order, limit=4)
    while True:
        seen += numbers(page)
        if page.after is None:
            break
        await world.do(Cancel(ME, 20 - len(seen) // 4))
        await world.submit()
        page = await world.find(order=order, limit=4, after=page.after)
    canceled = {20 - one for one in range(1, 6)}
    assert all(seen.count(number) == 1 for number in set(range(1, 21)) - canceled)


async def test_a_page_carries_the_revision_of_its_snapshot(world: World) -> None:
    await world.submit()
    assert (await world.find()).revision == 1
    await world.do(Cancel(ME, 1))
    assert (await world.find()).revision == 2


async def test_lists_are_of_one_tenant_and_kind(world: World) -> None:
    await world.apply(
        submit_change(), submit_change(tenant="acme"), submit_change(kind=Kind.JOB)
    )
    assert numbers(await world.find()) == [3, 1]
    assert numbers(await world.find(kind=Kind.JOB)) == [3]
    assert numbers(await world.find(tenant="acme")) == [2]


async def test_reserved_queues_are_listed_only_when_asked_for(world: World) -> None:
    await world.apply(
        submit_change(),
        submit_change(queue="longshore.callbacks"),
        submit_change(queue="longshore"),
    )
    page = await world.find(with_total=True)
    assert (numbers(page), page.total) == ([3, 1], 2)
    page = await world.find(reserved=True, with_total=True)
    assert (numbers(page), page.total) == ([3, 2, 1], 3)
    counts = await world.store.counts("default")
    assert counts.operations == {
        ("default", Kind.TASK, State.QUEUED): 1,
        ("longshore", Kind.TASK, State.QUEUED): 1,
    }
    assert set(counts.oldest) == {"default", "longshore"}


async def test_totals_are_exact(world: World) -> None:
    await world.apply(*(submit_change(priority=one % 2) for one in range(10)))
    await world.do(Cancel(ME, 1))
    assert (await world.find(limit=3, with_total=True)).total == 10
    assert (await world.find(limit=3)).total is None
    high = Compare("priority", "=", 1)
    assert (await world.find(high, limit=3, with_total=True)).total == 5
    assert (await world.find(kind=Kind.JOB, with_total=True)).total == 0


async def test_counts_follow_every_change(world: World) -> None:
    await world.apply(
        submit_change(),
        submit_change(),
        submit_change(kind=Kind.JOB),
        submit_change(tenant="x"),
    )
    session = await world.open_session()
    assignment = await world.lease_one(session)
    assert (await world.store.counts("default")).operations == {
        ("default", Kind.TASK, State.QUEUED): 1,
        ("default", Kind.TASK, State.RUNNING): 1,
        ("default", Kind.JOB, State.QUEUED): 1,
    }
    await world.report(session, assignment, done())
    await world.do(Cancel(ME, 3))
    assert (await world.store.counts("default")).operations == {
        ("default", Kind.TASK, State.QUEUED): 1,
        ("default", Kind.TASK, State.SUCCEEDED): 1,
        ("default", Kind.JOB, State.CANCELED): 1,
    }
    assert await world.store.counts("nobody") == Counts({}, {})


async def test_the_oldest_that_waits_is_told_by_queue(world: World) -> None:
    await world.submit(queue="night", not_before=NOON + MINUTE)
    world.pass_time(SECOND)
    await world.submit(queue="night")
    world.pass_time(SECOND)
    await world.submit("bag", queue="night", priority=9)
    await world.submit(suspended=True)
    assert (await world.store.counts("default")).oldest == {"night": NOON + SECOND}


async def test_only_the_documents_asked_for_are_read(world: World) -> None:
    await world.submit()
    session = await world.open_session()
    await world.report(session, await world.lease_one(session), done(x=1))
    (record,) = (await world.find()).records
    assert record.documents == {}
    (record,) = (await world.find(parts=[Part.RESULT])).records
    assert list(record.documents) == [Part.RESULT]
    (record,) = (await world.find(parts=tuple(Part))).records
    assert sorted(record.documents) == [Part.REQUEST, Part.RESULT]


async def test_a_list_and_a_point_read_show_the_same(world: World) -> None:
    await mixed(world, 5)
    page = await world.find(parts=tuple(Part))
    found = await world.store.get("default", numbers(page), tuple(Part))
    assert found == page.records


async def test_a_glance_tells_in_short_what_a_record_tells(world: World) -> None:
    await world.apply(*(submit_change() for _ in range(3)))
    records = await world.store.get("default", [1, 2, 3])
    ids = [record.operation.id for record in records if record is not None]
    await world.do(Cancel(Caller(), ids[1]))
    asked: list[bytes | int] = [ids[2], bytes(16), 2, ids[0], 99]
    glances = await world.store.glance("default", asked)
    assert [one and one.number for one in glances] == [3, None, 2, 1, None]
    for glance, record in zip(glances, await world.store.get("default", asked), strict=True):
        assert (glance is None) == (record is None)
        if glance is not None and record is not None:
            told = {**record.operation._asdict(), **record.facts._asdict()}
            assert glance._asdict() == {name: told[name] for name in glance._fields}
    assert await world.store.glance("another", asked) == [None] * 5
