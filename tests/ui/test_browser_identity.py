"""In Chromium: the second factor, roles of one's own, groups, and a device's certificate, on the running platform."""

import asyncio
import base64
import json
import re
import time
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from playwright.async_api import Browser, expect

from tests.ui.support import Console, told

pytestmark = pytest.mark.timeout(600)
PASSWORD = "four plain words here"


async def join(console: Console, email: str) -> None:
    """Let somebody accept an invitation as a viewer."""
    asked = "mutation ($e: String!) { memberInvite(input: {email: $e, role: VIEWER}) { secret } }"
    token = (await console.ask(asked, e=email))["memberInvite"]["secret"]
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        given = {"token": token, "name": email.partition("@")[0], "password": PASSWORD}
        accepted = await http.post(f"{console.url}/auth/accept", json=given, headers={"Accept": "application/json"})
    assert accepted.status_code == 204, accepted.text


async def test_a_second_factor_is_set_up_asked_for_and_turned_off(console: Console, chromium: Browser) -> None:
    await join(console, "grace@example.org")
    async with console.visitor(chromium) as visitor:
        page = visitor.page

        async def sign_in() -> None:
            await visitor.open("/sign-in?next=/account")
            await expect(page.locator("input[name=next]")).to_have_value("/account")
            await page.get_by_label("E-mail").fill("grace@example.org")
            await page.get_by_label("Password").fill(PASSWORD)
            await page.get_by_role("button", name="Sign in").click()

        await sign_in()
        await page.get_by_role("button", name="Set it up").click()
        await page.get_by_label("Your password").fill(PASSWORD)
        await page.get_by_role("button", name="Go on").click()
        await expect(page.get_by_role("img", name="QR code for the authenticator app")).to_be_visible()
        await page.get_by_text("It cannot be scanned?").click()
        secret = (await told(page.locator("#factor-secret"))).replace(" ", "")
        code = TOTP(base64.b32decode(secret), 6, SHA1(), 30).generate(int(time.time())).decode()
        await page.get_by_label("The six digits that the app shows").fill(code)
        await page.get_by_role("button", name="Turn it on").click()
        codes = (await told(page.locator("#recovery-codes"))).split()
        await page.reload()
        await expect(page.get_by_text(f"{len(codes)} recovery codes are left.")).to_be_visible()
        assert not [each for each in [secret, *codes] if each in await page.content()]

        await page.get_by_role("button", name="Sign out").first.click()
        await expect(page).to_have_url(re.compile("/sign-in"))
        await sign_in()
        await page.locator("input[name=code]").fill(codes[0])
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_text(f"{len(codes) - 1} recovery codes are left.")).to_be_visible()
        await page.get_by_role("button", name="Turn it off…").click()
        await page.get_by_label("Your password").fill(PASSWORD)
        await page.get_by_label("A code of the app, or a recovery code").fill(codes[1])
        await page.get_by_role("button", name="Turn it off").click()
        await expect(page.get_by_role("button", name="Set it up")).to_be_visible()


async def test_a_role_of_ones_own_gives_exactly_what_was_ticked(console: Console, chromium: Browser) -> None:
    await join(console, "heidi@example.org")
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/access/people")
        await page.get_by_role("link", name="Roles").click()
        await page.get_by_role("button", name="New role").click()
        await page.get_by_label("What is it called?").fill("Gatekeeper")
        await page.get_by_label("See, issue and revoke API tokens").check()
        await page.get_by_role("button", name="Make the role").click()
        await expect(page.get_by_text("“Gatekeeper” is made.")).to_be_visible()
        async with visitor.led():  # coming back closes what was open here, a moment after the page shows
            await page.get_by_role("link", name="People", exact=True).first.click()
        await expect(page).to_have_url(re.compile("/access/people"))
        await page.get_by_role("button", name="Change heidi").click()
        await page.get_by_role("radio", name="Gatekeeper").check()
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("heidi is Gatekeeper now.")).to_be_visible()
        await visitor.open("/access/roles")
        await page.get_by_role("button", name="Delete Gatekeeper").click()
        await page.get_by_role("button", name="Delete it").click()
        await expect(page.get_by_role("alert")).to_contain_text("Somebody has this role")
    found = await console.ask("{ members { name role customRole { name scopes } } }")
    heidi = next(each for each in found["members"] if each["name"] == "heidi")
    assert (heidi["role"], heidi["customRole"]) == ("CUSTOM", {"name": "Gatekeeper", "scopes": ["tokens:write"]})


async def test_groups_are_filled_by_a_filter_or_by_hand_and_narrow_the_list(
    console: Console, chromium: Browser
) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/groups")
        await page.get_by_role("link", name="New group").first.click()
        await page.get_by_label("Name", exact=True).fill("Meters")
        await expect(page.get_by_label("Key", exact=True)).to_have_value("meters")
        await page.get_by_role("button", name="Make the group").click()
        await expect(page.get_by_role("alert")).to_contain_text("fill in at least one line")
        await page.get_by_label("Energy meter").check()
        await page.get_by_label("Whose key begins with").fill("meter-")
        await page.get_by_role("button", name="Make the group").click()
        await expect(page.get_by_text("Profile is Energy meter, key begins with meter-")).to_be_visible()
        await expect(page.get_by_role("link", name="Main meter Basel")).to_be_visible()
        await expect(page.get_by_role("button", name="Take out")).to_have_count(0)

        await visitor.open("/groups/new")
        await page.get_by_label("Name", exact=True).fill("Night patrol")
        await expect(page.get_by_label("Key", exact=True)).to_have_value("night-patrol")
        await page.get_by_role("radio", name="By hand").check()
        await page.get_by_role("button", name="Make the group").click()
        await page.get_by_label("Search devices to put in").fill("dairy")
        await page.get_by_role("button", name="Put in Cold room 1, dairy").click()
        await expect(page.get_by_text("1 device", exact=True)).to_be_visible()

        await visitor.open("/devices")
        await page.get_by_label("Show devices of this group").select_option(label="Night patrol")
        await expect(page.locator(".device-table tbody tr")).to_have_count(1)
        await visitor.open("/groups")
        await page.get_by_role("link", name="Night patrol").click()
        await page.get_by_role("button", name="Take out Cold room 1, dairy").click()
        await expect(page.get_by_text("The device is out of the group.")).to_be_visible()
        await page.get_by_role("button", name="Delete this group…").click()
        await page.get_by_role("button", name="Delete Night patrol").click()
        await expect(page).to_have_url(re.compile("/groups/?$"))
        await expect(page.get_by_role("link", name="Night patrol")).to_have_count(0)


async def shell(line: str, folder: Path) -> str:
    """What pasting a line into a terminal does, with what it shows."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", line, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    shown, wrong = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, wrong.decode()
    return shown.decode()


async def test_the_pasted_lines_lead_from_a_key_to_a_message_sent_by_certificate(
    console: Console, chromium: Browser, tmp_path: Path
) -> None:
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter(f"/devices/{console.device['id']}")
        await page.get_by_role("button", name="Sign a certificate…").click()
        line = page.get_by_role("textbox", name="Command that makes key and request")
        request = await shell(await told(line), tmp_path)
        (key,) = tmp_path.glob("*.key")
        await page.get_by_label("The request").fill(key.read_text())
        await page.get_by_role("button", name="Sign it").click()
        await expect(page.get_by_text("That is the device's private key. It was not sent")).to_be_visible()
        await page.get_by_label("The request").fill(request)
        await page.get_by_role("button", name="Sign it").click()
        async with page.expect_download() as download:
            await page.get_by_role("button", name=re.compile("^Save .*crt$")).click()
        file = await download.value
        await file.save_as(tmp_path / file.suggested_filename)
        for name in ("Command that fetches the certificate", "Command that sends with the certificate"):
            await shell(await told(page.get_by_role("textbox", name=name)), tmp_path)
        await expect(page.locator('.value-card .live-value[data-metric="temperature"]')).to_contain_text("10")
        await page.get_by_role("button", name="Done").click()
        await page.get_by_role("button", name="Revoke certificate").click()
        await page.get_by_role("button", name="Revoke it").click()
        await expect(page.get_by_text("The certificate no longer works.")).to_be_visible()
        await page.get_by_text("Your authority").click()
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Save the revocation list").click()
        await (await download.value).save_as(tmp_path / "revoked.pem")
    shown = await shell("openssl crl -in revoked.pem -noout -text", tmp_path)
    assert shown.count("Serial Number:") == 1


async def test_a_table_is_tried_then_taken_and_a_device_lets_itself_in_after_a_yes(
    console: Console, chromium: Browser, tmp_path: Path
) -> None:
    table = "key,name,profile\nvalve-1,Valve 1,pump\nvalve 2,Valve 2,pump\nvalve-3,Valve 3,nothing\n"
    (tmp_path / "devices.csv").write_text(table)
    async with console.visitor(chromium) as visitor:
        page = visitor.page
        await visitor.enter("/devices/import")
        await page.locator("input[type=file]").set_input_files(tmp_path / "devices.csv")
        await page.get_by_role("button", name="Try it").click()
        await expect(page.get_by_text("There is no profile with the key 'nothing'.")).to_be_visible()
        assert (await console.ask('{ devices(search: "valve") { items { key } } }'))["devices"]["items"] == []
        await page.get_by_role("button", name="Import 1 device").click()
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Save the tokens").click()
        await (await download.value).save_as(tmp_path / "tokens.csv")
        (line,) = (tmp_path / "tokens.csv").read_text().splitlines()[1:]
        assert re.fullmatch(r"valve-1,demo/d/valve-1,tgd_[\w-]+", line)

        await visitor.open("/ways-in")
        await page.get_by_role("button", name="New way in").first.click()
        await page.get_by_label("What is it for?").fill("Valves")
        await page.get_by_label("Somebody has to say yes").check()
        await page.get_by_role("button", name="Make the key").click()
        asks = await told(page.get_by_role("textbox", name="Command that brings a device in"))
        ticket = json.loads(await shell(asks, tmp_path))["ticket"]
        await page.get_by_role("button", name="Look again").click()
        await page.get_by_role("button", name="Let in my-new-device").click()
        await expect(page.get_by_text("my-new-device may come in.")).to_be_visible()
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        arrived = await http.post(f"{console.url}/ingest/v1/provision", json={"ticket": ticket})
    assert (arrived.status_code, arrived.json()["username"]) == (201, "demo/d/my-new-device")
