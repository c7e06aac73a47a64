"""Whatever the OpenAPI document allows, and what it does not, is answered without a fault of ours."""

from __future__ import annotations

import asyncio
import importlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

from longshore.gateway.settings import MOUNTS, GatewaySettings
from tests.gateway.harness import Entry, gateway

#: What schemathesis sends requests with; it has no types.
REQUESTS: Any = importlib.import_module("requests")

#: How many requests of each operation: such as the document allows, and such as it does not.
EXAMPLES = {GenerationMode.POSITIVE: 6, GenerationMode.NEGATIVE: 4}


@pytest.mark.timeout(600)
async def test_no_request_that_can_be_made_of_the_document_is_a_fault_of_the_server(
    tmp_path: Path,
) -> None:
    chosen = GatewaySettings(dataone_login_key="")
    ada = Entry(name="ada", roles=("submitter",))
    async with gateway(tmp_path, chosen, *MOUNTS, ada=ada) as (world, tokens):
        spec = (await world.http.get("/openapi.json")).json()
        played, faults = await asyncio.to_thread(_play, spec, world.url, tokens["ada"])
    assert faults == []
    assert played > 500


def _play(spec: dict[str, Any], url: str, token: str) -> tuple[int, list[str]]:
    """Play requests for all operations, in turn; return how many, and what failed of it.

    Only the heads of answers are read: some streams have no end.
    """
    session = REQUESTS.Session()
    faults: list[str] = []
    played = 0
    schema: Any = schemathesis.openapi.from_dict(spec)

    def ask(case: Any) -> None:
        nonlocal played
        asked = case.as_transport_kwargs(base_url=url, headers=_shown(case.path, token))
        with session.request(**asked, stream=True, timeout=60, allow_redirects=False) as answer:
            played += 1
            if answer.status_code >= 500:
                faults.append(f"{case.as_curl_command()}\n{answer.status_code} {answer.text}")

    for found in schema.get_all_operations():
        operation = found.ok()
        for mode, examples in EXAMPLES.items():
            strategy = operation.as_strategy(generation_mode=mode)
            bounded = settings(
                max_examples=examples,
                database=None,
                deadline=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
            )
            # Where everything is allowed nothing else can be made.
            with suppress(Unsatisfiable):
                bounded(given(case=strategy)(ask))()
    return played, faults


def _shown(path: str, token: str) -> dict[str, str]:
    """Return what shows who asks: who is guessed wrong is kept waiting."""
    if path.startswith(MOUNTS["vitam"]):
        return {"x-vitam-key": token}
    scheme = "Token" if path.startswith(MOUNTS["asapi"]) else "Bearer"
    return {"authorization": f"{scheme} {token}"}
