"""The platform's operator in the console: organisations from outside, and secrets that are shown once."""

from typing import Any

import pytest

from tests.ui.support import ME, Gateway, Visit
from ui.pages.overview import Overview
from ui.pages.people import People
from ui.pages.platform import Platform

TENANT = {
    "id": "t1",
    "key": "harbour",
    "name": "Harbour",
    "createdAt": "2026-01-01T00:00:00Z",
    "suspendedAt": None,
    "suspendedReason": None,
    "hasOwner": False,
}


def me(*scopes: str, **more: Any) -> dict[str, Any]:
    return {"me": {**ME["me"], "scopes": list(scopes), **more}}


async def run(handler: Any) -> list[Any]:
    """Let a handler that shows its steps run to its end."""
    return [event async for event in handler]


@pytest.fixture
async def platform(gateway: Gateway, visit: Visit) -> Platform:
    gateway.answers["Me"] = me("platform:read", "platform:write")
    gateway.answers["PlatformTenants"] = {
        "platformTenants": {"items": [TENANT], "pageInfo": {"hasNextPage": False, "endCursor": None}}
    }
    state = visit(Platform, "/platform")
    await run(state.load())
    return state


async def test_an_operator_asks_nothing_about_alerts_and_is_led_to_the_organisations(
    platform: Platform, gateway: Gateway, visit: Visit
) -> None:
    assert [each.name for each in platform.tenants] == ["Harbour"]
    away = await visit(Overview, "/").load()
    assert "/platform" in str(away)
    assert {"OpenAlerts", "Overview"} & {name for name, _ in gateway.asked} == set()


async def test_an_organisation_is_made_and_its_owners_link_shown_until_one_comes_back(
    platform: Platform, gateway: Gateway
) -> None:
    gateway.answers["PlatformTenantCreate"] = {
        "platformTenantCreate": {"link": "/auth/accept?token=tgi_x", "isMailed": False}
    }
    platform.begin("make", "")
    platform.set_name("Nordic_Cold Stores of the Harbour")
    assert platform.key == "nordic-cold-stores-o"
    await platform.make({"email": " anna@example.org "})
    sent = gateway.variables("PlatformTenantCreate")["input"]
    assert (sent["key"], sent["email"]) == ("nordic-cold-stores-o", "anna@example.org")
    assert (platform.link, platform.doing) == ("%ORIGIN%/auth/accept?token=tgi_x", "")
    await run(platform.load())
    assert platform.link == ""


async def test_a_key_the_contract_would_refuse_is_not_sent(platform: Platform, gateway: Gateway) -> None:
    platform.begin("make", "")
    platform.set_name("Harbour")
    platform.set_key("Harbour!")
    await platform.make({"email": "anna@example.org"})
    assert "small letters" in platform.form_problem
    assert "PlatformTenantCreate" not in [name for name, _ in gateway.asked]


async def test_an_organisation_is_suspended_with_a_reason_and_resumed(platform: Platform, gateway: Gateway) -> None:
    gateway.answers["PlatformTenantSuspend"] = {"platformTenantSuspend": {"id": "t1"}}
    platform.begin("suspend", "t1")
    await platform.suspend({"reason": " The bill is open "})
    assert gateway.variables("PlatformTenantSuspend") == {"id": "t1", "input": {"reason": "The bill is open"}}
    assert "“Harbour” is suspended" in platform.said
    gateway.refuses("PlatformTenantResume", "There is no such tenant.", "TENANT_NOT_FOUND")
    await platform.resume("t1")
    assert (platform.problem, platform.said) == ("There is no such tenant.", "")


async def test_whoever_lost_their_second_factor_is_told_who_took_it_away(gateway: Gateway, visit: Visit) -> None:
    gateway.answers["Me"] = me("users:read", secondFactorReset={"at": "2026-01-01T00:00:00Z", "by": "op@example.org"})
    gateway.answers["Members"] = {"members": [], "invitations": [], "roles": []}
    state = visit(People, "/access/people")
    await run(state.load())
    assert state.factor_taken_by == "op@example.org"
