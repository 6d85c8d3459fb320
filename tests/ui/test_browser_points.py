"""In Chromium: an edge in front of simulated machines gets its point table from the console, line by line put right."""

import asyncio
import re
from typing import Any

import pytest
import yaml
from playwright.async_api import Browser, Locator, Page, expect

from tests.ui.support import Console, jumps
from tests.ui.test_browser_pages import wrong_in_both_themes, wrong_with

pytestmark = pytest.mark.timeout(600)
TRIED_WITHIN_S = 60.0
EDGE = 'query { devices(labels: ["site=Basel"], first: 200) { items { id key } } }'
TABLE = """\
connections:
  plant: {{protocol: modbus-tcp, host: 127.0.0.1, port: {port}}}
  building: {{protocol: bacnet, interface: 127.0.0.1/32, port: 47999}}
devices:
  cooler-1:
    connection: plant
    address: {{unit: 1}}
    every: 2 s
    points:
      - {{metric: temperature, address: {{input: 0}}, type: {type}, scale: 0.1, unit: °C}}
      - {{metric: defrost_min, address: {{holding: 0}}, type: uint16, scale: 0.1, access: write, unit: min}}
  ahu:
    connection: building
    points:
      - {{metric: supply, address: {{device: 7, host: 127.0.0.1, object: "{object},1"}}}}
  boiler-feed:
    connection: plant
    points:
      - {{metric: speed, address: {{unit: 2, holding: 0}}, type: uint16, access: read-write, unit: "%"}}
"""


def _card(page: Page) -> Locator:
    return page.get_by_role("region", name="Points", exact=True)


async def _send(card: Locator, text: str) -> None:
    """Write a whole table, and send it as far as the console lets it go."""
    await card.get_by_role("textbox", name="Point table").fill(text)
    await card.get_by_role("button", name="Send to the edge").click()


async def _place_of_send(card: Locator) -> list[float]:
    place: list[float] = await card.get_by_role("button", name="Send to the edge").evaluate(
        "e => [e.offsetLeft, e.getBoundingClientRect().top - e.closest('section').getBoundingClientRect().top]"
    )
    return place


async def _confirm(card: Locator) -> None:
    await card.get_by_role("group", name="Send this table to the edge?").get_by_role("button", name="Send it").click()


async def _try_until_it_answers(card: Locator, point: str, row: Locator) -> None:
    """The simulated machines may come up a moment after the console, and the edge looks for them again by and by."""
    async with asyncio.timeout(TRIED_WITHIN_S):
        while True:
            await card.get_by_role("button", name=f"Try {point} now").click()
            await expect(row).to_contain_text(re.compile("good|no value"))
            if "no value" not in await row.inner_text():
                return
            await asyncio.sleep(1)


async def test_an_edge_gets_its_point_table_from_the_console(console: Console, chromium: Browser) -> None:
    keys = {each["key"]: each["id"] for each in (await console.ask(EDGE))["devices"]["items"]}
    file = yaml.safe_load((console.data_dir / "edge" / "edge.yaml").read_text())
    said: dict[str, Any] = {"port": file["connections"]["plant"]["port"], "type": "int16", "object": "analog-input"}
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter(f"/devices/{keys['plant-edge']}")
        card = _card(page)
        await expect(card.get_by_text("Running its own file")).to_be_visible()
        pressure = card.get_by_role("row").filter(has_text="boiler-feed").filter(has_text="pressure")
        await _try_until_it_answers(card, "boiler-feed/pressure", pressure)
        await expect(pressure).to_contain_text(re.compile(r"\d bar\s*good"))
        keeps_out = await wrong_in_both_themes(page)
        await card.get_by_role("button", name="Modbus", exact=True).click()
        field = card.get_by_role("textbox", name="Point table")
        await expect(field).to_have_value(re.compile("^# How the edge reaches"))
        await card.get_by_role("button", name="Cancel").click()
        await card.get_by_role("button", name="Begin with the file's table").click()
        await expect(field).to_have_value(re.compile(r"cooler-1:[^#]*boiler-feed:"))

        await _send(card, TABLE.format(**{**said, "type": "int17"}))
        wrong = card.get_by_role("list", name="What is wrong with the table")
        await expect(wrong).to_contain_text("`type` is 'int17'; write one of auto, bool, int16")
        await wrong.get_by_role("button", name="Line 10").click()
        chosen = "e => e.value.slice(e.selectionStart, e.selectionEnd)"
        assert "int17" in await field.evaluate(chosen)
        keeps_out += await wrong_in_both_themes(page)

        where = await _place_of_send(card)
        await field.fill(TABLE.format(**said))
        await expect(card.get_by_text("Found before you changed the text")).to_be_visible()
        assert await _place_of_send(card) == where, "whoever presses it just now presses something else"
        await _send(card, TABLE.format(**{**said, "object": "kettle"}))  # only the protocol's own library knows better
        await _confirm(card)
        await expect(card).to_contain_text("Refused by the edge")
        await expect(wrong).to_contain_text("`object` is 'kettle,1'; write an object such as analog-input,3.")
        await expect(wrong.get_by_role("button", name="Line 15")).to_be_visible()
        keeps_out += await wrong_with(page)

        await _send(card, TABLE.format(**said))
        await _confirm(card)
        await expect(card.get_by_text("Running", exact=True)).to_be_visible()
        await card.get_by_role("button", name="Try cooler-1/temperature now").click()
        temperature = card.get_by_role("row").filter(has_text="cooler-1").filter(has_text="temperature")
        await expect(temperature).to_contain_text(re.compile(r"\d °C\s*good"))
        await card.get_by_role("button", name="Try ahu/supply now").click()
        await expect(card.get_by_role("row").filter(has_text="ahu")).to_contain_text("does not answer")

        await card.get_by_role("button", name="Look around").click()
        await card.get_by_label("Which", exact=True).select_option(label="input registers")
        await card.get_by_label("To address").fill("3")
        await card.get_by_role("button", name="Look around", exact=True).click()
        found = card.get_by_role("group", name="Points that were found")
        await expect(found.get_by_role("checkbox")).to_have_count(4)
        await found.get_by_role("checkbox").nth(1).check()
        await card.get_by_label("Into which device").fill("cooler-1")
        keeps_out += await wrong_in_both_themes(page)
        await page.set_viewport_size({"width": 390, "height": 844})
        assert not await visitor.is_too_wide()
        await card.get_by_role("button", name="Add the ticked ones").click()
        await expect(field).to_have_value(re.compile("metric: input_1"))
        await card.get_by_role("button", name="Send to the edge").click()
        await _confirm(card)
        await expect(card).to_contain_text("The edge runs the new table.")
        await expect(card).to_contain_text("5 points")

        await card.get_by_role("button", name="Versions").click()
        await card.get_by_role("button", name="What version 3 changed").click()
        changed = card.get_by_role("list", name="What is different")
        await expect(changed).to_contain_text("cooler-1/input_1")
        await card.get_by_role("button", name="Go back to version 2").click()
        await expect(changed).to_contain_text(re.compile(r"taken out\s*cooler-1/input_1"))
        keeps_out += await wrong_in_both_themes(page)
        await card.get_by_role("group", name="Send this version").get_by_role("button", name="Send it").click()
        await expect(card).to_contain_text("The edge runs the new table.")
        await expect(card.get_by_role("button", name="Go back to version 3")).to_be_visible()
        await expect(card).to_contain_text("4 points")

        await visitor.open(f"/devices/{keys['boiler-feed']}")
        await page.get_by_label("Speed").fill("40")
        await page.get_by_role("button", name="Ask it").click()
        asked = page.get_by_role("list", name="Asked so far")
        await expect(asked).to_contain_text("Done")
        await visitor.open(f"/devices/{keys['cooler-1']}")
        await expect(page.locator(".chart-foot .came")).to_contain_text("by Modbus")
        assert await jumps(page) == []  # else somebody presses what is no longer there
        await page.get_by_label("How long").fill("10")  # as 100, for its scale is wrong
        await page.get_by_role("button", name="Ask it").click()
        await expect(asked).to_contain_text("it does not take this value")
        await expect(asked).to_contain_text("(code 3)")
        await visitor.open(f"/devices/{keys['plant-edge']}")
        await card.get_by_role("button", name="Try boiler-feed/speed now").click()
        await expect(card.get_by_role("row").filter(has_text="boiler-feed")).to_contain_text(re.compile(r"40 %\s*good"))
        assert not await visitor.is_too_wide()
        keeps_out += await wrong_with(page)
    assert keeps_out == []
