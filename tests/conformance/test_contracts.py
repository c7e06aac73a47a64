"""Contracts: kept as they were sent, with versions of their templates."""

from __future__ import annotations

import json
from typing import Any

from longshore.core.callers import Caller
from longshore.core.catalog_changes import ApplyContract, DeleteContract
from longshore.core.errors import ContractNotFound
from longshore.core.events import EventKind
from longshore.core.installation import Contract, Queue, Template
from tests.conformance.world import World

ME = Caller("default", "ada")


def apply(name: str = "archive", document: bytes = b"v1", **templates: bytes) -> ApplyContract:
    return ApplyContract(ME, name, document, tuple(templates.items()))


async def kept(world: World) -> dict[tuple[str, str], Contract]:
    return dict((await world.store.catalog()).contracts)


async def test_a_contract_is_kept_with_its_templates_and_told(world: World) -> None:
    applied = await world.apply(apply(ingest=b"i", remove=b"r"))
    contract = Contract(b"v1", (Template("ingest", 1, 1, b"i"), Template("remove", 2, 1, b"r")))
    assert applied.outcomes == [contract]
    (event,) = applied.events
    assert (event.kind, event.number, event.tenant) == (EventKind.CATALOG, 0, "default")
    assert json.loads(event.detail or "") == {"contract": "archive"}
    assert await kept(world) == {("default", "archive"): contract}
    await world.reopen()
    assert await kept(world) == {("default", "archive"): contract}


async def test_the_same_document_again_is_no_event(world: World) -> None:
    first = await world.do(apply(ingest=b"i"))
    applied = await world.apply(apply(ingest=b"i"), apply(ingest=b"i"))
    assert (applied.outcomes, applied.events) == ([first, first], [])
    applied = await world.apply(apply(document=b"v2", ingest=b"i"), apply(document=b"v2"))
    assert len(applied.events) == 1


async def test_a_template_keeps_its_id_and_counts_only_what_differs(world: World) -> None:
    await world.do(apply(ingest=b"i", remove=b"r"))
    await world.reopen()
    changed = await world.do(apply(document=b"v2", remove=b"r", ingest=b"j"))
    assert changed.templates == (
        Template("remove", 2, 1, b"r"),
        Template("ingest", 1, 2, b"j"),
    )
    again = await world.do(apply(document=b"v3", ingest=b"i"))
    assert again.templates == (Template("ingest", 1, 3, b"i"),)


async def test_ids_of_templates_are_not_given_twice(world: World) -> None:
    await world.apply(apply(ingest=b"i"), apply("other", ingest=b"i"))
    await world.do(DeleteContract(ME, "archive"))
    await world.reopen()
    anew = await world.do(apply(ingest=b"i"))
    assert [one.id for one in anew.templates] == [3]
    assert [one.id for one in (await kept(world))["default", "other"].templates] == [2]


async def test_a_contract_is_deleted_and_told(world: World) -> None:
    await world.do(apply())
    applied = await world.apply(DeleteContract(ME, "archive"))
    assert applied.outcomes == [None]
    assert [event.kind for event in applied.events] == [EventKind.CATALOG]
    assert await kept(world) == {}
    assert isinstance(await world.refused(DeleteContract(ME, "archive")), ContractNotFound)


async def test_a_contract_can_be_made_deleted_and_made_again_in_one_batch(
    world: World,
) -> None:
    delete = DeleteContract(ME, "archive")
    applied = await world.apply(apply(a=b"1"), delete, delete, apply(document=b"v2", a=b"1"))
    assert isinstance(applied.outcomes[2], ContractNotFound)
    assert await kept(world) == {
        ("default", "archive"): Contract(b"v2", (Template("a", 2, 1, b"1"),))
    }


async def test_a_contract_belongs_to_its_tenant(world: World) -> None:
    theirs: Any = apply()._replace(caller=Caller("acme", "bob"))
    await world.do(theirs)
    assert isinstance(await world.refused(DeleteContract(ME, "archive")), ContractNotFound)
    assert list(await kept(world)) == [("acme", "archive")]


async def test_a_contract_names_queues(world: World) -> None:
    await world.do(apply()._replace(queues=("night", "day")))
    queues = {("default", "night"): Queue(), ("default", "day"): Queue()}
    assert (await world.store.catalog()).queues == queues
    await world.do(DeleteContract(ME, "archive"))
    await world.reopen()
    assert (await world.store.catalog()).queues == queues
