"""The console in Chromium against the running platform: what a newcomer does, from signing in to their first alert."""

import re
from typing import Literal

import pytest
from playwright.async_api import Browser, Page, expect

from tests.ui.support import Console, paste, told

pytestmark = pytest.mark.timeout(600)
PLACES = [
    "/",
    "/devices",
    "/devices/add",
    "/devices/import",
    "/devices/transfers",
    "/rules",
    "/rules/new",
    "/alerts",
    "/profiles",
    "/profiles/new",
    "/groups",
    "/groups/new",
    "/inbox",
    "/usage",
    "/notifications",
    "/ways-in",
    "/fleet-audit",
    "/help",
    "/access/people",
    "/access/roles",
    "/access/tokens",
    "/access/identity-providers",
    "/access/audit",
    "/account",
]


async def test_a_wrong_password_is_said_in_words_and_the_right_one_opens_the_overview(
    console: Console, chromium: Browser
) -> None:
    async with console.visitor(chromium) as visitor:
        await visitor.open("/sign-in")
        await visitor.sign_in("not the password")
        await expect(visitor.page.get_by_role("alert")).to_contain_text("do not belong together")
        await visitor.sign_in()
        await expect(visitor.page.get_by_role("heading", name="Overview")).to_be_visible()
        await expect(visitor.page.get_by_text("15 of 16")).to_be_visible()


async def test_a_stranger_comes_back_to_the_page_they_wanted(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        await visitor.open("/rules")
        await expect(visitor.page).to_have_url(re.compile(r"/sign-in/?\?next=/rules"))
        await expect(visitor.page.locator("input[name=next]")).to_have_value(re.compile("/rules"))
        await visitor.sign_in()
        await expect(visitor.page.get_by_role("heading", name="Rules")).to_be_visible()


async def test_signing_out_ends_the_session_on_the_server(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        await visitor.enter("/")
        await visitor.page.get_by_role("button", name="Sign out").first.click()
        await expect(visitor.page).to_have_url(re.compile("/sign-in"))
        await visitor.open("/devices")
        await expect(visitor.page).to_have_url(re.compile(r"/sign-in/?\?next=/devices"))


async def test_values_of_simulated_devices_move_without_a_reload(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        await visitor.enter("/")
        value = visitor.page.locator('.live-value[data-metric="power"]').first
        await expect(value).to_contain_text("kW")
        before = await value.inner_text()
        await expect(value).not_to_have_text(before)


async def test_what_a_device_sends_appears_on_its_page_and_in_its_chart(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        await visitor.enter(f"/devices/{console.device['id']}")
        chart = visitor.page.locator(".chart[data-points]")
        await expect(chart).to_be_visible()
        points = int(await chart.get_attribute("data-points") or "0")
        for number in range(3):
            console.publish({"temperature": 3.25 + number, "surprise": 7})
        temperature = visitor.page.locator('.value-card .live-value[data-metric="temperature"]')
        await expect(temperature).to_have_text(re.compile(r"5\.25\s*°C"))
        await expect(visitor.page.locator('.value-card .live-value[data-metric="surprise"]')).to_have_text("7")
        await expect(chart).to_have_attribute("data-points", str(points + 3))
        await expect(chart).to_have_attribute("aria-label", re.compile("newest 5.25 °C"))
        console.publish({"temperature": 6.5}, quality={"temperature": "uncertain"})
        card = visitor.page.locator(".value-card", has=visitor.page.locator('[data-metric="temperature"]'))
        await expect(card).to_contain_text(re.compile("in doubt.*not sure of it"))
        console.publish({"temperature": None}, quality={"temperature": "bad"})
        await expect(card).to_contain_text("no value now")
        await expect(temperature).to_have_text(re.compile(r"6\.5\s*°C"))  # the last there was
        await visitor.page.reload()
        await expect(card).to_contain_text("no value now")
        await expect(visitor.page.locator(".chart-foot .came")).to_have_text(
            re.compile(r"^The newest came by MQTT as JSON, read by decoder \d+\.")
        )
        console.publish({"temperature": 5.25})
        await expect(temperature).to_have_text(re.compile(r"5\.25\s*°C"))
        await expect(card.locator(".doubt")).to_have_count(0)


async def test_each_span_of_the_chart_draws_what_was_sent(console: Console, chromium: Browser) -> None:
    console.publish({"humidity": 41.5})
    async with console.visitor(chromium) as visitor:
        await visitor.enter(f"/devices/{console.device['id']}")
        await visitor.page.get_by_label("Value to draw").select_option("humidity")
        for span in ("1 h", "24 h", "7 d", "15 min"):
            await visitor.page.get_by_role("button", name=span, exact=True).click()
            await expect(visitor.page.locator(".chart[data-points]")).not_to_have_attribute("data-points", "0")


async def test_a_new_device_is_added_and_its_pasted_first_message_arrives(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/devices/add")
        await page.get_by_label("Name").fill("Wine cellar")
        await expect(page.get_by_label("Key")).to_have_value("wine-cellar")
        await page.get_by_label("Profile").select_option(label="Cold room")
        await page.get_by_role("button", name="Add the device").click()
        await expect(page.get_by_text("Waiting for the first message")).to_be_visible()
        command = await told(page.get_by_role("textbox", name="Command to paste"))
        paste(command)
        await expect(page.get_by_text("It arrived.")).to_be_visible()
        await page.get_by_text("Over HTTP or CoAP instead").click()
        paste(await told(page.get_by_role("textbox", name="Command that sends over HTTP")))
        over_coap = await told(page.get_by_role("textbox", name="Command that sends over CoAP"))
        paste(over_coap.replace('"temperature":10', '"temperature":11'))  # the client itself never says that it failed
        await page.get_by_role("link", name="Go to the device").click()
        await expect(page.get_by_role("heading", name="Wine cellar")).to_be_visible()
        await expect(page.locator('.value-card .live-value[data-metric="temperature"]')).to_contain_text("11")


async def test_a_device_is_found_by_its_name_and_its_life_ended_only_after_asking(
    console: Console, chromium: Browser
) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/devices")
        await page.get_by_label("Search devices by name or key").fill("fire")
        await expect(page.locator(".device-table tbody tr")).to_have_count(1)
        await page.get_by_role("link", name="Fire pump").click()
        await page.get_by_role("button", name="Decommission this device…").click()
        await page.get_by_role("button", name="Keep it").click()
        await page.get_by_role("button", name="Decommission this device…").click()
        await page.get_by_role("button", name="Decommission Fire pump").click()
        await expect(page.get_by_text("The device is decommissioned. Its history stays.")).to_be_visible()
        await expect(page.get_by_role("button", name="Issue a token")).to_have_count(0)
        await visitor.open("/devices")
        await page.get_by_label("Show devices that are").select_option(label="Decommissioned")
        await expect(page.locator(".device-table tbody tr")).to_have_count(1)


async def test_a_search_without_a_hit_says_what_to_do(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        await visitor.enter("/devices")
        await visitor.page.get_by_label("Search devices by name or key").fill("no such thing")
        await expect(visitor.page.get_by_text("No device fits")).to_be_visible()


async def test_a_token_is_shown_once_and_revoked(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter(f"/devices/{console.device['id']}")
        await page.get_by_role("button", name="Issue a token").click()
        await expect(page.get_by_text("This token is shown once.")).to_be_visible()
        paste(await told(page.get_by_role("textbox", name="Command to paste")))
        await expect(page.get_by_role("button", name="Revoke")).to_have_count(2)
        await page.get_by_role("button", name="Revoke").first.click()
        await expect(page.get_by_text("The token no longer works.")).to_be_visible()
        await page.reload()
        await expect(page.get_by_text("This token is shown once.")).to_have_count(0)


async def _write_rule(page: Page, metric: str, op: str, value: str) -> None:
    """Fill in the sentence: raise at once when the metric compares so."""
    if not await page.locator(".sentence").count():
        await page.get_by_label("Rules for devices of").select_option("cold-room")
        await page.get_by_role("button", name="Start from nothing").click()
    await page.get_by_label("What is looked at").first.select_option(label=metric)
    await page.get_by_label("How it is compared").first.select_option(label=op)
    await page.get_by_label("Value", exact=True).first.fill(value)


async def test_changing_a_rule_raises_its_alert_which_somebody_acknowledges(
    console: Console, chromium: Browser
) -> None:
    async with console.visitor(chromium) as visitor, console.visitor(chromium) as watcher:
        page = visitor.page
        await visitor.enter("/rules/new")
        await _write_rule(page, "Humidity", "is above", "90")
        await page.get_by_label("Name", exact=True).fill("Damp")
        await expect(page.locator("[data-rule=sentence]")).to_contain_text("humidity is above 90 %")
        await page.get_by_role("button", name="Publish").click()
        await expect(page.get_by_text("“Damp” is published")).to_be_visible()

        await watcher.enter("/alerts")
        console.publish({"humidity": 71})
        await page.get_by_role("link", name="Damp").click()
        await expect(page.get_by_label("Value", exact=True).first).to_have_value("90")
        await page.get_by_label("Value", exact=True).first.fill("70")
        await expect(page.locator("[data-rule=sentence]")).to_contain_text("above 70 %")
        await page.get_by_role("button", name="Publish").click()
        await expect(page.get_by_text("“Damp” is published")).to_be_visible()
        console.publish({"humidity": 72})

        # the simulated cold rooms are damp too, now and then
        alert = watcher.page.locator(".alert-line", has_text="Damp").filter(has_text="My first device").first
        await expect(alert).to_contain_text(re.compile("humidity was 72", re.IGNORECASE))
        await alert.get_by_role("button", name="Acknowledge…").click()
        await watcher.page.get_by_label("Note").fill("Drying it")
        await watcher.page.get_by_role("button", name="Acknowledge", exact=True).click()
        await expect(watcher.page.locator(".alert-line", has_text="“Drying it”")).to_be_visible()

        console.publish({"humidity": 50})
        await watcher.page.get_by_role("button", name="Over", exact=True).click()
        cleared = watcher.page.get_by_role("region", name="Over")
        await expect(cleared.get_by_text("Damp").first).to_be_visible()


async def test_a_rule_with_groups_survives_opening_and_saving(console: Console, chromium: Browser) -> None:
    document = {
        "v": 1,
        "name": "Nested",
        "description": "Kept as it is.",
        "severity": "minor",
        "scope": {"profile": "cold-room"},
        "when": {
            "any": [
                {"metric": "temperature", "op": "between", "value": [30, 31.5], "unit": "°C"},
                {
                    "all": [
                        {"metric": "door_open", "op": "==", "value": True},
                        {"not": {"any": [{"metric": "humidity", "op": "<", "value": 20, "unit": "%"}]}},
                    ]
                },
            ]
        },
        "for": "90s",
        "clear": {"when": {"metric": "temperature", "op": "<", "value": 5, "unit": "°C"}, "for": "2m"},
        "limits": {"cooldown": "15m", "max_lateness": "2h"},
        "then": [{"do": "alert"}],
    }
    made = await console.ask("mutation ($d: JSON!) { ruleCreate(input: {document: $d}) { id } }", d=document)
    rule_id = made["ruleCreate"]["id"]
    async with console.visitor(chromium) as visitor:
        await visitor.enter(f"/rules/{rule_id}")
        await visitor.page.get_by_label("How bad it is").select_option("major")
        await visitor.page.get_by_role("button", name="Publish").click()
        await expect(visitor.page.get_by_text("“Nested” is published")).to_be_visible()
    saved = await console.ask("query ($id: ID!) { rule(id: $id) { document } }", id=rule_id)
    assert saved["rule"]["document"] == {**document, "severity": "major"}


async def test_a_rule_is_laid_to_rest_and_deleted_after_asking(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/rules/new")
        await _write_rule(page, "Temperature", "is below", "-35")
        await page.get_by_role("button", name="Publish").click()
        name = "Temperature is below -35 °C"
        mode = page.get_by_label(f"What “{name}” does")
        await expect(mode).to_have_value("ON")
        await mode.select_option(label="Rests")
        await page.reload()
        await expect(mode).to_have_value("OFF")
        await page.get_by_role("link", name=name).click()
        await page.get_by_role("button", name="Delete…").click()
        await page.get_by_role("button", name="Delete the rule").click()
        await expect(page.get_by_text(f"“{name}” is deleted.")).to_be_visible()
        await expect(mode).to_have_count(0)


async def test_a_rule_that_makes_no_sense_is_explained_beside_the_field(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/rules/new")
        save = page.get_by_role("button", name="Publish")
        await _write_rule(page, "Temperature", "is above", "warm")
        await expect(page.locator(".clause-problem")).to_contain_text("number")
        await expect(save).to_be_disabled()
        await page.get_by_label("Value", exact=True).fill("8")
        await expect(page.locator(".clause-problem")).to_have_count(0)
        await expect(save).to_be_enabled()


SCREENS: tuple[tuple[int, Literal["light", "dark"]], ...] = (
    (390, "dark"),
    (1440, "light"),
    (1440, "dark"),
    (390, "light"),
)
UNNAMED = """[...document.querySelectorAll('button, a[href], input:not([type=hidden]), select, textarea')]
  .filter((each) => !(each.getAttribute('aria-label') || each.textContent.trim() || each.labels?.length))
  .map((each) => each.outerHTML)"""


async def test_every_page_fits_the_screen_follows_the_systems_theme_and_names_its_controls(
    console: Console, chromium: Browser
) -> None:
    """Each page is opened on a small dark screen, which becomes a wide light one, and then a small one again."""
    async with console.visitor(chromium, 390, "dark") as visitor:
        page = visitor.page
        await visitor.enter("/")
        for place in [*PLACES, f"/devices/{console.device['id']}"]:
            await visitor.open(place)
            await expect(page.locator("h1")).to_be_visible()
            await expect(page.locator(".skeleton")).to_have_count(0)
            for width, theme in SCREENS:
                await page.set_viewport_size({"width": width, "height": 900})
                await page.emulate_media(color_scheme=theme)
                await expect(page.locator("html")).to_have_class(re.compile(theme))
                assert not await visitor.is_too_wide(), (place, width, theme)
                assert await page.evaluate(UNNAMED) == [], (place, width)


async def test_the_theme_can_be_changed_and_is_remembered(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        await visitor.enter("/")
        await visitor.page.get_by_role("button", name="Switch between light and dark").first.click()
        await expect(visitor.page.locator("html")).to_have_class(re.compile("dark"))
        await visitor.page.reload()
        await expect(visitor.page.locator("html")).to_have_class(re.compile("dark"))


async def test_the_console_is_used_by_keyboard_alone(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        keyboard = visitor.page.keyboard
        await visitor.open("/sign-in")
        await visitor.page.get_by_label("E-mail").focus()
        await keyboard.type(console.email)
        await keyboard.press("Tab")
        await keyboard.type(console.password)
        await keyboard.press("Enter")
        await expect(visitor.page.get_by_role("heading", name="Overview")).to_be_visible()
        await keyboard.press("Tab")
        await expect(visitor.page.get_by_role("link", name="Skip to content")).to_be_focused()
        for _ in range(3):
            await keyboard.press("Tab")
        await expect(visitor.page.get_by_role("link", name="Devices", exact=True).first).to_be_focused()
        await keyboard.press("Enter")
        await expect(visitor.page.get_by_role("heading", name="Devices")).to_be_visible()
