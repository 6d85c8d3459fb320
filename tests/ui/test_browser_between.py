"""In Chromium: a device goes from one organisation to another, and people come in by their company's account."""

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeAlias
from urllib.parse import urljoin

import httpx
import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from playwright.async_api import Browser, expect

from tests.support.oidc import CLIENT_ID, CLIENT_SECRET, openid_provider
from tests.ui.support import SENT_WITHIN_S, Console, paste, told
from tests.ui.test_browser_pages import wrong_with

pytestmark = pytest.mark.timeout(300)
PASSWORD = "four plain words here"


Ask: TypeAlias = Callable[..., Awaitable[Any]]


@asynccontextmanager
async def joined(console: Console, link: str) -> AsyncIterator[Ask]:
    """Somebody who has joined by this link asks the contract, as their browser would."""
    async with httpx.AsyncClient(base_url=console.url, timeout=SENT_WITHIN_S, trust_env=False) as http:

        async def ask(query: str, **given: Any) -> Any:
            asked = await http.post("/graphql", json={"query": query, "variables": {"i": given}})
            answer = asked.json()
            assert "errors" not in answer, answer
            return next(iter(answer["data"].values()))

        http.headers["Origin"] = console.url
        joining = {"token": link.partition("token=")[2], "name": "Founder", "password": PASSWORD}
        accepted = await http.post("/auth/accept", json=joining, headers={"Accept": "application/json"})
        assert accepted.status_code == 204, accepted.text
        yield ask


async def neighbour(console: Console, key: str) -> str:
    """The link by which the first owner of another organisation joins: the platform's operator made it."""
    async with joined(console, console.invite_operator(f"founder-of-{key}@example.org")) as ask:
        enrol = "mutation ($i: SecondFactorEnrol!) { secondFactorEnrol(input: $i) { secret } }"
        factor = base64.b32decode((await ask(enrol, password=PASSWORD))["secret"])
        code = TOTP(factor, 6, SHA1(), 30).generate(int(time.time())).decode()
        await ask("mutation ($i: SecondFactorConfirm!) { secondFactorConfirm(input: $i) { endedSessions } }", code=code)
        make = "mutation ($i: PlatformTenantCreate!) { platformTenantCreate(input: $i) { link } }"
        made = await ask(make, key=key, name=key.capitalize(), email=f"owner@{key}.example")
    return urljoin(console.url, str(made["link"]))


async def organisation(console: Console, key: str) -> Console:
    """The keys to another organisation on the same console, which has nothing in it yet."""
    async with joined(console, await neighbour(console, key)) as ask:
        issue = "mutation ($i: TokenIssue!) { tokenIssue(input: $i) { secret } }"
        scopes = ["profiles:write", "devices:read", "devices:write", "telemetry:read", "rules:read", "rules:write"]
        token = (await ask(issue, name="Test", scopes=scopes))["secret"]
    email, device = f"owner@{key}.example", {"username": f"{key}/d/none"}
    return replace(console, email=email, password=PASSWORD, api_token=token, device=device)


async def settled(console: Console) -> None:
    """Until the worker, which acts for one tenant at a time, has told the giver that the device was taken over."""
    async with asyncio.timeout(60):
        while any(
            offer["status"] == "OFFERED"
            for offer in (await console.ask("{ deviceTransfers { items { status } } }"))["deviceTransfers"]["items"]
        ):
            await asyncio.sleep(0.2)


async def test_a_device_is_handed_over_and_taken_over_with_a_new_id_and_a_new_token(
    console: Console, chromium: Browser
) -> None:
    (pump,) = [
        p for p in (await console.ask("{ profiles { items { id key } } }"))["profiles"]["items"] if p["key"] == "pump"
    ]
    make = "mutation ($i: DeviceProvision!) { deviceProvision(input: $i) { token device { id } } }"
    given = {"key": "moving-pump", "name": "Moving pump", "profileId": pump["id"]}
    old = (await console.ask(make, i=given))["deviceProvision"]["device"]["id"]
    link = await neighbour(console, "harbour")
    async with console.visitor(chromium) as owner, console.visitor(chromium, width=390, theme="dark") as other:
        ours, theirs = owner.page, other.page
        await owner.enter(f"/devices/{old}")
        await ours.get_by_role("link", name="Hand over to another organisation…").click()
        await ours.get_by_label("Short name of the other organisation").fill("harbour")
        await ours.get_by_role("button", name="Make the code").click()
        code = await told(ours.locator("#transfer-code"))
        offered = ours.get_by_role("region", name="The code of the offer")
        for said in ("What goes over", "What does not"):
            await expect(offered.get_by_role("heading", name=said)).to_be_visible()
        await expect(offered.locator("li").first).to_be_visible()
        wrong = await wrong_with(ours)
        await owner.open("/devices/transfers")
        await expect(ours.get_by_role("region", name="On offer")).to_contain_text("only for “harbour”")
        assert code not in await ours.content()

        await theirs.goto(link)
        await theirs.get_by_label("Name").fill("Hana")
        await theirs.get_by_label("Password").fill(PASSWORD)
        await theirs.get_by_role("button", name="Join").click()
        await expect(theirs.get_by_role("heading", name="Overview")).to_be_visible()
        await other.open("/devices/transfers")
        await theirs.get_by_role("button", name="Take a device over").click()
        await theirs.get_by_label("The code").fill(code)
        await theirs.get_by_role("button", name="Take it over").click()
        await expect(theirs.get_by_text("Moving pump is yours now.")).to_be_visible()
        token = await told(theirs.locator("#transfer-token"))
        paste(await told(theirs.get_by_role("textbox", name="Command that sends a message")))
        wrong += await wrong_with(theirs)
        assert not await other.is_too_wide()
        await theirs.get_by_role("link", name="Look at it").click()
        await expect(theirs.get_by_role("heading", name="Moving pump")).to_be_visible()
        assert old not in theirs.url
        await other.open("/devices/transfers")
        await expect(theirs.get_by_role("button", name="Take a device over")).to_be_visible()
        assert token not in await theirs.content()

        await settled(console)
        await owner.open("/devices/transfers")
        await ours.get_by_text("Earlier offers").click()
        await expect(ours.locator("li", has_text="Moving pump")).to_contain_text("taken over")
        await owner.open(f"/devices/{old}")
        await expect(ours.get_by_text("Decommissioned", exact=True).first).to_be_visible()
    assert wrong == []


async def test_somebody_signs_in_by_the_account_of_their_company(console: Console, chromium: Browser) -> None:
    register = "mutation ($i: IdentityProviderRegister!) { identityProviderRegister(input: $i) { id } }"
    async with openid_provider() as provider:
        provider.asks_first = True
        given = {"name": "Works account", "issuer": provider.issuer, "domains": ["customer.example"], "role": "VIEWER"}
        given |= {"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET}
        uid = (await console.ask(register, i=given))["identityProviderRegister"]["id"]
        async with console.visitor(chromium, elsewhere=provider.issuer) as visitor:
            page = visitor.page
            await visitor.open("/sign-in?next=/devices")
            await expect(page.locator("input[name=next]")).to_have_value("/devices")
            await page.get_by_text("Use your company's account").click()
            await page.get_by_label("Short name of your organisation").fill("demo")
            await page.get_by_role("button", name="Go on").click()
            await page.get_by_role("link", name="Sign in with Works account").click()
            await expect(page).to_have_url(re.compile(f"^{re.escape(provider.issuer)}/authorize"))
            await page.get_by_role("link", name="Go on as A Person").click()
            await expect(page).to_have_url(re.compile(f"^{re.escape(console.url)}/devices"))
            await expect(page.get_by_text("somebody@customer.example").first).to_be_visible()
            await visitor.awake()
            await page.get_by_role("button", name="Sign out").first.click()
            await expect(page).to_have_url(re.compile("/sign-in"))
            await expect(page.get_by_role("link", name="Sign in with Works account")).to_be_visible()  # remembered
        await console.ask("mutation ($id: ID!) { identityProviderRemove(id: $id) { id } }", id=uid)
