"""In Chromium: a device does what it is asked, an alert is understood and looked after, nobody is told for a while."""

import re

import pytest
from playwright.async_api import Browser, expect

from tests.ui.support import Console, tab_to
from tests.ui.test_browser_pages import wrong_with

pytestmark = pytest.mark.timeout(600)


async def test_a_device_is_asked_to_do_something_and_says_when_it_is_done(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/devices")
        await page.get_by_role("link", name="Feed pump 1").click()
        card = page.get_by_role("region", name="Ask it to do something")
        await card.get_by_role("button", name="Start the pump").click()
        await card.get_by_label("Speed").fill("40")
        await card.get_by_role("button", name="Ask it").click()
        asked = card.get_by_role("listitem").filter(has_text="Speed: 40 %").first
        await expect(asked).to_contain_text("Done")  # without a reload: its answer came by the subscription
        await expect(asked).to_contain_text("It answered: speed 40.")
        assert await wrong_with(page) == []

        await visitor.open("/devices")
        await page.get_by_role("link", name="Main meter Basel").click()
        await expect(card.get_by_role("link", name="Say in the profile what they understand")).to_be_visible()


async def test_an_offline_device_is_asked_later_and_the_request_can_be_called_off(
    console: Console, chromium: Browser
) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter(f"/devices/{console.device['id']}")
        card = page.get_by_role("region", name="Ask it to do something")
        await card.get_by_role("button", name="Silence the buzzer").click()
        await card.get_by_role("button", name="Ask it").click()
        await expect(card.get_by_text("Waits for the device")).to_be_visible()
        await card.get_by_role("button", name="Call off: Silence the buzzer").click()
        await expect(card.get_by_text("Called off", exact=True)).to_be_visible()


async def test_an_alert_explains_itself_and_is_looked_after(console: Console, chromium: Browser) -> None:
    when = {"all": [{"metric": "humidity", "op": ">", "value": 83, "unit": "%"},
                    {"not": {"metric": "door_open", "op": "==", "value": True}}]}  # fmt: skip
    document = {"v": 1, "name": "Dew", "severity": "minor", "scope": {"profile": "cold-room"}, "when": when}
    await console.ask(
        "mutation($d: JSON!) { ruleCreate(input: {document: $d}) { id } }", d={**document, "then": [{"do": "alert"}]}
    )
    console.publish({"humidity": 80, "door_open": False})
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/alerts")
        console.publish({"humidity": 97, "door_open": False})
        line = page.locator(".alert-line", has_text="Dew").filter(has_text="My first device").first
        await line.get_by_role("link", name=re.compile("humidity was 97", re.IGNORECASE)).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("My first device: Dew")
        why = page.get_by_role("region", name="Why")
        await expect(why.get_by_role("listitem").filter(has_text="Humidity is above 83 %")).to_contain_text("97 %")
        await expect(page.get_by_role("img", name=re.compile("Humidity around the alert"))).to_be_visible()
        assert await wrong_with(page) == []

        await page.get_by_label("Comment").fill("The fan was off.")
        await page.get_by_role("button", name="Comment").click()
        await expect(page.get_by_text("The fan was off.").last).to_be_visible()
        await page.get_by_label("Who looks after it").select_option(label="Demo Owner")
        await expect(page.get_by_text("gave it to Demo Owner")).to_be_visible()
        await page.get_by_role("button", name="Put it off…").click()
        await page.get_by_label("1 hour").check()
        await page.get_by_role("button", name="Put it off", exact=True).click()
        await expect(page.get_by_role("button", name="Tell people again")).to_be_visible()
        await page.get_by_label("Note").fill("Mine")
        await page.get_by_role("button", name="Acknowledge", exact=True).click()
        await expect(page.get_by_text("took note of it").first).to_be_visible()

        await visitor.open("/alerts")
        await page.get_by_label("Whose").select_option(label="Assigned to me")
        await expect(page.locator(".alert-line", has_text="Dew")).to_have_count(1)
        await page.get_by_role("button", name="By rule").click()
        await expect(page.locator(".alert-line", has_text="Dew")).to_contain_text(re.compile(r"\d+ alerts?"))
        assert await wrong_with(page) == []


async def test_several_alerts_are_put_off_and_acknowledged_together_by_keyboard(
    console: Console, chromium: Browser
) -> None:
    document = {"v": 1, "name": "Any air", "severity": "info", "scope": {"profile": "cold-room"}}
    document |= {"when": {"metric": "humidity", "op": ">", "value": 0, "unit": "%"}, "then": [{"do": "alert"}]}
    made = await console.ask("mutation($d: JSON!) { ruleCreate(input: {document: $d}) { id } }", d=document)
    async with console.visitor(chromium, width=390) as visitor:
        page, keys = visitor.page, visitor.page.keyboard
        await visitor.enter(f"/alerts?rule={made['ruleCreate']['id']}")
        await expect(page.locator(".alert-line")).to_have_count(5)
        for done, words in (("Put off together", "put off"), ("Acknowledge together", "acknowledged")):
            await page.get_by_role("checkbox", name="All of them").focus()
            await keys.press("Space")
            await expect(page.get_by_role("status").filter(has_text=re.compile(r"^5 alerts$"))).to_be_visible()
            if words == "put off":
                await tab_to(page, "Put off…")
                await keys.press("Enter")
                await expect(page.get_by_label("1 hour")).to_be_visible()
            assert await wrong_with(page) == []
            assert not await visitor.is_too_wide()
            await tab_to(page, done)
            await keys.press("Enter")
            await expect(page.get_by_text(f"5 alerts are {words}.")).to_be_visible()
            await expect(page.locator(".alert-line", has_text="put off until")).to_have_count(5)
        await expect(page.locator(".alert-line", has_text="acknowledged by")).to_have_count(5)


async def test_for_a_while_nobody_is_told(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter(f"/alerts?silence_device={console.device['id']}")
        await expect(page.get_by_label("Which one")).to_have_value(console.device["id"])
        await page.get_by_label("1 week").check()
        await page.get_by_label("Why").fill("It is being moved")
        assert await wrong_with(page) == []
        await page.get_by_role("button", name="Tell nobody").click()
        await expect(page.get_by_text("Nobody is told of My first device")).to_be_visible()
        assert await wrong_with(page) == []
        await page.get_by_role("button", name="End now: My first device").click()
        await page.get_by_text("Earlier silences").click()
        await expect(page.get_by_text("Nobody was told of My first device")).to_be_visible()
