"""In Chromium, from end to end: a rule from a template fires by a real message, and people and programs are told."""

import asyncio
import json
import re
from collections.abc import Callable
from email.message import EmailMessage

import pytest
from playwright.async_api import Browser, expect
from standardwebhooks.webhooks import Webhook

from tests.support.outside import Endpoint, endpoint
from tests.ui.support import Console, tab_to

pytestmark = pytest.mark.timeout(600)
TEMPLATE = re.compile("^Door left open")
BY_MOUSE, BY_KEYS = "Door by mouse", "Door by keys"


async def _until(holds: Callable[[], object], what: str) -> None:
    for _ in range(600):
        if holds():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(what)


async def _who_is_told(console: Console, hook: Endpoint, name: str) -> str:
    """Mail and a program's endpoint, both told at once by the policy of this name; answers the key that signs."""
    make = "mutation ($i: ChannelCreate!) { channelCreate(input: $i) { secret channel { id } } }"
    mail = await console.ask(make, i={"name": f"{name} mail", "email": {"addresses": ["night@example.org"]}})
    program = await console.ask(make, i={"name": f"{name} book", "webhook": {"url": hook.url}})
    channels = [each["channelCreate"]["channel"]["id"] for each in (mail, program)]
    plan = {"name": name, "steps": [{"afterMin": 0, "channelIds": channels}]}
    await console.ask("mutation ($i: NotificationPolicyCreate!) { notificationPolicyCreate(input: $i) { id } }", i=plan)
    key: str = program["channelCreate"]["secret"]
    return key


def _letters(console: Console, rule: str) -> list[EmailMessage]:
    return [letter for letter in console.post.letters if rule in letter.as_string()]


async def _told(console: Console, hook: Endpoint, key: str, rule: str) -> str:
    """Wait until both are told of the rule's alert, once each, and prove what came; answers where the alert is."""
    await _until(lambda: hook.calls, "the program was not told")
    await _until(lambda: _letters(console, rule), f"nobody had mail, but {console.post.letters}")
    [letter], [call] = _letters(console, rule), hook.calls
    assert letter["To"] == "night@example.org"
    said = Webhook(key).verify(call.body, call.headers)
    assert said == json.loads(call.body)
    assert (said["type"], said["data"]["severity"]) == ("alert.raised", "minor")
    text = letter.get_body(("plain",))
    assert text is not None
    assert "door was open" in text.get_content().lower()
    where: str = said["data"]["url"]
    assert where in text.get_content()
    return where


async def test_a_rule_made_by_mouse_tells_by_mail_and_webhook_what_a_message_said(
    console: Console, chromium: Browser
) -> None:
    console.publish({"door_open": False})
    async with endpoint() as hook, console.visitor(chromium) as visitor:
        key = await _who_is_told(console, hook, "Shift")
        page = visitor.page
        await visitor.enter("/rules")
        await page.get_by_role("link", name="New rule").first.click()
        await page.get_by_role("button", name=TEMPLATE).click()
        await page.get_by_label("For devices of").select_option("cold-room")
        await page.get_by_label("Open for, number").fill("1")
        await page.get_by_label("Open for, unit").select_option(label="second")
        await page.get_by_label("Tell people").select_option(label="Shift")
        await page.get_by_role("button", name="Use it").click()
        await page.get_by_label("Name", exact=True).fill(BY_MOUSE)
        await page.get_by_role("button", name="single devices").click()
        await page.get_by_label("Add a device").fill("My first device")
        await expect(page.get_by_text("applies to 1 device", exact=True)).to_be_visible()
        await expect(page.locator("[data-rule=backtest]")).to_contain_text("in the last 7 days")
        await page.get_by_role("button", name="Publish", exact=True).click()
        await expect(page.get_by_text(f"“{BY_MOUSE}” is published")).to_be_visible()

        await page.get_by_role("link", name="Alerts").first.click()
        await expect(page.get_by_role("heading", name="Alerts", level=1)).to_be_visible()
        console.publish({"door_open": True})
        line = page.locator(".alert-line", has_text=BY_MOUSE)
        await expect(line).to_contain_text("My first device")
        where = await _told(console, hook, key, BY_MOUSE)
        await line.get_by_role("button", name="Acknowledge…").click()
        await line.get_by_label("Note").fill("I close it.")
        await line.get_by_role("button", name="Acknowledge", exact=True).click()
        await expect(line).to_contain_text("acknowledged by")
        await line.locator(".reason-link").click()
        await expect(page).to_have_url(re.compile("/alerts/."))
        assert page.url.rstrip("/") == where


async def test_a_rule_made_by_keyboard_tells_what_a_message_said(console: Console, chromium: Browser) -> None:
    console.publish({"door_open": False})
    async with endpoint() as hook, console.visitor(chromium) as visitor:
        key = await _who_is_told(console, hook, "Watch")
        page, keys = visitor.page, visitor.page.keyboard
        await visitor.enter("/rules/new")
        await expect(page.get_by_role("button", name=TEMPLATE)).to_be_visible()
        await tab_to(page, "Door left open")
        await keys.press("Enter")
        await tab_to(page, "For devices of")
        await keys.type("Cold")
        await expect(page.get_by_label("For devices of")).to_have_value("cold-room")
        await expect(page.get_by_role("button", name="Use it")).to_be_enabled()
        await tab_to(page, "Open for, number")
        await keys.type("1")
        await tab_to(page, "Open for, unit")
        await keys.type("sec")
        await tab_to(page, "Tell people")
        await keys.type("Watch")
        await expect(page.get_by_role("button", name="Use it")).to_be_enabled()
        await tab_to(page, "Use it")
        await keys.press("Enter")
        await expect(page.locator(".sentence")).to_be_visible()
        await tab_to(page, "Name")
        await keys.press("Control+a")
        await keys.type(BY_KEYS)
        await tab_to(page, "+ single devices")
        await keys.press("Enter")
        await expect(page.get_by_label("Add a device")).to_be_focused()
        await keys.type("My first device")
        await expect(page.get_by_text("applies to 1 device", exact=True)).to_be_visible()
        await expect(page.locator("[data-rule=backtest]")).to_contain_text("in the last 7 days")
        await expect(page.get_by_role("button", name="Publish", exact=True)).to_be_enabled()
        await tab_to(page, "Publish")
        await keys.press("Enter")
        await expect(page.get_by_text(f"“{BY_KEYS}” is published")).to_be_visible()
        console.publish({"door_open": True})
        await visitor.open("/alerts")
        line = page.locator(".alert-line", has_text=BY_KEYS)
        await expect(line).to_contain_text("My first device")
        await _told(console, hook, key, BY_KEYS)
        await line.get_by_role("link").first.focus()
        await tab_to(page, "Acknowledge…")
        await keys.press("Enter")
        await expect(line.get_by_label("Note")).to_be_visible()
        await tab_to(page, "Acknowledge")
        await keys.press("Enter")
        await expect(line).to_contain_text("acknowledged by")
    console.publish({"door_open": False})
