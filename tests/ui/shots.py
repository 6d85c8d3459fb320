"""Takes the pictures in ui/screenshots of a running demo: `python -m tests.ui.shots DATA_FOLDER [name …]`."""

import asyncio
import json
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Browser, Page, async_playwright

import ui

FOLDER = Path(ui.__file__).parent / "screenshots"
SIZES = ((1440, 900), (390, 844))
WARM = {"metric": "temperature", "op": ">", "value": 8, "unit": "°C"}
RULE = {
    "v": 1,
    "name": "Cold room too warm at night",
    "severity": "major",
    "scope": {"profile": "cold-room"},
    "when": {"all": [WARM, {"not": {"time": {"from": "06:00", "to": "22:00", "tz": "site"}}}]},
    "for": "10m",
    "clear": {"when": {**WARM, "op": "<", "value": 6}, "for": "5m"},
    "limits": {"cooldown": "15m"},
    "then": [{"do": "alert"}, {"do": "tag", "add": "warm"}],
}
Step = Callable[[Page], Awaitable[object]]


def _click(name: str) -> Step:
    return lambda page: page.get_by_role("button", name=name).first.click()


async def _template(page: Page) -> None:
    await page.get_by_role("button", name="Freezer too warm").click()
    await page.get_by_label("Too warm above").fill("-3")


async def _alert(page: Page) -> None:
    await page.locator(".alert-line a").first.click()
    await page.get_by_role("region", name="Why").wait_for()


VIEWS: dict[str, tuple[str, Step | None]] = {
    "rules-list": ("/rules", None),
    "rules-gallery": ("/rules/new", None),
    "rules-template": ("/rules/new", _template),
    "rules-designer": ("/rules/{rule}", None),
    "rules-picture": ("/rules/{rule}", _click("Picture")),
    "rules-bench": ("/rules/{rule}", _click("Try it")),
    "rules-versions": ("/rules/{rule}", _click("Versions")),
    "alerts-list": ("/alerts", None),
    "alerts-alert": ("/alerts", _alert),
    "notifications": ("/notifications", None),
    "help": ("/help", None),
}


def _rule(demo: dict[str, Any]) -> str:
    """A rule of two versions, once made and found again afterwards."""

    def ask(query: str, **variables: Any) -> Any:
        headers = {"Authorization": f"Bearer {demo['api_token']}"}
        with httpx.Client(base_url=demo["url"], headers=headers, trust_env=False) as http:
            answer = http.post("/graphql", json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer
        return answer["data"]

    listed = ask("query ($s: String) { rules(search: $s) { items { id } } }", s=RULE["name"])["rules"]["items"]
    if not listed:
        make = "mutation ($d: JSON!) { ruleCreate(input: {document: $d}) { id } }"
        made = ask(make, d={**RULE, "for": "5m"})["ruleCreate"]
        change = "mutation ($id: ID!, $i: RuleUpdate!) { ruleUpdate(id: $id, input: $i) { id } }"
        ask(change, id=made["id"], i={"document": RULE})
        listed = [made]
    return str(listed[0]["id"])


async def _take(browser: Browser, demo: dict[str, Any], rule: str, names: list[str]) -> None:
    for (width, height), theme in ((size, theme) for size in SIZES for theme in ("light", "dark")):
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,  # type: ignore[arg-type]
        )
        page = await context.new_page()
        await page.goto(demo["url"] + "/sign-in")
        await page.get_by_label("E-mail").fill(demo["email"])
        await page.get_by_label("Password").fill(demo["password"])
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("button", name="Sign out").first.wait_for(state="attached")
        for name in names:
            path, step = VIEWS[name]
            await page.goto(demo["url"] + path.format(rule=rule))
            await page.wait_for_load_state("networkidle")
            await page.wait_for_timeout(800)
            if step:
                await step(page)
                await page.wait_for_timeout(1500)
            await page.screenshot(path=FOLDER / f"{name}-{width}-{theme}.png")
        await context.close()


async def main(data: Path, names: list[str]) -> None:
    """All of them, or those named."""
    demo = json.loads((data / "demo.json").read_text())
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        await _take(browser, demo, _rule(demo), names or list(VIEWS))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
