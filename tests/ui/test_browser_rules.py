"""The rule designer in Chromium: a rule from a template by mouse, one by keyboard alone, both tried and published."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.ui.support import Console, send, tab_to
from tests.ui.test_browser_between import organisation
from tests.ui.test_browser_pages import wrong_with

pytestmark = pytest.mark.timeout(600)
SENTENCE = "[data-rule=sentence]"
WARMTH = {"key": "warmth", "label": "Warmth", "type": "NUMBER", "unit": "degC"}
WARM = {"metric": "warmth", "op": ">", "value": 8, "unit": "degC"}


async def test_a_rule_is_made_from_a_template_by_mouse_looked_back_on_tried_and_published(
    console: Console, chromium: Browser
) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/rules/new")
        await expect(page.get_by_role("button", name="Freezer too warm")).to_be_visible()
        assert await wrong_with(page) == []
        await page.get_by_label("Search the templates").fill("frost gold")
        await expect(page.get_by_text("No template is about that")).to_be_visible()
        assert await wrong_with(page) == []
        await page.get_by_label("Search the templates").fill("too warm")
        await expect(page.locator("[data-template=freezer-too-warm]")).to_be_visible()
        await expect(page.get_by_role("button", name="Door left open")).to_have_count(0)
        await page.get_by_role("button", name="Freezer too warm").click()
        await page.get_by_label("For devices of").select_option("cold-room")
        await page.get_by_label("Too warm above").fill("-3")
        await expect(page.locator(SENTENCE)).to_contain_text("above -3 °C")
        await expect(page.locator("[data-rule=foretold]")).to_contain_text("in the last 7 days")
        assert await wrong_with(page) == []
        await expect(page.get_by_text(re.compile(r"applies to \d+ devices"))).to_be_visible()
        await page.get_by_role("button", name="Use it").click()

        await page.get_by_role("button", name="Add a condition").first.click()
        await page.get_by_role("menuitem", name="The time of day").click()
        await expect(page.locator(SENTENCE)).to_contain_text("22:00")
        await page.get_by_role("button", name="Undo").click()
        await expect(page.locator(SENTENCE)).not_to_contain_text("22:00")

        await expect(page.locator("[data-rule=backtest]")).to_contain_text("in the last 7 days")
        await page.get_by_role("button", name="Try it").click()
        await expect(page.locator("[data-rule=explained]")).to_contain_text("Temperature is above -3 °C")
        await expect(page.locator(".sentence .leaf-verdict")).to_have_count(1)
        assert await wrong_with(page) == []
        await page.get_by_role("button", name="make up a message").click()
        await page.get_by_label("Step 1, Temperature").fill("-20")
        await page.get_by_role("button", name="Keep as a test").click()
        await page.get_by_role("button", name="Tests (1)").click()
        await expect(page.get_by_text("Holds")).to_be_visible()

        await page.get_by_role("button", name="Only watch").click()
        await page.get_by_role("button", name="Publish").click()
        await expect(page.get_by_text("“Freezer too warm” is published and only watches")).to_be_visible()
        await expect(page.get_by_label("What “Freezer too warm” does")).to_have_value("SHADOW")
        first = page.locator(".rule-line").first
        await expect(first).to_contain_text(re.compile("Freezer too warm.*just published.*Never fired yet", re.DOTALL))
        await page.get_by_label("Order").select_option(label="By name")
        await expect(first).not_to_contain_text("Freezer too warm")


async def test_a_rule_is_written_and_published_by_keyboard_alone(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        page, keys = visitor.page, visitor.page.keyboard
        await visitor.enter("/rules/new")
        await expect(page.get_by_role("button", name="Start from nothing")).to_be_visible()
        await tab_to(page, "Rules for devices of")
        await keys.type("Cold")
        await expect(page.get_by_label("Rules for devices of")).to_have_value("cold-room")
        await tab_to(page, "Start from nothing")
        await keys.press("Enter")
        await expect(page.locator(".sentence")).to_be_visible()
        await tab_to(page, "Name")
        await keys.type("Door and frost")
        await tab_to(page, "Value")
        await keys.type("-38")
        await tab_to(page, "Add a condition")
        await keys.press("Enter")
        await keys.type("Doo")
        await keys.press("Enter")
        await expect(page.locator(SENTENCE)).to_contain_text("door is open")
        await keys.press("Control+z")
        await expect(page.locator(SENTENCE)).not_to_contain_text("door is open")
        await keys.press("Control+Shift+z")
        await expect(page.locator(SENTENCE)).to_contain_text("door is open")
        await expect(page.get_by_text("Draft saved")).to_be_visible()
        await expect(page.get_by_role("button", name="Publish")).to_be_enabled()
        await tab_to(page, "Publish")
        await keys.press("Enter")
        await expect(page.get_by_text("“Door and frost” is published")).to_be_visible()


async def test_what_was_begun_and_left_is_offered_again(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/rules/new")
        await page.get_by_role("button", name="Start from nothing").click()
        await page.get_by_label("Value", exact=True).fill("8")
        await page.get_by_role("button", name="Do that: clear only below 7.6").click()  # what the linter advises
        await expect(page.locator(SENTENCE)).to_contain_text("is below 7.6")
        await page.get_by_role("button", name="Undo").click()
        await expect(page.locator(SENTENCE)).not_to_contain_text("is below 7.6")
        await page.get_by_label("Name", exact=True).fill("Half written")
        await expect(page.get_by_text("Draft saved")).to_be_visible()
        await visitor.open("/rules/new")
        await page.get_by_role("button", name="Half written").click()
        await expect(page.get_by_label("Name", exact=True)).to_have_value("Half written")
        await page.get_by_role("button", name="Throw the draft away").click()
        await expect(page.get_by_text("The draft is thrown away.")).to_be_visible()


async def test_an_area_is_changed_corner_by_corner_and_drawn(console: Console, chromium: Browser) -> None:
    position = {"key": "position", "type": "OBJECT"}
    made = "mutation ($i: ProfileCreate!) { profileCreate(input: $i) { id } }"
    await console.ask(made, i={"key": "yard-truck", "name": "Yard truck", "metrics": [position]})
    corners = [[52.5, 13.3], [52.6, 13.3], [52.6, 13.5]]
    place = {"metric": "position", "is": "left", "of": {"polygon": corners}}
    document = {"v": 1, "name": "Out of the yard", "severity": "minor", "scope": {"profile": "yard-truck"}}
    document |= {"when": {"place": place}, "then": [{"do": "alert"}]}
    query = "mutation ($d: JSON!) { ruleCreate(input: {document: $d, isEnabled: false}) { id } }"
    rule_id = (await console.ask(query, d=document))["ruleCreate"]["id"]
    async with console.visitor(chromium, width=390) as visitor:
        page = visitor.page
        await visitor.enter(f"/rules/{rule_id}")
        area = page.get_by_label("Its corners")
        await expect(area).to_have_value("52.5, 13.3\n52.6, 13.3\n52.6, 13.5")
        await expect(page.get_by_role("img", name="The area, about 14 km across")).to_be_visible()
        assert await wrong_with(page) == []
        await expect(page.locator(".area-bar")).to_have_text("5 km")
        await page.locator(".area-handle").first.hover()
        await expect(page.locator(".area-over")).to_have_text(re.compile(r"^52\.5\d+, 13\.\d+$"))
        await page.mouse.down()
        await page.mouse.move(180, 400, steps=4)
        await page.mouse.up()
        await expect(area).to_have_value(re.compile(r"^(?!52.5, 13.3\n)\S+, \S+\n52.6, 13.3\n52.6, 13.5$"))
        await area.fill("52.5, 13.3\n52.6, 13.3\n52.6, the gate\n52.5, 13.5")
        await expect(page.get_by_text("Line 3: “52.6, the gate” is not a latitude and a longitude")).to_be_visible()
        await expect(page.get_by_role("button", name="Publish", exact=True)).to_be_disabled()
        for name in ("Publish", "Undo", "Act", "Rest"):  # a bar at the bottom, whole
            await expect(page.get_by_role("button", name=name, exact=True)).to_be_in_viewport(ratio=1)
        await expect(page.locator(".publish [role=status]")).to_have_text(re.compile("Fill in what is still open"))
        await area.fill("52.5, 13.3\n52.6, 13.3\n52.6, 13.5\n52.5, 13.5")
        await page.get_by_role("button", name="Publish", exact=True).click()
        await expect(page.get_by_text("“Out of the yard” is published")).to_be_visible()
    saved = await console.ask("query ($id: ID!) { rule(id: $id) { document } }", id=rule_id)
    assert saved["rule"]["document"]["when"]["place"]["of"] == {"polygon": [*corners, [52.5, 13.5]]}


async def test_a_question_mark_leads_to_what_the_word_means_beside_what_is_written(
    console: Console, chromium: Browser
) -> None:
    async with console.visitor(chromium, theme="dark") as visitor:
        page = visitor.page
        await visitor.enter("/rules/new")
        assert await wrong_with(page) == []
        await page.get_by_role("button", name="Start from nothing").click()
        await expect(page.locator(".sentence")).to_be_visible()
        assert await wrong_with(page) == []
        async with page.expect_popup() as opened:
            await page.get_by_role("link", name="Help: condition").click()
        told = await opened.value
        await expect(told.get_by_role("heading", name="When: a condition")).to_be_in_viewport()
        assert await wrong_with(told) == []
        assert not await told.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        inner = "[...document.links].filter(each => each.hash && /^.help.?$/.test(each.pathname))"
        anchors = await told.evaluate(inner + ".map(each => each.hash.slice(1))")
        missing = "all => all.filter(each => !document.getElementById(each))"
        assert len(anchors) > 60
        assert await told.evaluate(missing, anchors) == []
        await expect(page.locator(".sentence")).to_be_visible()


async def _device(console: Console, key: str, metric: dict[str, Any]) -> Callable[[float, Any], None]:
    """A device of a kind of its own with one metric; answers the way to let it send, as of so many minutes ago."""
    make = "mutation ($i: ProfileCreate!) { profileCreate(input: $i) { id } }"
    kind = (await console.ask(make, i={"key": key, "name": key, "metrics": [metric]}))["profileCreate"]["id"]
    provision = "mutation ($i: DeviceProvision!) { deviceProvision(input: $i) { token device { key } } }"
    token = (await console.ask(provision, i={"key": key, "profileId": kind}))["deviceProvision"]["token"]
    tenant = console.device["username"].split("/")[0]

    def says(minutes: float, value: Any) -> None:
        at = int((time.time() - minutes * 60) * 1000)
        body = json.dumps({"time": at, "values": {metric["key"]: value}}).encode()
        where = "127.0.0.1", console.mqtt_port
        send(where, (f"{tenant}/d/{key}", token), f"t/{tenant}/d/{key}/up/telemetry", body)

    return says


async def _rule(console: Console, key: str, when: dict[str, Any], **more: Any) -> str:
    """A rule for the devices of one kind, which rests."""
    document = {"v": 1, "name": f"Rule of {key}", "severity": "minor", "scope": {"profile": key}, "when": when, **more}
    query = "mutation ($d: JSON!) { ruleCreate(input: {document: $d, isEnabled: false}) { id } }"
    return str((await console.ask(query, d=document | {"then": [{"do": "alert"}]}))["ruleCreate"]["id"])


async def _room(console: Console, key: str) -> str:
    """A device of its own kind that has been at 5, 9 and 5 degrees for some minutes each; a new rule for its kind."""
    says = await _device(console, key, WARMTH)
    for minutes, value in ((50, 5), (45, 9), (40, 9), (35, 5), (20, 7), (15, 5)):
        says(minutes, value)
    return await _rule(console, key, WARM)


async def test_the_limit_is_dragged_past_the_last_firing_and_back(console: Console, chromium: Browser) -> None:
    rule_id = await _room(console, "drag-room")
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter(f"/rules/{rule_id}")
        verdict, slider = page.locator("[data-rule=backtest]"), page.get_by_role("slider")
        await expect(verdict).to_contain_text("fired once")
        await expect(slider).to_be_enabled()
        await slider.focus()
        await page.keyboard.press("End")
        await expect(verdict).to_contain_text("not have fired")
        await expect(page.get_by_role("img", name="Warmth of drag-room, between 5 and")).to_be_visible()
        await expect(slider).to_be_focused()
        await page.keyboard.press("Home")
        for _ in range(20):
            await page.keyboard.press("ArrowRight")
        await expect(verdict).to_contain_text("fired twice")
        assert await wrong_with(page) == []


async def test_a_spike_that_did_not_alert_is_pointed_at_and_must(console: Console, chromium: Browser) -> None:
    rule_id = await _room(console, "spike-room")
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter(f"/rules/{rule_id}")
        await page.get_by_label("How far to look back").select_option("1")
        local = "at => new Date(Date.now() - at * 6e4 - new Date().getTimezoneOffset() * 6e4).toISOString()"
        for end, minutes in (("From", 22), ("To", 18)):
            day, _, at = (await page.evaluate(local, minutes)).partition("T")
            await page.get_by_label(f"{end}, day").fill(day)
            await page.get_by_label(f"{end}, time").fill(at[:8])
        await page.get_by_role("button", name="This must alert").click()
        await expect(page.get_by_text("Kept among the tests. It holds each of the")).to_be_visible()
        plot = page.locator(".marked-plot svg")
        box = await plot.bounding_box()
        assert box is not None
        await plot.click(position={"x": box["width"] * 0.5, "y": 40})
        await expect(page.get_by_text("Now click where it ends.")).to_be_visible()
        await plot.click(position={"x": box["width"] * 0.6, "y": 40})
        await expect(page.get_by_text("Now click where it ends.")).to_have_count(0)
        await expect(page.locator(".marked-span")).to_have_count(1)
        await page.mouse.move(box["x"] + box["width"] * 0.77, box["y"] + 40)
        await page.mouse.down()
        await page.mouse.move(box["x"] + box["width"] * 0.83, box["y"] + 40, steps=3)
        await page.mouse.up()
        await page.get_by_role("button", name="This must stay quiet").click()
        await page.get_by_role("button", name="Tests (2)").click()
        await expect(page.get_by_text("it must alert in that time")).to_be_visible()
        await expect(page.locator(".tests").get_by_text("Fails")).to_have_count(1)
        await page.get_by_label("Value", exact=True).fill("6")
        await expect(page.locator(".tests").get_by_text("Holds")).to_have_count(2)


async def test_a_place_is_taken_from_a_device_marked_on_a_time_line_and_made_up(
    console: Console, chromium: Browser
) -> None:
    says = await _device(console, "bench-truck", {"key": "position", "label": "Position", "type": "OBJECT"})
    for minutes, lat in ((40, 52.5), (30, 52.9), (20, 52.5)):
        says(minutes, {"lat": lat, "lon": 13.4})
    circle = {"circle": {"lat": 1, "lon": 2, "radius_m": 500}}
    place = {"place": {"metric": "position", "is": "outside", "of": circle}}
    rule_id = await _rule(console, "bench-truck", {"any": [place, {"event": "door-forced"}, {"tag": "loose"}]})
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter(f"/rules/{rule_id}")
        await page.get_by_role("button", name="around where a device is now").click()
        await page.get_by_label("The device that is there now").fill("bench-truck")
        await expect(page.get_by_text("Taken from bench-truck: 52.5, 13.4")).to_be_visible()
        await expect(page.get_by_label("Latitude", exact=True)).to_have_value("52.5")
        await expect(page.get_by_role("img", name="bench-truck: it would have fired once.")).to_be_visible()
        assert await wrong_with(page) == []

        await page.get_by_role("button", name="Try it").click()
        await page.get_by_role("button", name="make up a message").click()
        said = page.locator(".trial-steps > li").first
        await page.get_by_label("Step 1, event").select_option(label="no event")
        await page.get_by_label("Step 1, Position, latitude").fill("52.5")
        await page.get_by_label("Step 1, Position, longitude").fill("13.4")
        await expect(said).to_contain_text("All is well")
        await page.get_by_label("Step 1, event").select_option(label="event “door-forced”")
        await expect(said).to_contain_text("It would raise a minor alert. It would then be over: ")
        await page.get_by_label("Step 1, event").select_option(label="no event")
        await expect(said).not_to_contain_text("It would raise")
        await page.get_by_label("The tag loose").select_option(label="has the tag “loose”")
        await expect(said).to_contain_text("It fires")
        assert await wrong_with(page) == []
        await page.get_by_role("button", name="Keep as a test").click()
        await page.get_by_role("button", name="Tests (1)").click()
        await expect(page.locator(".tests").get_by_text("Holds")).to_be_visible()
        await page.get_by_role("button", name="Publish", exact=True).click()
        await expect(page.get_by_text("“Rule of bench-truck” is published")).to_be_visible()
    saved = (await console.ask("query ($id: ID!) { rule(id: $id) { document } }", id=rule_id))["rule"]["document"]
    assert saved["when"]["any"][0]["place"]["of"]["circle"] == {"lat": 52.5, "lon": 13.4, "radius_m": 500}
    [test] = saved["tests"]
    assert test["device"] == {"tags": ["loose"]}
    assert test["given"][0]["position"] == {"lat": 52.5, "lon": 13.4}


async def test_versions_say_what_changed_and_what_was_only_watched_or_not_even_that_is_noted(
    console: Console, chromium: Browser
) -> None:
    # The looks at what did not fire are taken a minute apart, an organisation's first one at once.
    console = await organisation(console, "pier")
    says = await _device(console, "watch-room", WARMTH)
    rule_id = await _rule(console, "watch-room", WARM)
    later = {"v": 1, "name": "Rule of watch-room", "severity": "minor", "scope": {"profile": "watch-room"}}
    later |= {"when": {**WARM, "value": 7.5}, "then": [{"do": "alert"}]}
    change = "mutation ($id: ID!, $i: RuleUpdate!) { ruleUpdate(id: $id, input: $i) { id } }"
    await console.ask(change, id=rule_id, i={"document": later})
    await console.ask("mutation ($id: ID!) { ruleModeSet(id: $id, mode: SHADOW) { id } }", id=rule_id)
    for value, looked in ((7, "ruleNonFirings(ruleId: $id)"), (9, "ruleFirings(id: $id)")):
        for _ in range(400):
            says(0, value)
            found = await console.ask(f"query ($id: ID!) {{ found: {looked} {{ items {{ id }} }} }}", id=rule_id)
            if found["found"]["items"]:
                break
            await asyncio.sleep(0.2)
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter(f"/rules/{rule_id}")
        await page.get_by_role("button", name="Noted").click()
        noted = page.get_by_label("What it noted")
        await expect(noted).to_contain_text("warmth was 9 °C, above 7.5 °C")
        await noted.locator("summary").first.click()
        await expect(noted).to_contain_text("It would have: raise a minor alert")
        assert await wrong_with(page) == []
        await page.get_by_role("button", name="Try it").click()
        not_so = page.locator("[data-rule=why-not]")
        await expect(not_so).to_contain_text("warmth is 7 °C, not above 7.5 °C")
        await not_so.locator("summary").first.click()
        await expect(not_so.get_by_role("button", name="Look at that moment")).to_be_visible()
        assert await wrong_with(page) == []
        await page.get_by_role("button", name="Versions").click()
        second = page.locator(".versions > li", has_text="Version 2")
        await expect(second).to_contain_text("7.5 °C")
        assert await wrong_with(page) == []
        await page.locator(".versions > li", has_text="Version 1").get_by_text("Take it as the draft").click()
        await expect(page.get_by_label("Value", exact=True)).to_have_value("8")
        await expect(page.get_by_text("Draft saved")).to_be_visible()
        await visitor.open(f"/rules/{rule_id}")
        await expect(page.get_by_text("This is the draft that")).to_be_visible()
        await page.get_by_role("button", name="Throw the draft away").click()
        await expect(page.get_by_text("The draft is thrown away.")).to_be_visible()
        await visitor.open(f"/rules/{rule_id}")
        await expect(page.get_by_label("Value", exact=True)).to_have_value("7.5")
        await page.get_by_role("button", name="Versions").click()
        await page.locator(".versions > li", has_text="Version 1").get_by_text("Publish it again").click()
        await expect(page.get_by_text("is as it was in version 1 again.")).to_be_visible()
        saved = await console.ask("query ($id: ID!) { rule(id: $id) { mode document } }", id=rule_id)
        assert saved["rule"]["document"]["when"] == WARM

        # What somebody else publishes meanwhile is not undone unseen.
        await visitor.open(f"/rules/{rule_id}")
        await page.get_by_label("Value", exact=True).fill("5")
        await expect(page.get_by_text("Draft saved")).to_be_visible()
        await console.ask(change, id=rule_id, i={"document": later})
        await page.get_by_role("button", name="Publish", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("Somebody else has changed this rule meanwhile")
        await expect(page.get_by_role("alert")).to_contain_text("7.5 °C")  # and what, as the versions say it
        await page.get_by_role("button", name="Publish mine over it").click()
        await expect(page.get_by_text("is published")).to_be_visible()
    saved = await console.ask("query ($id: ID!) { rule(id: $id) { document } }", id=rule_id)
    assert saved["rule"]["document"]["when"]["value"] == 5


async def test_the_clock_of_the_organisation_is_set_below_its_rules(console: Console, chromium: Browser) -> None:
    change = "mutation ($zone: String!) { tenantTimeZoneSet(timeZone: $zone) { timeZone } }"
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/rules")
        clock = page.get_by_role("region", name="Whose clock rules go by")
        await clock.get_by_role("button", name="Change").click()
        await clock.get_by_label("Your organisation's time zone").fill("Europe/Atlantis")
        await clock.get_by_role("button", name="Save the time zone").click()
        await expect(clock.get_by_role("alert")).to_be_visible()
        await clock.get_by_label("Your organisation's time zone").fill("Europe/Zurich")
        await clock.get_by_role("button", name="Save the time zone").click()
        try:
            await expect(clock.get_by_role("status")).to_contain_text("go by Europe/Zurich now")
            assert await wrong_with(page) == []
        finally:
            await console.ask(change, zone="UTC")
        await visitor.open("/alerts/nothing-of-the-kind")
        async with visitor.led():
            await page.get_by_role("link", name="See all alerts").click()
        await expect(page.get_by_role("heading", name="Alerts", exact=True)).to_be_visible()
