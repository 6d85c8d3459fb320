"""Channels, policies and the delivery log through the contract: who may, what is shown, and an invitation by mail."""

import asyncio
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.applications import Starlette

from engine.journal.bus import MemoryBus
from engine.notifications.mail import Mail
from engine.notifications.postman import Postman, Ways
from engine.outbound.fetch import Outbound
from engine.settings import Settings
from engine.store.pool import Store
from engine.tenancy import Role
from infra.local.postgres import Postgres
from resolvers.gateway import Gate, Gateway
from tests.support.api import Api
from tests.support.outside import post_office
from tests.support.patience import PATIENCE_S
from tests.support.tenant import Tenant

HOOK = {"name": "Our program", "webhook": {"url": "https://hooks.example/a-secret-path?token=a-secret-token"}}


async def _channel(api: Api, token: str, body: dict[str, Any]) -> dict[str, Any]:
    made = await api.rest(token, "PATCH", "/channels", json=body)
    assert made.status_code == 200, made.text
    found: dict[str, Any] = made.json()
    return found


async def test_a_webhooks_key_is_shown_once_and_its_address_never(api: Api, tenant: Tenant) -> None:
    token = await tenant.api_token()
    made = await _channel(api, token, HOOK)
    assert made["secret"].startswith("whsec_")
    path = f"/channels/{made['channel']['id']}"
    one, all_ = await api.rest(token, "GET", path), await api.rest(token, "GET", "/channels")
    audit = await api.rest(token, "GET", "/audit")
    assert one.json()["target"] == "hooks.example"
    for said in (one.text, all_.text, audit.text):
        for secret in (made["secret"], "a-secret-path", "a-secret-token"):
            assert secret not in said
    renamed = await api.rest(token, "PATCH", path, json={"name": "Their program"})
    assert renamed.json()["secret"] is None
    moved = await api.rest(token, "PATCH", path, json={"webhook": {"url": "https://other.example/"}})
    assert moved.json()["secret"] not in (None, made["secret"])
    inwards = await api.rest(token, "PATCH", path, json={"webhook": {"url": "http://10.0.0.1/"}})
    assert (inwards.status_code, inwards.json()["code"]) == (422, "ADDRESS_REFUSED")
    assert (await api.rest(token, "GET", path)).json()["target"] == "other.example"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "x"}, 422, "CHANNEL_MALFORMED"),
        ({"name": "x", "email": {"addresses": ["a@b.example"]}, **HOOK}, 422, "CHANNEL_MALFORMED"),
        ({"name": "x", "email": {"addresses": []}}, 422, "CHANNEL_MALFORMED"),
        ({"name": "x", "webhook": {"url": "http://127.0.0.1/"}}, 422, "ADDRESS_REFUSED"),
        ({"name": "x", "webhook": {"url": "file:///etc/passwd"}}, 422, "ADDRESS_REFUSED"),
        ({"name": "x", "slack": {"webhookUrl": "https://evil.example/services/T/B/x"}}, 422, "CHANNEL_MALFORMED"),
        ({"name": "x", "teams": {"webhookUrl": "https://127.0.0.1/workflows/x"}}, 422, "CHANNEL_MALFORMED"),
    ],
)
async def test_what_is_no_channel_is_refused_and_says_why(
    api: Api, token: str, body: dict[str, Any], status: int, code: str
) -> None:
    refused = await api.rest(token, "PATCH", "/channels", json=body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_what_is_no_secret_of_a_chat_is_changed_alone(api: Api, token: str) -> None:
    chat = {"botToken": "123456789:AAFabcdefghijklmnopqrstuvwxyz0123", "chat": "-1001234567890"}
    made = await _channel(api, token, {"name": "Chat", "telegram": chat})
    path = f"/channels/{made['channel']['id']}"
    moved = await api.rest(token, "PATCH", path, json={"telegram": {"chat": "@harbour"}})
    assert (moved.status_code, moved.json()["channel"]["telegram"]) == (200, {"chat": "@harbour"})
    assert (await api.rest(token, "GET", path)).json()["sms"] is None
    without = await api.rest(token, "PATCH", "/channels", json={"name": "Other", "telegram": {"chat": "@harbour"}})
    assert (without.status_code, without.json()["code"]) == (422, "CHANNEL_MALFORMED")


async def test_who_may_only_look_changes_nothing_and_who_watches_only_does_not_even_look(
    api: Api, tenant: Tenant
) -> None:
    operator, viewer = await tenant.api_token(Role.OPERATOR), await tenant.api_token(Role.VIEWER)
    assert (await api.rest(operator, "GET", "/channels")).status_code == 200
    assert (await api.rest(operator, "PATCH", "/channels", json=HOOK)).status_code == 403
    for path in ("/channels", "/notification-policies", "/deliveries", "/notification-settings"):
        assert (await api.rest(viewer, "GET", path)).status_code == 403


async def test_a_policy_is_made_changed_and_removed_and_keeps_its_channels(api: Api, tenant: Tenant) -> None:
    token = await tenant.api_token()
    channel = (await _channel(api, token, {"name": "team", "email": {"addresses": ["a@b.example"]}}))["channel"]
    body = {
        "name": "On call",
        "severities": ["CRITICAL", "MAJOR"],
        "steps": [{"afterMin": 0, "channelIds": [channel["id"]]}],
        "quietHours": {"start": "22:00", "end": "07:00", "timeZone": "Europe/Berlin"},
    }
    made = await api.rest(token, "POST", "/notification-policies", json=body)
    assert (made.status_code, made.json()["key"]) == (201, "on-call")
    assert made.json()["quietHours"] == body["quietHours"]
    assert made.json()["severities"] == ["MAJOR", "CRITICAL"]
    path = f"/notification-policies/{made.json()['id']}"
    loud = await api.rest(token, "PATCH", path, json={"alwaysLoud": True}, headers={"If-Match": '"v1"'})
    assert (loud.status_code, loud.json()["quietHours"], loud.json()["version"]) == (200, None, 2)
    stale = await api.rest(token, "PATCH", path, json={"name": "x"}, headers={"If-Match": '"v1"'})
    assert stale.status_code == 412
    used = await api.rest(token, "DELETE", f"/channels/{channel['id']}")
    assert (used.status_code, used.json()["code"]) == (409, "CHANNEL_IN_USE")
    assert (await api.rest(token, "DELETE", path)).status_code == 200
    assert (await api.rest(token, "DELETE", f"/channels/{channel['id']}")).status_code == 200


async def test_a_test_is_a_delivery_to_ask_for_again(
    api: Api, tenant: Tenant, gateway: Gateway, worker_store: Store
) -> None:
    token = await tenant.api_token()
    channel = (await _channel(api, token, {"name": "team", "email": {"addresses": ["a@b.example"]}}))["channel"]
    sent = await api.data(token, "mutation($id: ID!) { channelTest(id: $id) { id state target } }", id=channel["id"])
    (test,) = sent["channelTest"]
    assert (test["state"], test["target"]) == ("WAITING", "a@b.example")
    await _deliver(tenant, gateway, worker_store, None)
    seen = (await api.rest(token, "GET", f"/deliveries/{test['id']}")).json()
    assert (seen["state"], seen["canRetry"]) == ("GIVEN_UP", True)
    assert "Mail is not set up" in seen["lastError"]
    again = await api.rest(token, "POST", f"/deliveries/{test['id']}/retry")
    assert (again.status_code, again.json()["state"]) == (200, "WAITING")
    twice = await api.rest(token, "POST", f"/deliveries/{test['id']}/retry")
    assert (twice.status_code, twice.json()["code"]) == (409, "DELIVERY_OVER")
    assert (await api.rest(token, "GET", f"/deliveries/{uuid4()}")).status_code == 404


INVITE = "mutation($to: MemberInvite!) { memberInvite(input: $to) { isMailed link } }"


async def test_an_invitation_comes_by_mail_and_its_link_lets_the_person_in(
    api: Api, tenant: Tenant, gateway: Gateway, worker_store: Store, postgres: Postgres, engines_dir: Path
) -> None:
    token, to = await tenant.api_token(), {"email": f"ada@{tenant.key}.example", "role": "OPERATOR"}
    silent = (await api.data(token, INVITE, to=to))["memberInvite"]
    assert silent["isMailed"] is False
    assert (await api.rest(token, "GET", "/deliveries")).json()["items"] == []
    settings = Settings(
        database_url=postgres.url("app"), data_dir=engines_dir, smtp_url="smtp://127.0.0.1", mail_from="t@gate.example"
    )
    with_mail = Gateway(settings, bus=MemoryBus())
    transport = httpx.ASGITransport(Gate(Starlette(routes=with_mail.routes()), with_mail.origins))
    async with with_mail.running(), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        told = (await Api(client).data(token, INVITE, to=to))["memberInvite"]
    assert told["isMailed"] is True
    log = await api.rest(token, "GET", "/deliveries")
    (entry,) = log.json()["items"]
    assert (entry["what"], entry["target"]) == ("invitation", to["email"])
    assert told["link"] not in log.text
    with post_office() as post:
        await _deliver(tenant, gateway, worker_store, Mail("127.0.0.1", post.port, False, "tide@gate.example"))
    body = post.letters[0].get_body(("plain",))
    assert body is not None
    link = re.search(r"https://tide\.example(/auth/accept\?token=tgi_[\w-]+)", body.get_content())
    assert link is not None
    assert link.group(1) == told["link"]
    form = await api.client.get(link.group(1), headers={"Accept": "text/html"})
    assert form.status_code == 200


async def _deliver(tenant: Tenant, gateway: Gateway, worker_store: Store, mail: Mail | None) -> None:
    postman = Postman(worker_store, Ways(gateway.services.vault, Outbound(), mail, "https://tide.example"))
    postman.wake([tenant.id])
    async with asyncio.timeout(PATIENCE_S):
        await postman.rest()
