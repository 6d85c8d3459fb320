"""The rule as a picture in Chromium: changed by hand and by keys, taken back, published; on a phone looked at."""

from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.ui.support import Console
from tests.ui.test_browser_pages import wrong_with

pytestmark = pytest.mark.timeout(600)
WARM = {"metric": "temperature", "op": ">", "value": 8, "unit": "°C"}
NIGHT = {"not": {"time": {"from": "06:00", "to": "22:00", "tz": "site"}}}
DOCUMENT = {
    "v": 1,
    "name": "Drawn",
    "severity": "minor",
    "scope": {"profile": "cold-room"},
    "when": {"all": [WARM, NIGHT]},
    "for": "10m",
    "clear": {"when": {"metric": "temperature", "op": "<", "value": 6, "unit": "°C"}, "for": "5m"},
    "missing": {"after": "30m", "do": "hold"},
    "limits": {"cooldown": "15m", "max_per_hour": 4},
    "then": [{"do": "alert"}, {"do": "tag", "add": "warm"}],
    "on_clear": [{"do": "tag", "remove": "warm"}],
}
BARE = {key: DOCUMENT[key] for key in ("v", "name", "severity", "scope")} | {"when": WARM, "then": [{"do": "alert"}]}


async def _made(console: Console, name: str, document: dict[str, Any] = DOCUMENT) -> str:
    query = "mutation ($d: JSON!) { ruleCreate(input: {document: $d, isEnabled: false}) { id } }"
    made = await console.ask(query, d={**document, "name": name})
    rule_id: str = made["ruleCreate"]["id"]
    return rule_id


async def _picture(page: Page) -> None:
    await page.get_by_role("button", name="Picture").click()
    await expect(page.get_by_role("group", name="The rule as a picture")).to_be_visible()


async def test_a_rule_is_changed_in_its_picture_taken_back_and_published(console: Console, chromium: Browser) -> None:
    rule_id = await _made(console, "Drawn")
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter(f"/rules/{rule_id}")
        await _picture(page)
        card = page.get_by_role("button", name="Condition: Temperature is above 8 °C, 1 of 2 in all of these")
        await card.click()
        panel = page.get_by_role("region", name="Edit: Temperature")
        await panel.get_by_label("Value", exact=True).fill("9.5")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="Condition: Temperature is above 9.5 °C")).to_be_focused()

        await page.keyboard.press("o")
        await expect(page.get_by_role("button", name="Group: any of these, 1 condition")).to_be_focused()
        await page.keyboard.press("+")
        await panel.get_by_label("Value", exact=True).fill("12")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="Group: any of these, 2 conditions")).to_be_visible()
        await expect(page.locator("[data-canvas=said]")).to_have_text("A condition is added to any of these.")

        await page.keyboard.press("Delete")
        await expect(page.get_by_role("button", name="Condition: Temperature is above 12 °C")).to_have_count(0)
        await page.keyboard.press("Control+z")
        await expect(page.get_by_role("button", name="Condition: Temperature is above 12 °C")).to_be_visible()
        await page.get_by_role("button", name="Wait: stays so for 10 min").click()
        await page.get_by_role("region", name="Edit: stays so for").get_by_label("For at least, number").fill("20")
        await page.get_by_role("button", name="Action: Tag put on “warm”").click()
        await expect(page.get_by_role("region", name="Edit: Tag")).to_be_visible()
        await page.get_by_role("button", name="Publish", exact=True).click()
        await expect(page.get_by_text("“Drawn” is published")).to_be_visible()
    saved: dict[str, Any] = await console.ask("query ($id: ID!) { rule(id: $id) { document } }", id=rule_id)
    either = {"any": [{**WARM, "value": 9.5}, {**WARM, "value": 12}]}
    assert saved["rule"]["document"] == {**DOCUMENT, "when": {"all": [either, NIGHT]}, "for": "20m"}


async def test_an_end_its_action_limits_and_times_are_made_in_the_picture(console: Console, chromium: Browser) -> None:
    rule_id = await _made(console, "Ended", BARE)
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter(f"/rules/{rule_id}")
        await _picture(page)
        await page.get_by_role("button", name="when it is over", exact=True).click()
        panel = page.get_by_role("region", name="Edit: Temperature")
        await panel.get_by_label("Value", exact=True).fill("6")
        await page.get_by_role("button", name="action", exact=True).last.click()
        panel = page.get_by_role("region", name="Edit: Attribute")
        await panel.get_by_label("What is done").select_option(label="put on or take off a tag")
        panel = page.get_by_role("region", name="Edit: Tag")
        await panel.get_by_label("Tag", exact=True).fill("cooled")
        await page.get_by_role("button", name="Show the whole rule").click()
        await page.get_by_role("button", name="limits", exact=True).click()
        panel = page.get_by_role("region", name="Edit: Limits")
        await panel.get_by_label("Stay quiet for, number").fill("20")
        await page.get_by_role("button", name="Watched: ").click()
        panel = page.get_by_role("region", name="Edit: Watch")
        await panel.get_by_role("button", name="only at set times").click()
        await expect(panel.get_by_label("How often to look")).to_be_visible()
        await page.get_by_role("button", name="Publish", exact=True).click()
        await expect(page.get_by_text("“Ended” is published")).to_be_visible()
    saved: dict[str, Any] = await console.ask("query ($id: ID!) { rule(id: $id) { document } }", id=rule_id)
    assert saved["rule"]["document"] == {
        **BARE,
        "name": "Ended",
        "clear": {"when": {**WARM, "op": "<", "value": 6}},
        "on_clear": [{"do": "tag", "add": "cooled"}],
        "limits": {"cooldown": "20m"},
        "trigger": {"schedule": {"cron": "0 6 * * *", "tz": "site"}},
    }


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_picture_keeps_nobody_out(console: Console, chromium: Browser, theme: str) -> None:
    rule_id = await _made(console, f"Seen {theme}")
    async with console.visitor(chromium, theme=theme) as visitor:
        await visitor.enter(f"/rules/{rule_id}")
        await _picture(visitor.page)
        assert await wrong_with(visitor.page) == []
        await visitor.page.get_by_role("button", name="Condition: Temperature is above 8 °C").click()
        await expect(visitor.page.get_by_role("region", name="Edit: Temperature")).to_be_visible()
        assert await wrong_with(visitor.page) == []


async def test_a_card_is_drawn_into_another_group_by_hand(console: Console, chromium: Browser) -> None:
    rule_id = await _made(console, "Moved")
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter(f"/rules/{rule_id}")
        await _picture(page)
        hours = page.get_by_role("button", name="Group: not so")
        await hours.focus()
        await page.keyboard.press("a")
        group = await page.get_by_role("button", name="Group: all of these, 1 condition").bounding_box()
        card = await page.get_by_role("button", name="Condition: Temperature is above 8 °C").bounding_box()
        assert group
        assert card
        await page.mouse.move(card["x"] + 30, card["y"] + 12)
        await page.mouse.down()
        await page.mouse.move(card["x"] + 40, card["y"] + 40, steps=4)
        await page.mouse.move(group["x"] + 30, group["y"] + 30, steps=8)
        await page.mouse.up()
        await expect(page.locator("[data-canvas=said]")).to_have_text("The condition is moved.")
        await expect(page.get_by_role("button", name="Group: all of these, 2 conditions")).to_be_visible()


async def test_on_a_phone_the_picture_is_looked_at(console: Console, chromium: Browser) -> None:
    rule_id = await _made(console, "On a phone")
    async with console.visitor(chromium, width=390, theme="dark") as visitor:
        page = visitor.page
        await visitor.enter(f"/rules/{rule_id}")
        await _picture(page)
        await expect(page.get_by_text("On a small screen the sentence is edited.")).to_be_visible()
        await expect(page.get_by_role("button", name="condition", exact=True)).to_have_count(0)
        assert not await visitor.is_too_wide()
        await page.get_by_role("button", name="Condition: Temperature is above").first.click()
        await expect(page.locator(".leaf:focus-within")).to_contain_text("is above")
        await expect(page.locator(".leaf:focus-within")).to_be_in_viewport()
        await expect(page.get_by_role("button", name="Publish", exact=True)).to_be_in_viewport()
        await expect(page.get_by_role("button", name="Undo")).to_be_in_viewport()
