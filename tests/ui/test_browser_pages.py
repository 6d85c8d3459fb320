"""In Chromium: every main page is fit for people who use other means than eyes and mouse; operators; quarantine."""

import base64
import re
import time

import pytest
from axe_playwright_python.async_playwright import Axe
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from playwright.async_api import Browser, Page, expect

from tests.ui.support import Console, Visitor, told

pytestmark = pytest.mark.timeout(600)
PASSWORD = "four plain words here"
PAGES = (
    "/",
    "/devices",
    "/devices/add",
    "/devices/import",
    "/devices/transfers",
    "/rules",
    "/alerts",
    "/profiles",
    "/profiles/new",
    "/groups",
    "/groups/new",
    "/notifications",
    "/ways-in",
    "/fleet-audit",
    "/inbox",
    "/usage",
    "/account",
    "/help",
    "/access/people",
    "/access/roles",
    "/access/tokens",
    "/access/identity-providers",
    "/access/audit",
)
AXE = Axe().axe_script
RULES = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]},
}
COLOURS = {"resultTypes": ["violations"], "runOnly": {"type": "rule", "values": ["color-contrast"]}}
"""What is another in the dark; all else is the same page."""


async def walk(visitor: Visitor, path: str) -> None:
    """Go to a page by its link, which costs a fraction of a new load; by its address where no link leads there."""
    page = visitor.page
    way = page.locator(f"a[href='{path}']:visible")
    if not await way.count():
        await visitor.open(path)
        return
    before = await page.title()
    await way.first.click()
    await page.wait_for_function("before => document.title !== before", arg=before)


async def wrong_with(page: Page, rules: dict[str, object] = RULES) -> list[str]:
    """What axe finds that keeps people out: its serious and critical violations, each with the first place."""
    await expect(page.locator("h1").first).to_be_visible()
    await page.wait_for_function("!document.querySelector('.skeleton')")
    if not await page.evaluate("'axe' in window"):  # it stays while one walks by links
        await page.evaluate(AXE)
    found = await page.evaluate("rules => axe.run(document, rules)", rules)
    bad = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
    return [f"{page.url}: {each['id']}: {each['nodes'][0]['html'][:200]}" for each in bad]


async def wrong_in_both_themes(page: Page) -> list[str]:
    """What keeps people out in the light, and what of it is too pale in the dark."""
    in_the_light = await wrong_with(page)
    await page.emulate_media(color_scheme="dark")
    await expect(page.locator("html")).to_have_class(re.compile("dark"))
    in_the_dark = await wrong_with(page, COLOURS)
    await page.emulate_media(color_scheme="light")
    await expect(page.locator("html")).to_have_class(re.compile("light"))
    return [*in_the_light, *(f"in the dark, {each}" for each in in_the_dark)]


@pytest.mark.timeout(600)  # two dozen pages: on a machine that does other things as well each takes its time
async def test_no_page_keeps_anybody_out(console: Console, chromium: Browser) -> None:
    wrong: list[str] = []
    async with console.visitor(chromium, theme="light") as visitor:
        await visitor.open("/sign-in")
        wrong += await wrong_in_both_themes(visitor.page)
        await visitor.sign_in()
        await expect(visitor.page.get_by_role("button", name="Sign out").first).to_be_visible()
        await visitor.open("/account")  # so that each page is come to from another one
        for path in PAGES:
            await walk(visitor, path)
            await expect(visitor.page).to_have_url(re.compile(f"{re.escape(console.url + path.rstrip('/'))}/?$"))
            wrong += await wrong_in_both_themes(visitor.page)
        await visitor.open("/alerts")
        await visitor.page.get_by_role("button", name="Silences").click()
        await expect(visitor.page.get_by_role("button", name="New silence")).to_be_visible()
        wrong += await wrong_in_both_themes(visitor.page)
        some = await console.ask("{ devices(first: 1) { items { id profile { id } } } }")
        device = some["devices"]["items"][0]
        await visitor.open(f"/profiles/{device['profile']['id']}")
        await expect(visitor.page.get_by_role("heading", name="What changed")).to_be_visible()
        wrong += await wrong_in_both_themes(visitor.page)
        await visitor.open(f"/devices/{device['id']}")
        await expect(visitor.page.get_by_role("button", name="Register a key")).to_be_visible()
        wrong += await wrong_in_both_themes(visitor.page)
    assert wrong == []


async def test_no_form_for_newcomers_keeps_anybody_out(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/access/identity-providers")
        await page.get_by_role("button", name="Register a provider").first.click()
        await expect(page.get_by_label("Issuer")).to_be_visible()
        wrong = await wrong_with(page)
        await visitor.open("/ways-in")
        await page.get_by_role("button", name="New way in").first.click()
        await page.get_by_label("What is it for?").fill("Doors that ask")
        wrong += await wrong_with(page)
        await page.get_by_role("button", name="Make the key").click()
        key = await told(page.locator("#way-key"))
        await page.reload()
        await page.get_by_role("button", name="Change Doors that ask").click()
        assert key not in await page.content()
        await page.get_by_role("button", name="A question").click()
        await page.get_by_label("What it has to be").fill("door-")
        await page.get_by_label("Otherwise: what follows").select_option(label="it is turned away")
        await page.get_by_label("Otherwise: what the device is told").fill("Doors only.")
        await page.get_by_label("that asks for the key").fill("fan-1")
        await page.get_by_role("button", name="Try it").click()
        await expect(page.get_by_text("It would be turned away: “Doors only.”.")).to_be_visible()
        wrong += await wrong_with(page)
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_text("“Doors that ask” is changed.")).to_be_visible()
        await expect(page.get_by_text("asks 1 question at the door")).to_be_visible()
    assert wrong == []


async def test_an_operator_sets_up_a_second_factor_before_anything_else_and_makes_an_organisation(
    console: Console, chromium: Browser
) -> None:
    link = console.invite_operator("operator@example.org")
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await page.goto(link)
        await page.get_by_label("Name").fill("Olga")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Join").click()
        await expect(page).to_have_url(re.compile("/account"))
        await visitor.open("/platform")
        await expect(page).to_have_url(re.compile("/account"))
        await expect(page.get_by_text("Set up a second factor first.")).to_be_visible()
        await page.get_by_role("button", name="Set it up").click()
        await page.get_by_label("Your password").fill(PASSWORD)
        await page.get_by_role("button", name="Go on").click()
        await page.get_by_text("It cannot be scanned?").click()
        secret = (await told(page.locator("#factor-secret"))).replace(" ", "")
        code = TOTP(base64.b32decode(secret), 6, SHA1(), 30).generate(int(time.time())).decode()
        await page.get_by_label("The six digits that the app shows").fill(code)
        await page.get_by_role("button", name="Turn it on").click()
        await expect(page.locator("#recovery-codes")).to_be_visible()

        await visitor.open("/platform")
        await expect(page.get_by_role("heading", name="Organisations")).to_be_visible()
        assert await wrong_with(page) == []
        await page.emulate_media(color_scheme="dark")
        await page.set_viewport_size({"width": 390, "height": 900})
        await expect(page.locator("html")).to_have_class(re.compile("dark"))
        assert not await visitor.is_too_wide()
        assert await wrong_with(page) == []
        await page.set_viewport_size({"width": 1440, "height": 900})
        await page.get_by_role("button", name="New organisation").first.click()
        await page.get_by_label("Name", exact=True).fill("Acme")
        await page.get_by_label("Key", exact=True).fill("acme")
        await page.get_by_label("Who will own it?").fill("owner@acme.example")
        await page.get_by_role("button", name="Make it").click()
        await expect(page.get_by_role("textbox", name="Link to hand over")).to_be_visible()
        secret_link = await told(page.get_by_role("textbox", name="Link to hand over"))
        await page.reload()
        await expect(page.get_by_text("Acme").first).to_be_visible()
        assert secret_link not in await page.content()


async def test_a_device_is_quarantined_with_a_reason_and_released_with_a_new_token(
    console: Console, chromium: Browser
) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        listed = await console.ask("{ profiles { items { id } } }")
        given = {"key": "odd-pump", "name": "Odd pump", "profileId": listed["profiles"]["items"][0]["id"]}
        made = "mutation ($given: DeviceProvision!) { deviceProvision(input: $given) { device { id } } }"
        device = (await console.ask(made, given=given))["deviceProvision"]["device"]
        await visitor.enter("/devices/" + device["id"])
        await page.get_by_role("button", name="Quarantine this device").click()
        await page.get_by_label("What is wrong with it?").fill("It sends nonsense")
        await page.get_by_role("button", name="Quarantine Odd pump").click()
        await expect(page.get_by_text("In quarantine:", exact=True)).to_be_visible()
        await expect(page.get_by_text("It sends nonsense").first).to_be_visible()
        assert await wrong_with(page) == []
        await page.get_by_role("button", name="Release").click()
        await expect(page.get_by_text("This token is shown once")).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("button", name="Issue a token")).to_be_visible()
        await expect(page.get_by_text("This token is shown once")).to_have_count(0)
