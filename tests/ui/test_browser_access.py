"""In Chromium: profiles, the inbox, API tokens, the audit log and one's own account, against the running platform."""

import json
import re
import shlex

import httpx
import pytest
from playwright.async_api import Browser, expect

from tests.ui.support import Console, told

pytestmark = pytest.mark.timeout(600)


async def test_a_profile_is_made_with_what_its_devices_send(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/profiles")
        await page.get_by_role("link", name="New profile").click()
        await page.get_by_label("Name", exact=True).fill("Wind mast")
        await expect(page.get_by_label("Key")).to_have_value("wind-mast")
        await page.get_by_label("Name it sends").fill("speed")
        await page.get_by_label("Unit").fill("m/s")
        await page.get_by_label("Highest").fill("75.5")
        await page.get_by_role("button", name="Add a value").click()
        await expect(page.get_by_label("Name it sends").nth(1)).to_be_focused()
        await page.keyboard.type("iced")
        await page.get_by_label("Kind").nth(1).select_option(label="yes or no")
        await expect(page.get_by_label("Highest").nth(1)).to_be_hidden()
        await page.get_by_role("switch").click()
        await page.get_by_role("button", name="Make the profile").click()
        await expect(page.get_by_text("“Wind mast” is made.")).to_be_visible()
        await expect(page).to_have_url(re.compile(r"/profiles/[0-9a-f-]{36}"))
    found = await console.ask("{ profiles(first: 100) { items { key isStrict metrics { key type unit max } } } }")
    (made,) = [each for each in found["profiles"]["items"] if each["key"] == "wind-mast"]
    assert made["isStrict"] is True
    assert made["metrics"] == [
        {"key": "speed", "type": "NUMBER", "unit": "m/s", "max": 75.5},
        {"key": "iced", "type": "BOOLEAN", "unit": None, "max": None},
    ]


async def test_two_people_who_edit_one_profile_do_not_overwrite_each_other(console: Console, chromium: Browser) -> None:
    made = await console.ask(
        "mutation ($i: ProfileCreate!) { profileCreate(input: $i) { id } }",
        i={"key": "shared", "name": "Shared", "metrics": [{"key": "level", "type": "NUMBER", "max": 10}]},
    )
    uid = made["profileCreate"]["id"]
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter(f"/profiles/{uid}")
        await expect(page.get_by_label("Name it sends")).to_have_value("level")
        await page.get_by_label("Highest").fill("20")
        await console.ask('mutation ($i: ID!) { profileUpdate(id: $i, input: {name: "Theirs"}) { id } }', i=uid)
        await page.get_by_role("button", name="Save changes").click()
        await expect(page.get_by_text("Somebody else has changed this profile")).to_be_visible()
        await page.get_by_role("button", name="Save mine over it").click()
        await expect(page.get_by_text("Saved.")).to_be_visible()
        await page.get_by_role("button", name="Remove level").click()
        await page.get_by_role("button", name="Save changes").click()
        await expect(page.get_by_text("devices may send anything")).to_be_visible()
    found = await console.ask("query ($i: ID!) { profile(id: $i) { name version metrics { key } } }", i=uid)
    assert found["profile"] == {"name": "Shared", "version": 4, "metrics": []}


async def test_a_message_that_was_not_accepted_lies_in_the_inbox_with_its_reason(
    console: Console, chromium: Browser
) -> None:
    await console.offer(json.dumps({"values": {"temperature": "warm"}}).encode())
    await console.offer(b"\xff\xfe\x00")
    await console.offer(json.dumps({"values": {"temperature": 999, "door": True}}).encode())
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/")
        await page.get_by_role("link", name="Look at them in the inbox").click()
        await expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
        await expect(page.locator('[data-turned="rejected"]')).not_to_have_text(re.compile("^[0…]$"))
        typed = page.locator(".alert-line", has_text="A value is of another kind than the profile says").first
        await expect(typed.get_by_role("link", name="My first device")).to_be_visible()
        await expect(typed.get_by_role("link", name=re.compile("^mend the profile"))).to_be_visible()
        await typed.get_by_text("What it sent").click()
        await expect(typed.locator("pre")).to_have_text(re.compile(r'\{\s+"values": \{\s+"temperature": "warm"'))
        broken = page.locator(".alert-line", has_text="The message is not JSON").first
        await broken.get_by_text("What it sent").click()
        await expect(broken.locator("pre")).to_contain_text("ff fe 00")
        partly = page.locator(".alert-line", has_text="A value lies outside its limits").first
        await expect(partly.get_by_text("stored in part", exact=True)).to_be_visible()
        await expect(partly.get_by_text("'temperature' is 999, the profile allows")).to_be_visible()
        left_out = "Left out: temperature. The other values of the reading were stored."
        await expect(partly.get_by_text(left_out)).to_be_visible()
        await partly.get_by_role("button", name="Throw away").click()
        await expect(partly.get_by_text("What was stored of their readings stays.")).to_be_visible()
        await page.get_by_label("Messages of which device").select_option(label="Main meter Basel")
        await expect(page.get_by_text("Nothing of this device")).to_be_visible()


async def test_a_token_is_issued_used_and_revoked(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor, httpx.AsyncClient(timeout=60, trust_env=False) as http:
        page = visitor.page
        await visitor.enter("/access/tokens")
        await page.get_by_role("button", name="New token").click()
        await page.get_by_label("What is it for?").fill("Canteen")
        await page.get_by_label(re.compile("^See devices and profiles")).check()
        await page.get_by_role("button", name="Issue the token").click()
        secret = await told(page.locator("#token-secret"))
        line = shlex.split(await told(page.get_by_role("textbox", name="Command to paste")))
        assert line[:2] == ["curl", "-H"]
        bearer = {"Authorization": line[2].removeprefix("Authorization: ")}
        answer = await http.get(line[3], headers=bearer)
        assert (answer.status_code, len(answer.json()["items"]) > 0) == (200, True)
        refused = await http.get(line[3].replace("/devices", "/alerts"), headers=bearer)
        assert refused.status_code == 403

        await visitor.lose_connection()
        assert await told(page.locator("#token-secret")) == secret
        await page.reload()
        await expect(page.get_by_role("button", name="Revoke Canteen")).to_be_visible()
        await expect(page.locator("#token-secret")).to_have_count(0)
        assert secret not in await page.content()
        await page.get_by_role("button", name="Revoke Canteen").click()
        await page.get_by_role("button", name="Revoke it").click()
        await expect(page.get_by_text("The token no longer works.")).to_be_visible()
        assert (await http.get(line[3], headers=bearer)).status_code == 401


async def test_the_audit_log_tells_who_changed_what_from_what_to_what(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/devices")
        await page.get_by_role("link", name="Circulation pump").click()
        await page.get_by_role("button", name="Edit").click()
        await page.get_by_label("Name", exact=True).fill("Main pump")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("Saved.")).to_be_visible()
        await page.get_by_role("link", name="What was done to it").click()
        entry = page.locator(".list > li", has_text="name Circulation pump → Main pump")
        await expect(entry).to_contain_text(f"{console.email} changed the device Main pump")
        await entry.get_by_text("Details").click()
        await expect(entry.locator("del")).to_have_text("Circulation pump")
        await page.get_by_label("Who did it").fill("nobody of that name")
        await expect(page.get_by_text("No entry fits")).to_be_visible()


async def test_a_finding_says_what_to_do_and_is_mended_once_that_is_done(console: Console, chromium: Browser) -> None:
    listed = await console.ask("{ profiles { items { id } } }")
    given = {"key": "key-ring", "name": "Key ring", "profileId": listed["profiles"]["items"][0]["id"]}
    made = "mutation ($given: DeviceProvision!) { deviceProvision(input: $given) { device { id } } }"
    device = (await console.ask(made, given=given))["deviceProvision"]["device"]["id"]
    for _ in range(3):
        await console.ask("mutation ($d: ID!) { credentialIssue(deviceId: $d) { credential { id } } }", d=device)
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/fleet-audit")
        await page.get_by_role("button", name="Audit now").click()
        await expect(page.get_by_text("The fleet is audited")).to_be_visible()
        finding = page.locator("section[aria-label=Findings] li", has_text="It has more tokens than it needs").filter(
            has=page.get_by_role("link", name="Key ring")
        )
        await expect(finding).to_contain_text("Find out which one it uses, and revoke the others.")
        await finding.get_by_role("link", name="Key ring").click()
        await expect(page.get_by_role("heading", name="Key ring")).to_be_visible()
        tokens = page.get_by_role("button", name="Revoke", exact=True)
        await expect(tokens).to_have_count(4)
        for left in (3, 2):
            await tokens.first.click()
            await expect(tokens).to_have_count(left)
        await visitor.open("/fleet-audit")
        await expect(finding).to_be_visible()  # until the next audit
        await page.get_by_role("button", name="Audit now").click()
        await expect(finding).to_have_count(0)
        await page.get_by_role("button", name="Mended").click()
        await expect(finding).to_contain_text("mended")


async def test_a_suspended_device_is_resumed(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/devices")
        await page.get_by_role("link", name="Main meter Zurich").click()
        await page.get_by_role("button", name="Suspend").click()
        await expect(page.get_by_text("The device is suspended")).to_be_visible()
        await page.get_by_role("button", name="Resume").click()
        await expect(page.get_by_text("back in service")).to_be_visible()
        await expect(page.get_by_role("button", name="Suspend")).to_be_visible()


async def test_one_signs_out_everywhere_else_and_a_weak_password_is_explained(
    console: Console, chromium: Browser
) -> None:
    async with console.visitor(chromium) as elsewhere, console.visitor(chromium) as visitor:
        await elsewhere.enter("/rules")
        page = visitor.page
        await visitor.enter("/account")
        await expect(page.get_by_text("this one")).to_be_visible()
        await page.get_by_role("button", name="Sign out everywhere else").click()
        await expect(page.get_by_text("You are signed in only here now.")).to_be_visible()
        await elsewhere.open("/devices")
        await expect(elsewhere.page).to_have_url(re.compile("/sign-in"))
        await page.get_by_label("Present password").fill(console.password)
        await page.get_by_label("New password", exact=True).fill("password1234")
        await page.get_by_label("New password again").fill("password1234")
        await page.get_by_role("button", name="Change the password").click()
        await expect(page.get_by_role("alert")).to_contain_text("none that everybody tries first")


async def test_somebody_is_invited_joins_and_gets_another_role(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as owner, console.visitor(chromium) as guest:
        page = owner.page
        await owner.enter("/access/people")
        await page.get_by_role("button", name="Invite somebody").click()
        await page.get_by_label("E-mail").fill("eve@example.org")
        await page.get_by_role("button", name="Make the invitation").click()
        link = await told(page.get_by_role("textbox", name="Link to hand over"))
        await expect(page.get_by_role("region", name="Invited, not here yet")).to_contain_text("eve@example.org")
        await page.reload()
        await expect(page.get_by_role("button", name="Invite somebody")).to_be_visible()
        await expect(page.get_by_role("textbox", name="Link to hand over")).to_have_count(0)
        assert link not in await page.content()

        await guest.page.goto(link)
        await guest.page.get_by_label("Name").fill("Eve")
        await guest.page.get_by_label("Password").fill("four plain words here")
        await guest.page.get_by_role("button", name="Join").click()
        await expect(guest.page.get_by_role("heading", name="Overview")).to_be_visible()
        await expect(guest.page.get_by_role("link", name="API tokens")).to_have_count(0)

        # She belongs to a second organisation, is led to that, and finds her way back.
        here = (await console.ask("{ me { tenant { name } } }"))["me"]["tenant"]["name"]
        await guest.page.goto(console.invite_operator("eve@example.org"))
        await guest.page.get_by_label("Password").fill("four plain words here")
        await guest.page.get_by_role("button", name="Join").click()
        await expect(guest.page).to_have_url(re.compile("/account"))
        await guest.page.locator(".side").get_by_text("Other organisations").click()
        await guest.page.get_by_role("button", name=here).click()
        await expect(guest.page.get_by_role("heading", name="Overview")).to_be_visible()
        await expect(guest.page.get_by_role("link", name=here).first).to_be_visible()

        await page.reload()
        await page.get_by_role("button", name="Change Eve").click()
        await page.get_by_role("radio", name="Administrator").check()
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("Eve is Administrator now.")).to_be_visible()
        await guest.open("/access/tokens")
        await expect(guest.page.get_by_role("heading", name="API tokens")).to_be_visible()
        await page.get_by_role("button", name="Change Eve").click()
        await page.get_by_role("button", name="Remove…").click()
        await page.get_by_role("button", name="Remove Eve").click()
        await expect(page.get_by_text("Eve does not belong to the organisation any more.")).to_be_visible()
        await guest.open("/devices")
        await expect(guest.page).to_have_url(re.compile("/sign-in"))


async def test_on_a_small_screen_the_other_places_are_in_a_menu_used_by_keyboard(
    console: Console, chromium: Browser
) -> None:
    async with console.visitor(chromium, width=390) as visitor:
        page = visitor.page
        await visitor.enter("/")
        await page.locator(".menu > summary").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("link", name="Groups", exact=True)).to_be_visible()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Groups", exact=True)).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Groups", exact=True)).to_be_visible()
        await expect(page.locator(".menu[open]")).to_have_count(0)


async def test_what_was_written_and_not_saved_outlives_a_lost_connection(console: Console, chromium: Browser) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/groups/new")
        await page.get_by_label("Name").fill("Quay")
        await page.get_by_label("Whose key begins with").fill("crane-")
        await visitor.lose_connection()
        await expect(page.get_by_label("Name")).to_have_value("Quay")
        await expect(page.get_by_label("Whose key begins with")).to_have_value("crane-")
        async with visitor.led():
            await page.get_by_role("button", name="Make the group").click()
        await expect(page.get_by_role("heading", name="Quay")).to_be_visible()
        await page.get_by_role("button", name="Edit").click()
        await page.get_by_label("Whose key begins with").fill("crane-, winch-")
        await visitor.lose_connection()
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("Saved.")).to_be_visible()
        found = await console.ask("{ deviceGroups(first: 50) { items { name filter } } }")
        made = next(each for each in found["deviceGroups"]["items"] if each["name"] == "Quay")
        assert made["filter"] == {"keyPrefix": ["crane-", "winch-"]}
