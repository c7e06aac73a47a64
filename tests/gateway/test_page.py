"""The page of the documents in a real browser, as somebody uses it who tries an API.

Chromium comes from the system; where there is none, these tests are left out.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import ConsoleMessage, Page, async_playwright, expect

from longshore.gateway.settings import MOUNTS, GatewaySettings
from tests.gateway.canonical import ADA
from tests.gateway.harness import World, gateway

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), "")

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine")

#: It asks nobody but the page's server, and needs no rights of the system.
QUIETLY = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")


PATIENCE_MS = 60_000


def complain(said: ConsoleMessage, complaints: list[str]) -> None:
    if said.type in ("error", "warning"):
        complaints.append(said.text)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def visited(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator[tuple[World, str, Page, list[str]]]:
    folder: Path = tmp_path_factory.mktemp("page")
    async with (
        gateway(folder, GatewaySettings(), *MOUNTS, ada=ADA) as (world, tokens),
        async_playwright() as playwright,
    ):
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=QUIETLY, timeout=PATIENCE_MS
        )
        page = await browser.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complain(said, complaints))
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        await page.goto(f"{world.url}/docs")
        yield world, tokens["ada"], page, complaints
        await browser.close()


async def test_all_that_there_is_is_shown_and_can_be_filtered(
    visited: tuple[World, str, Page, list[str]],
) -> None:
    world, _, page, complaints = visited
    spec = (await world.http.get("/openapi.json")).json()
    verbs = {"get", "put", "post", "delete", "patch", "head", "options"}
    count = sum(len(verbs & set(item)) for item in spec["paths"].values())
    shown = page.locator("details.operation")
    await expect(page.locator("#title")).to_contain_text("Longshore")
    await expect(shown).to_have_count(count)
    await page.fill("#filter", "submittask")
    await expect(shown.filter(visible=True)).not_to_have_count(count)
    await expect(page.locator("details.operation:visible .path").first).to_contain_text("task")
    await page.fill("#filter", "")
    await expect(shown.filter(visible=True)).to_have_count(count)
    assert complaints == []


async def test_a_method_is_tried_with_a_credential(
    visited: tuple[World, str, Page, list[str]],
) -> None:
    _, token, page, complaints = visited
    await page.click("#credentials summary")
    await page.fill("#authorization", f"Bearer {token}")
    status = page.locator("details.operation", has=page.get_by_text("/v1/caller", exact=True))
    await status.locator("summary").first.click()
    await status.get_by_role("button", name="Try it").click()
    answer = status.locator("pre")
    await expect(answer).to_contain_text("200")
    await expect(answer).to_contain_text('"principal": "ada"')
    await page.fill("#authorization", "Bearer nobody")
    await status.get_by_role("button", name="Try it").click()
    await expect(answer).to_contain_text("401")
    # The browser itself notes the refusal, and nothing else.
    assert all("401" in one for one in complaints)
