"""In Chromium: somebody is invited to look after the devices of one group, and sees that group only."""

import re

import pytest
from playwright.async_api import Browser, expect

from tests.ui.support import Console, told

pytestmark = pytest.mark.timeout(600)


async def test_somebody_invited_to_one_group_sees_its_devices_and_no_more(console: Console, chromium: Browser) -> None:
    made = await console.ask('mutation { deviceGroupCreate(input: {key: "empty-site", name: "Empty site"}) { id } }')
    assert made
    async with console.visitor(chromium) as owner, console.visitor(chromium) as guest:
        page = owner.page
        await owner.enter("/access/people")
        await page.get_by_role("button", name="Invite somebody").click()
        await page.get_by_label("E-mail").fill("site@example.org")
        await page.get_by_role("radio", name="Operator").check()
        await page.get_by_role("radio", name="Only these groups").check()
        await page.get_by_role("checkbox", name="Empty site").check()
        assert not await owner.is_too_wide()
        await page.get_by_role("button", name="Make the invitation").click()
        link = await told(page.get_by_role("textbox", name="Link to hand over"))
        invited = page.get_by_role("region", name="Invited, not here yet")
        await expect(invited).to_contain_text("sees only the devices of Empty site")

        await guest.page.goto(link)
        await guest.page.get_by_label("Name").fill("Sam")
        await guest.page.get_by_label("Password").fill("four plain words here")
        await guest.page.get_by_role("button", name="Join").click()
        await expect(guest.page.get_by_role("heading", name="Overview")).to_be_visible()
        for place in ("Ways in", "Fleet audit", "People"):
            await expect(guest.page.get_by_role("link", name=place)).to_have_count(0)
        for place in ("/devices", "/alerts", "/rules", "/groups", "/inbox", "/profiles"):
            await guest.open(place)
            await expect(guest.page.get_by_role("alert")).to_have_count(0)
        await guest.open("/devices")
        await expect(guest.page.get_by_role("link", name="spare")).to_have_count(0)
        await page.reload()
        await page.get_by_role("button", name="Change Sam").click()
        await expect(page.get_by_role("radio", name="Only these groups")).to_be_checked()
        await expect(page.get_by_role("checkbox", name="Empty site")).to_be_checked()

        await owner.open("/access/tokens")
        await page.get_by_role("button", name="New token").first.click()
        await page.get_by_label("What is it for?").fill("Site display")
        await page.get_by_role("checkbox", name="Invite, change and remove people").check()
        await page.get_by_role("radio", name="Only these groups").check()
        await expect(page.get_by_role("checkbox", name="Invite, change and remove people")).to_have_count(0)
        await page.get_by_role("checkbox", name="Empty site").check()
        await page.get_by_role("checkbox", name=re.compile("^See devices and profiles")).check()
        assert not await owner.is_too_wide()
        await page.get_by_role("button", name="Issue the token").click()
        await expect(page.locator("#token-secret")).to_be_visible()
        working = page.get_by_role("region", name="Tokens that work")
        await expect(working).to_contain_text("sees only the devices of Empty site")
