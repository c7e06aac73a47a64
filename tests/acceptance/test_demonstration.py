"""The demonstration, on real folders: `longshore serve --demo`, and the commands that use it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import bagit  # type: ignore[import-untyped]
import pytest
import pytest_asyncio

from longshore.client import Client
from longshore.v1.operation_pb2 import ServiceKind
from tests.acceptance.commands import call
from tests.acceptance.processes import Server
from tests.acceptance.waiting import eventually_answered


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    store = tmp_path_factory.mktemp("demonstration") / "longshore.db"
    async with Server(store, "--demo") as server:
        await is_ready(server)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with names that not every system would keep."""
    root = tmp_path / "input"
    (root / "texts").mkdir(parents=True)
    (root / "texts" / "a.txt").write_text("Ahoy\n")
    (root / "texts" / "A.TXT").write_text("AHOY\n")
    (root / "aux.png").write_bytes(bytes(100))
    return root


async def is_ready(server: Server) -> None:
    async with Client(server.address) as client:

        async def offered() -> bool:
            return "naming-rules" in [one.slug for one in await client.catalog.services()]

        await eventually_answered(offered, "the demonstration's services")


async def test_an_ingest_is_a_job_that_makes_a_bag(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "bag"
    ingest = ("job", "archive", "ingest", f"folder={folder}", f"target={target}")
    answer = await call(server, "run", *ingest, "--json")
    assert answer.code == 0, answer.err
    job = answer.json[-1]["job"]
    actions = [(one["action"], one["state"]) for one in job["status"]["actions"]]
    assert actions == [
        (action, "STATE_SUCCEEDED") for action in ("scan", "digest", "identify", "bag")
    ]
    bagit.Bag(str(target)).validate()
    assert (target / "data" / "texts" / "a.txt").read_text() == "Ahoy\n"


async def test_the_variables_of_a_submit_win_over_those_of_the_contract(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    ingest = ("job", "archive", "ingest", f"folder={folder}", f"target={tmp_path / 'bag'}")
    answer = await call(server, "run", *ingest, "algorithm=md5", "--json")
    assert answer.code == 0, answer.err
    digested = answer.json[-1]["job"]["status"]["actions"][1]["results"]
    assert (digested["algorithm"], len(digested["overall"])) == ("md5", 32)


async def test_a_bag_is_verified_by_a_launch_which_fails_once_it_is_spoiled(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "bag"
    await call(server, "run", "task", "bag", f"path={folder}", f"target={target}")
    verify = ("run", "launch", "verify-bag", f"folder={target}")
    whole = await call(server, *verify)
    assert whole.code == 0, whole.err
    (target / "data" / "aux.png").write_bytes(bytes(99))
    spoiled = await call(server, *verify)
    assert spoiled.code == 1
    assert "error: changed: data/aux.png" in spoiled.text
    assert "is not what was packed: 1 changed" in spoiled.err


async def test_names_are_checked_by_a_launch_that_tells_every_finding(
    server: Server, folder: Path
) -> None:
    answer = await call(server, "run", "launch", "naming-rules", f"folder={folder}", "--json")
    assert answer.code == 0, answer.err
    said = [one["event"]["log"] for one in answer.json if "log" in one.get("event", {})]
    assert [one["message"] for one in said if one["kind"] == "LOG_KIND_WARNING"] == [
        "reserved: 'aux.png' is a reserved name on some systems",
        "twins: 'texts/a.txt' is the same as 'A.TXT' where case does not count",
    ]
    launch = answer.json[-1]["launch"]
    assert launch["options"]["queue"] == "rulesets"
    assert launch["status"]["result"]["findings"] == 2
    properties = launch["status"]["properties"]
    assert (properties["twins"], properties["reserved"], properties["path"]) == ("1", "1", "0")


async def test_what_can_be_launched_is_told_with_its_parameters(server: Server) -> None:
    async with Client(server.address) as client:
        rulesets = await client.catalog.services(ServiceKind.SERVICE_KIND_RULESET)
    (service,) = rulesets
    rules = next(one for one in service.actions[0].parameters if one.slug == "rules")
    assert (service.name, rules.name) == ("Naming rules", "Rules")
    assert "twins" in rules.values


async def test_a_server_that_is_started_again_keeps_the_contract_as_it_was(
    store: Path,
) -> None:
    for _ in range(2):
        async with Server(store, "--demo") as server:
            await is_ready(server)
            async with Client(server.address) as client:
                contract = await client.catalog.contract("archive")
            (ingest,) = contract.actions
            assert ingest.template.revision == 1
            assert await server.terminate() == 0


async def test_an_inventory_is_a_file_which_is_digested_in_its_turn(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    listed = await call(server, "run", "task", "inventory", f"path={folder}", "--json")
    (file,) = listed.json[-1]["task"]["status"]["files"]
    place = tmp_path / "inventory.csv"
    await call(server, "download", file["file_id"], "-o", place)
    assert place.read_bytes() == (
        b"path,bytes\r\naux.png,100\r\ntexts/A.TXT,5\r\ntexts/a.txt,5\r\n"
    )
    for source in (f"file={file['file_id']}", f"file@={place}"):
        digested = await call(server, "run", "task", "digest-file", source)
        assert json.loads(digested.out[-1])["digest"] == file["sha256"]
