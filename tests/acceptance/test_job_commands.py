"""Contracts, jobs and schedules, as people type them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.acceptance.commands import call
from tests.acceptance.processes import ROOT, Server
from tests.acceptance.waiting import eventually_answered

CONTRACTS = """
name: digests
type: check
actor: north
actions:
  - name: all
    variables: {algorithm: md5}
    template:
      name: all
      description: Digest a folder.
      actions:
        - action: digest
          argument_paths: {path: folder, algorithm: algorithm}
        - action: identify
          argument_paths: {path: folder}
---
name: counts
actions:
  - name: all
    trigger: on
    queue: night
    template: {name: all, actions: [{action: scan, argument_paths: {path: folder}}]}
"""

SCHEDULES = f"""
name: nightly
cron: "30 2 * * *"
time_zone: Europe/Berlin
job: {{contract: digests, action: all, variables: {{folder: {ROOT / "protos"}}}}}
---
name: hourly
interval: 3600s
missed: MISSED_POLICY_ONCE
paused: true
task: {{service: archive, actions: [{{action: scan, arguments: {{path: {ROOT / "protos"}}}}}]}}
"""


@pytest.fixture(scope="module")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("contracts") / "contracts.yaml"
    file.write_text(CONTRACTS)
    return file


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(
    tmp_path_factory: pytest.TempPathFactory, contracts: Path
) -> AsyncIterator[Server]:
    store = tmp_path_factory.mktemp("jobs") / "longshore.db"
    async with Server(store, "--worker", "longshore.demo:worker") as server:

        async def offered() -> bool:
            return (await call(server, "services", "archive")).code == 0

        await eventually_answered(offered, "the services of the worker")
        applied = await call(server, "contracts", "apply", contracts)
        assert applied.out == [
            "contract digests holds: all (revision 1)",
            "contract counts holds: all (revision 1)",
        ]
        yield server


async def test_a_contract_is_listed_shown_and_applied_again(
    server: Server, tmp_path: Path
) -> None:
    heads, *rows = [line.split("\t") for line in (await call(server, "contracts")).out]
    assert heads == ["NAME", "TYPE", "ACTOR", "ACTIONS"]
    assert ["digests", "check", "north", "all (revision 1)"] in rows
    shown = await call(server, "contracts", "show", "digests")
    assert re.match(r"# all: template \d+, revision 1", shown.text)
    file = tmp_path / "digests.yaml"
    file.write_text(shown.text)
    again = await call(server, "contracts", "apply", file)
    assert again.text == "contract digests holds: all (revision 1)"
    file.write_text(shown.text.replace("Digest a folder.", "Digest all of a folder."))
    changed = await call(server, "contracts", "apply", file, "--json")
    assert changed.json[0]["actions"][0]["template"]["revision"] == "2"


async def test_a_contract_that_is_wrong_is_told_by_document_and_field(
    server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("name: right\n---\nname: wrong\nactons: []")
    unreadable = await call(server, "contracts", "apply", file)
    assert unreadable.code == 2
    assert f"{file}, document 2: there is no field 'actons'" in unreadable.err
    file.write_text("name: empty\nactions: []")
    refused = await call(server, "contracts", "apply", file)
    assert refused.code == 3
    assert f"{file}: contract.actions: " in refused.err


async def test_a_job_is_followed_to_its_result_and_found_by_its_key(server: Server) -> None:
    words = ("job", "digests", "all", f"folder={ROOT / 'protos'}", "--external-id", "box-7")
    run = await call(server, "run", *words, "--attribute", "owner=ada")
    assert run.code == 0
    assert '"overall"' in run.out[-1] or '"formats"' in run.out[-1]
    found = await call(server, "submit", *words)
    number = re.search(r"job (\d+) was there already, and is SUCCEEDED", found.err)
    assert number
    shown = (await call(server, "get", found.text)).out
    assert f"number       {number[1]}" in shown
    assert "contract     digests" in shown
    assert "actor        north" in shown
    assert "external id  box-7" in shown
    assert "attributes   owner=ada" in shown
    assert any(line.startswith("steps        ") for line in shown)
    listed = await call(server, "list", "jobs", "--filter", "external_id = box-7")
    assert [line.split("\t")[:3] for line in listed.out[1:]] == [
        [number[1], "SUCCEEDED", "digests/all"]
    ]


async def test_a_job_moves_to_another_queue(server: Server) -> None:
    words = ("submit", "job", "counts", "all", "folder=/", "--allow-unregistered", "--json")
    number = (await call(server, *words)).json[0]["metadata"]["number"]
    await call(server, "suspend", number)
    moved = await call(server, "move", number, "default")
    assert moved.text == f"job {number} is SUSPENDED in queue default"
    assert (await call(server, "cancel", number)).text == f"job {number} is CANCELED"


async def test_a_job_that_failed_goes_on_from_there(server: Server, tmp_path: Path) -> None:
    words = ("run", "job", "digests", "all", f"folder={tmp_path / 'none'}")
    failed = await call(server, *words, "--max-attempts", "1")
    assert failed.code == 1
    number = re.search(r"job (\d+) FAILED", failed.err)
    assert number
    again = await call(server, "resubmit", number[1], "--from-failed", "--json")
    assert again.json[0]["dataflow"]["dfiid"] != again.json[0]["metadata"]["id"]


async def test_what_a_contract_lacks_is_told_with_where_to_look(server: Server) -> None:
    contract = await call(server, "submit", "job", "tailor", "all")
    assert contract.code == 3
    assert "`longshore contracts list` shows what there is" in contract.err
    action = await call(server, "submit", "job", "digests", "some")
    assert action.code == 3
    assert "`longshore contracts show digests` shows what there is" in action.err


async def test_schedules_are_applied_listed_shown_and_deleted(
    server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "schedules.yaml"
    file.write_text(SCHEDULES)
    nightly, hourly = (await call(server, "schedules", "apply", file)).out
    assert nightly.startswith("schedule nightly holds: 30 2 * * * Europe/Berlin, next 20")
    assert hourly == "schedule hourly holds: every 3600 s, next paused"
    heads, *rows = [line.split("\t") for line in (await call(server, "schedules")).out]
    assert heads == ["NAME", "WHEN", "WHAT", "NEXT", "LAST"]
    assert [row[0] for row in rows] == ["hourly", "nightly"]
    assert rows[0][2:4] == ["task archive/scan", "paused"]
    shown = await call(server, "schedules", "show", "hourly")
    file.write_text(shown.text)
    assert (await call(server, "schedules", "apply", file)).text == hourly
    assert (await call(server, "schedules", "delete", "hourly", "nightly")).code == 0
    gone = await call(server, "schedules", "show", "hourly")
    assert gone.code == 3
    assert "`longshore schedules list` shows what there is" in gone.err


async def test_a_contract_is_deleted(server: Server, contracts: Path) -> None:
    deleted = await call(server, "contracts", "delete", "counts")
    assert deleted.text == "contract counts is deleted; jobs that it has started go on"
    assert (await call(server, "contracts", "show", "counts")).code == 3
    assert (await call(server, "contracts", "apply", contracts)).code == 0
