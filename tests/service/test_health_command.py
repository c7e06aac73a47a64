"""`longshore health`: what probes learn."""

from __future__ import annotations

import asyncio

from click.testing import CliRunner, Result

from longshore.cli.main import main
from longshore.testing import running
from tests.tools.ports import steady_address


async def health(server: str) -> Result:
    return await asyncio.to_thread(
        CliRunner().invoke, main, ["health", "--server", server, "--timeout", "60s"]
    )


async def test_a_server_that_serves_is_healthy() -> None:
    async with running() as longshore:
        result = await health(longshore.address)
        assert (result.exit_code, result.output) == (0, "SERVING\n")


async def test_where_no_server_is_nobody_is_healthy() -> None:
    result = await health(steady_address())
    assert result.exit_code == 3
    assert "no server answers" in result.output
