from __future__ import annotations

from pathlib import Path

from tests.gateway.harness import Entry, gateway


async def test_a_gateway_says_that_it_lives_and_is_ready(tmp_path: Path) -> None:
    async with gateway(tmp_path, None, "none", ada=Entry(name="ada", roles=("viewer",))) as (
        world,
        tokens,
    ):
        assert tokens["ada"].startswith("lsk_")
        alive = await world.http.get("/healthz")
        assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
        ready = await world.http.get("/readyz", headers={"x-request-id": "r 1"})
        assert ready.status_code == 200
        assert len(ready.headers["x-request-id"]) == 36
