"""Lists: filters, orders and pages."""

from __future__ import annotations

from typing import Any

from longshore.v1 import operation_pb2 as pb
from longshore.v1.task_service_pb2 import CancelTaskRequest, ListTasksRequest
from tests.service.harness import (
    World,
    call,
    options,
    publish,
    refused,
    stevedore,
    struct,
    submission,
)


async def listed(world: World, **fields: Any) -> Any:
    return await world.tasks.ListTasks(ListTasksRequest(**fields))


async def names(world: World, **fields: Any) -> list[str]:
    return [task.spec.name for task in (await listed(world, **fields)).tasks]


async def pages(world: World, **fields: Any) -> list[Any]:
    found = [await listed(world, **fields)]
    while found[-1].next_page_token:
        token = found[-1].next_page_token
        found.append(await listed(world, page_token=token, **fields))
    return found


async def fill(world: World, *tasks: str, **fields: Any) -> None:
    await publish(world)
    for name in tasks:
        await world.submit(submission(name=name, **fields))


async def test_lists_are_newest_first_and_in_the_basic_view(world: World) -> None:
    async with stevedore(world) as worker:
        for name in ("a", "b"):
            await world.submit(
                submission(call("bag", {"digest": "x"}), name=name, context=struct({"k": 1}))
            )
            await worker.run_next(done=True)
        response = await listed(world)
    assert [task.spec.name for task in response.tasks] == ["b", "a"]
    for task in response.tasks:
        assert task.status.state == pb.STATE_SUCCEEDED
        assert not task.status.HasField("result")
        assert not task.spec.HasField("context")
        assert not task.spec.actions[0].HasField("arguments")
    full = await listed(world, view=pb.VIEW_FULL)
    assert full.tasks[0].status.result == struct({"done": True})


async def test_pages_show_everything_once_under_one_revision(world: World) -> None:
    await fill(world, *"abcdefg")
    first = await listed(world, page_size=3, with_total=True)
    await world.submit(submission(name="later"))
    rest = await pages(world, page_size=3)
    assert first.total_size == 7
    following = await listed(world, page_size=3, page_token=first.next_page_token)
    assert [task.spec.name for task in following.tasks] == ["d", "c", "b"]
    assert following.revision == first.revision
    shown = [task.spec.name for page in rest for task in page.tasks]
    assert shown == ["later", *"gfedcba"]
    assert not following.HasField("total_size")


async def test_every_order_is_paged_without_gap_or_repeat(world: World) -> None:
    await publish(world)
    for index, name in enumerate(["b", "a", "b", "", "é", "a"]):
        held = options(priority=index % 3, suspended=index % 2 == 0)
        await world.submit(submission(name=name, options=held))
    for order in ("name", "name desc, state", "priority desc", "state, create_time desc"):
        shown = [
            task.metadata.id
            for page in await pages(world, order_by=order, page_size=2)
            for task in page.tasks
        ]
        whole = [task.metadata.id for task in (await listed(world, order_by=order)).tasks]
        assert shown == whole
        assert len(set(shown)) == 6
    assert await names(world, order_by="name") == ["", "a", "a", "b", "b", "é"]


async def test_a_text_that_is_not_set_is_the_empty_one(world: World) -> None:
    await fill(world, "", "n", "m")
    assert await names(world, filter='name = ""') == [""]
    assert await names(world, filter='name != ""') == ["m", "n"]
    assert await names(world, filter='labels.team = "" AND account = ""') == ["m", "n", ""]
    assert await names(world, filter='labels.team != ""') == []


async def test_filters_choose(world: World) -> None:
    await fill(world, "ingest-1", "ingest-2", options=options(labels={"team": "a b"}))
    await fill(world, "report", options=options(priority=5))
    assert await names(world, filter="name = ingest*") == ["ingest-2", "ingest-1"]
    assert await names(world, filter='labels.team = "a b" AND NOT number < 2') == ["ingest-2"]
    assert await names(world, filter="priority > 4 OR name = ingest-1") == [
        "report",
        "ingest-1",
    ]
    held = await listed(world, filter="state = QUEUED", with_total=True)
    assert held.total_size == 3


async def test_a_token_belongs_to_its_question(world: World) -> None:
    await fill(world, "a", "b", "c")
    token = (await listed(world, page_size=1)).next_page_token
    for question in ({"filter": "number > 0"}, {"order_by": "name"}):
        other = listed(world, page_size=1, page_token=token, **question)
        assert (await refused(other)).reason == "INVALID_PAGE_TOKEN"
    elsewhere = world.tasks.ListTasks(
        ListTasksRequest(page_token=token), metadata=(("x-tenant-id", "north"),)
    )
    assert (await refused(elsewhere)).reason == "INVALID_PAGE_TOKEN"
    same = await listed(world, page_size=2, page_token=token, view=pb.VIEW_FULL)
    assert [task.spec.name for task in same.tasks] == ["b", "a"]


async def test_a_page_closes_before_it_grows_too_large(world: World) -> None:
    await fill(world, *"abc", context=struct({"a": "b" * 700_000}))
    large = await pages(world, view=pb.VIEW_FULL)
    assert [[task.spec.name for task in page.tasks] for page in large] == [["c"], ["b"], ["a"]]
    ordered = await pages(world, view=pb.VIEW_FULL, order_by="name")
    assert [task.spec.name for page in ordered for task in page.tasks] == ["a", "b", "c"]
    (basic,) = await pages(world)
    assert len(basic.tasks) == 3


async def test_many_rows_make_one_page(world: World) -> None:
    await fill(world, *(str(number) for number in range(230)))
    page = await listed(world, page_size=225)
    assert [task.spec.name for task in page.tasks] == [str(n) for n in range(229, 4, -1)]
    rest = await listed(world, page_size=225, page_token=page.next_page_token)
    assert [task.spec.name for task in rest.tasks] == ["4", "3", "2", "1", "0"]
    assert not rest.next_page_token


async def test_changing_tasks_are_shown_as_they_are_now(world: World) -> None:
    await fill(world, "a")
    number = (await listed(world)).tasks[0].metadata.number
    await world.tasks.CancelTask(CancelTaskRequest(id=str(number)))
    assert await names(world, filter="state = CANCELED") == ["a"]
    assert await names(world, filter="state = QUEUED") == []
