"""Contracts: applied, changed, shown, listed and deleted, and every way to write a wrong one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from longshore.v1 import catalog_service_pb2 as pb
from longshore.v1.operation_pb2 import ActionCall, Assignment
from longshore.v1.queue_service_pb2 import ListQueuesRequest
from tests.service.harness import World, call, publish, refused, serving, struct


def action(name: str = "ingest", *calls: ActionCall, **fields: Any) -> pb.ContractAction:
    template = pb.WorkflowTemplate(name="steps", actions=calls or [call("noop")])
    return pb.ContractAction(name=name, template=fields.pop("template", template), **fields)


def contract(*actions: pb.ContractAction, **fields: Any) -> pb.Contract:
    return pb.Contract(name=fields.pop("name", "archive"), actions=actions, **fields)


async def apply(world: World, wanted: pb.Contract, **metadata: str) -> pb.Contract:
    response = await world.catalog.ApplyContract(
        pb.ApplyContractRequest(contract=wanted), metadata=tuple(metadata.items())
    )
    kept: pb.Contract = response.contract
    return kept


async def get(world: World, name: str = "archive") -> pb.Contract:
    response = await world.catalog.GetContract(pb.GetContractRequest(name=name))
    kept: pb.Contract = response.contract
    return kept


async def names(world: World, **fields: Any) -> tuple[list[str], str]:
    response = await world.catalog.ListContracts(pb.ListContractsRequest(**fields))
    return [one.name for one in response.contracts], response.next_page_token


async def test_a_contract_is_shown_as_it_was_applied(world: World) -> None:
    wanted = contract(
        action(
            "ingest",
            call("scan", {"depth": 2}, argument_paths={"path": "folder"}),
            ActionCall(action="bag", assign=[Assignment(target="bag", value="path")]),
            trigger="deposit",
            queue="night",
            variables=struct({"algorithm": "sha256"}),
        ),
        type="deposit",
        actor="library",
    )
    kept = await apply(world, wanted)
    assert await get(world) == kept
    template = kept.actions[0].template
    assert (template.id, template.revision) == (1, 1)
    template.ClearField("id")
    template.ClearField("revision")
    assert kept == wanted


async def test_a_template_that_changes_gets_the_next_revision_and_keeps_its_id(
    world: World,
) -> None:
    kept = await apply(world, contract(action("ingest"), action("check")))
    assert [(one.template.id, one.template.revision) for one in kept.actions] == [
        (1, 1),
        (2, 1),
    ]
    changed = contract(action("check"), action("ingest", call("noop"), call("carry")))
    kept = await apply(world, changed)
    assert [(one.template.id, one.template.revision) for one in kept.actions] == [
        (2, 1),
        (1, 2),
    ]
    # Variables, queue and trigger are the contract's, not the template's.
    kept = await apply(
        world, contract(action("ingest", call("noop"), call("carry"), trigger="manual"))
    )
    assert [(one.template.id, one.template.revision) for one in kept.actions] == [(1, 2)]


async def test_the_same_contract_again_changes_nothing(world: World) -> None:
    kept = await apply(world, contract(action(variables=struct({"a": 1, "b": 2}))))
    before = await world.revision()
    assert await apply(world, contract(action(variables=struct({"b": 2, "a": 1})))) == kept
    assert await world.revision() == before


async def test_what_only_the_server_says_is_left_out_of_what_is_applied(world: World) -> None:
    kept = await apply(world, contract(action()))
    shown = await get(world)
    assert await apply(world, shown) == kept
    shown.actions[0].template.id = 700
    shown.actions[0].template.revision = 70
    assert await apply(world, shown) == kept


async def test_a_contract_makes_the_queues_that_it_names(world: World) -> None:
    await apply(world, contract(action("a", queue="night"), action("b")))
    response = await world.queues.ListQueues(ListQueuesRequest())
    found = [one.name for one in response.queues]
    assert found == ["default", "night", "operations", "rulesets"]


async def test_actions_that_nobody_offers_yet_are_fine(world: World) -> None:
    assert await apply(world, contract(action("ingest", call("to-come", {"a": 1}))))


async def test_arguments_are_checked_against_what_workers_offer(world: World) -> None:
    await publish(world)
    wrong = contract(action("ingest", call("noop"), call("digest", {"size": "large"})))
    refusal = await refused(apply(world, wrong))
    assert refusal.fields == {
        "contract.actions[0].template.actions[1].arguments.size": "INVALID",
        "contract.actions[0].template.actions[1].arguments.path": "MISSING",
    }


async def test_a_contract_that_is_not_there_is_not_found(world: World) -> None:
    for asked in (
        world.catalog.GetContract(pb.GetContractRequest(name="archive")),
        world.catalog.DeleteContract(pb.DeleteContractRequest(name="archive")),
    ):
        refusal = await refused(asked)
        assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "CONTRACT_NOT_FOUND")
        assert refusal.fields == {"name": "UNKNOWN"}
        assert refusal.metadata["contract"] == "archive"


async def test_a_deleted_contract_begins_anew(world: World) -> None:
    await apply(world, contract(action()))
    await world.catalog.DeleteContract(pb.DeleteContractRequest(name="archive"))
    await refused(get(world))
    assert (await names(world))[0] == []
    kept = await apply(world, contract(action()))
    assert (kept.actions[0].template.id, kept.actions[0].template.revision) == (2, 1)


async def test_contracts_are_listed_by_name_page_by_page(world: World) -> None:
    for name in ("b", "a", "d", "C"):
        await apply(world, contract(action(), name=name))
    page, token = await names(world, page_size=3)
    assert page == ["C", "a", "b"]
    assert await names(world, page_size=3, page_token=token) == (["d"], "")
    assert await names(world) == (["C", "a", "b", "d"], "")


async def test_a_page_of_large_contracts_holds_fewer(world: World) -> None:
    large = struct({"text": "x" * 600_000})
    for name in ("a", "b"):
        await apply(world, contract(action(variables=large), name=name))
    page, token = await names(world)
    assert page == ["a"]
    assert await names(world, page_token=token) == (["b"], "")


async def test_wrong_pages_are_refused(world: World) -> None:
    refusal = await refused(names(world, page_size=1_001))
    assert (refusal.reason, refusal.fields) == ("LIMIT_EXCEEDED", {"page_size": "INVALID"})
    refusal = await refused(names(world, page_size=-1))
    assert (refusal.reason, refusal.fields) == ("INVALID_FIELD", {"page_size": "INVALID"})
    await apply(world, contract(action(), name="a"))
    await apply(world, contract(action(), name="b"))
    _, token = await names(world, page_size=1)
    for wrong in (token[:-2], "x", token + "x"):
        refusal = await refused(names(world, page_token=wrong))
        assert (refusal.code, refusal.reason) == (
            StatusCode.INVALID_ARGUMENT,
            "INVALID_PAGE_TOKEN",
        )
    of_queues = world.queues.ListQueues(ListQueuesRequest(page_token=token))
    assert (await refused(of_queues)).reason == "INVALID_PAGE_TOKEN"


async def test_tenants_have_contracts_of_their_own(world: World) -> None:
    await apply(world, contract(action()), **{"x-tenant-id": "acme"})
    refusal = await refused(get(world))
    assert refusal.reason == "CONTRACT_NOT_FOUND"
    assert (await names(world))[0] == []


async def test_contracts_survive_a_restart(tmp_path: Path) -> None:
    store = tmp_path / "longshore.db"
    async with serving(store) as world:
        await apply(world, contract(action(), name="b"))
        kept = await apply(world, contract(action("check", queue="night")))
    async with serving(store) as world:
        assert await get(world) == kept
        assert (await names(world))[0] == ["archive", "b"]
        changed = await apply(world, contract(action("check", call("carry"))))
        assert (changed.actions[0].template.id, changed.actions[0].template.revision) == (2, 2)


TEMPLATE = "contract.actions[0].template"

WRONG: dict[str, tuple[pb.Contract, dict[str, str]]] = {
    "nothing": (
        pb.Contract(),
        {"contract.name": "MISSING", "contract.actions": "MISSING"},
    ),
    "a name with a slash": (contract(action(), name="a/b"), {"contract.name": "INVALID"}),
    "control characters": (
        contract(action(trigger="\x1b"), type="\x00", actor="\n"),
        {
            "contract.type": "INVALID",
            "contract.actor": "INVALID",
            "contract.actions[0].trigger": "INVALID",
        },
    ),
    "an action without anything": (
        contract(pb.ContractAction()),
        {
            "contract.actions[0].name": "MISSING",
            f"{TEMPLATE}.name": "MISSING",
            f"{TEMPLATE}.actions": "MISSING",
        },
    ),
    "two actions of one name": (
        contract(action("a"), action("b"), action("a")),
        {"contract.actions[2].name": "INVALID"},
    ),
    "a reserved queue": (
        contract(action(queue="longshore.callbacks")),
        {"contract.actions[0].queue": "NOT_PERMITTED"},
    ),
    "the queue of rule sets": (
        contract(action(queue="rulesets")),
        {"contract.actions[0].queue": "NOT_PERMITTED"},
    ),
    "a queue with a slash": (
        contract(action(queue="a/b")),
        {"contract.actions[0].queue": "INVALID"},
    ),
    "variables that are no JSON": (
        contract(action(variables=struct({"a": {"b": float("nan")}}))),
        {"contract.actions[0].variables.a.b": "INVALID"},
    ),
    "a description that rings": (
        contract(
            action(
                template=pb.WorkflowTemplate(
                    name="\x07", description="\x07", actions=[call("noop")]
                )
            )
        ),
        {f"{TEMPLATE}.name": "INVALID", f"{TEMPLATE}.description": "INVALID"},
    ),
    "steps that cannot be read": (
        contract(
            action(
                "a",
                call("noop"),
                call(
                    "a/b",
                    {"both": 1},
                    argument_paths={"both": "x", "x": "a["},
                    assign=[Assignment(target="..", value="'")],
                ),
            )
        ),
        {
            f"{TEMPLATE}.actions[1].action": "INVALID",
            f"{TEMPLATE}.actions[1].argument_paths[both]": "INVALID",
            f"{TEMPLATE}.actions[1].argument_paths[x]": "INVALID",
            f"{TEMPLATE}.actions[1].assign[0].target": "INVALID",
            f"{TEMPLATE}.actions[1].assign[0].value": "INVALID",
        },
    ),
}


@pytest.mark.parametrize("case", WRONG)
async def test_everything_wrong_with_a_contract_is_named(world: World, case: str) -> None:
    wrong, fields = WRONG[case]
    refusal = await refused(apply(world, wrong))
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert refusal.fields == fields
    assert await world.revision() == 0


LARGE: dict[str, tuple[pb.Contract, str, str]] = {
    "contract.name": (contract(action(), name="x" * 64), "LIMIT_EXCEEDED", "63"),
    "contract.type": (contract(action(), type="x" * 257), "LIMIT_EXCEEDED", "256"),
    "contract.actor": (contract(action(), actor="x" * 257), "LIMIT_EXCEEDED", "256"),
    "contract.actions[0].name": (contract(action("x" * 64)), "LIMIT_EXCEEDED", "63"),
    "contract.actions[0].queue": (contract(action(queue="x" * 64)), "LIMIT_EXCEEDED", "63"),
    f"{TEMPLATE}.name": (
        contract(action(template=pb.WorkflowTemplate(name="x" * 64, actions=[call("noop")]))),
        "LIMIT_EXCEEDED",
        "63",
    ),
    f"{TEMPLATE}.actions": (
        contract(action("a", *[call("noop")] * 101)),
        "LIMIT_EXCEEDED",
        "100",
    ),
    "contract": (
        contract(action(variables=struct({"text": "x" * 1_048_576}))),
        "PAYLOAD_TOO_LARGE",
        "1048576",
    ),
}


@pytest.mark.parametrize("field", LARGE)
async def test_what_is_too_much_is_refused(world: World, field: str) -> None:
    wrong, reason, limit = LARGE[field]
    refusal = await refused(apply(world, wrong))
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, reason)
    assert refusal.fields == {field: "INVALID"}
    assert refusal.metadata["limit"] == limit
    assert await world.revision() == 0


# Passwords.


def secret_contract(**fields: Any) -> pb.Contract:
    """Return a contract that gives a password to `digest` by a variable, and one as it is."""
    return contract(
        action(
            "ingest",
            call("digest", {"path": "a", "token": fields.pop("literal", "open sesame")}),
            call("digest", {"path": "b"}, argument_paths={"token": "access/token"}),
            call("digest", {"path": "c"}, argument_paths={"token": "'swordfish'"}),
            variables=struct(
                fields.pop("variables", {"access": {"user": "ada", "token": "hush"}})
            ),
        ),
        **fields,
    )


async def test_passwords_are_shown_to_nobody(world: World) -> None:
    await publish(world)
    shown = [await apply(world, secret_contract()), await get(world)]
    listed = await world.catalog.ListContracts(pb.ListContractsRequest())
    for one in [*shown, *listed.contracts]:
        assert one == shown[0]
        assert one.actions[0].variables == struct({"access": {"user": "ada", "token": None}})
        calls = one.actions[0].template.actions
        assert calls[0].arguments == struct({"path": "a", "token": None})
        assert dict(calls[1].argument_paths) == {"token": "access/token"}
        assert dict(calls[2].argument_paths) == {"token": "''"}
        for secret in (b"hush", b"sesame", b"swordfish"):
            assert secret not in one.SerializeToString()


async def kept_document(world: World) -> bytes:
    return world.engine.catalog.current.contracts["default", "archive"].document


async def test_who_shows_edits_and_applies_loses_no_password(world: World) -> None:
    await publish(world)
    shown = await apply(world, secret_contract())
    before = await world.revision()
    assert await apply(world, shown) == shown
    assert await world.revision() == before
    shown.actions[0].trigger = "manual"
    shown.actions[0].template.actions.append(call("noop"))
    shown.actions.insert(0, action("check"))
    kept = await apply(world, shown)
    assert kept.actions[1].template.revision == 2
    document = await kept_document(world)
    for secret in (b"hush", b"sesame", b"swordfish"):
        assert secret in document


async def test_a_password_can_be_changed(world: World) -> None:
    await publish(world)
    await apply(world, secret_contract())
    other = {"access": {"user": "ada", "token": "psst"}}
    await apply(world, secret_contract(literal="abracadabra", variables=other))
    document = await kept_document(world)
    assert b"psst" in document
    assert b"abracadabra" in document
    assert b"hush" not in document
    assert b"sesame" not in document


async def test_a_password_does_not_come_to_light_by_sending_it_elsewhere(world: World) -> None:
    await publish(world)
    shown = await apply(world, secret_contract())
    calls = shown.actions[0].template.actions
    calls[1].argument_paths["path"] = "access/token"
    del calls[1].argument_paths["token"]
    del calls[1].arguments.fields["path"]
    kept = await apply(world, shown)
    assert kept.actions[0].variables == struct({"access": {"user": "ada", "token": None}})
    document = await kept_document(world)
    assert b"hush" not in document
    assert b"sesame" in document
