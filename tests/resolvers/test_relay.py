"""What the web process believes of an ingest process that passes newcomers on, and of whoever only says it is one."""

import base64
from typing import Any

import httpx
import pytest

from resolvers.arrivals import FAILURES_IN_ALL, Guesses
from resolvers.gateway import Gateway
from schema.wire import relay
from tests.support.api import Api
from tests.support.tenant import Tenant


@pytest.fixture
def ingest(gateway: Gateway) -> dict[str, str]:
    """The headers of an ingest process of ours."""
    gateway.arrivals._guesses = Guesses()
    return {relay.SECRET: gateway.arrivals._relay_secret(), relay.ADDRESS: "192.0.2.9"}


async def post(api: Api, path: str, headers: dict[str, str], **said: Any) -> httpx.Response:
    return await api.client.post(path, json=said, headers=headers)


async def key_of(api: Api, tenant: Tenant) -> str:
    asked = {"name": "batch", "mode": "CREATE", "profileId": str((await tenant.profile()).id)}
    answer = await api.rest(await tenant.api_token(), "POST", "/provisioners/keys", json=asked)
    return str(answer.json()["key"])


async def test_the_key_of_a_connection_counts_as_if_it_had_been_said(
    api: Api, tenant: Tenant, ingest: dict[str, str]
) -> None:
    key = await key_of(api, tenant)
    mine = {**ingest, relay.KEY: key}
    greeted = await post(api, relay.GREET, mine)
    assert (greeted.status_code, greeted.json()) == (200, {"tenant": tenant.key})
    told = await post(api, relay.PROVISION, mine, device="pump-1")
    assert (told.status_code, told.json()["username"]) == (201, f"{tenant.key}/d/pump-1")
    found = await api.data(await tenant.api_token(), "{ enrolments { items { address } } }")
    assert found["enrolments"]["items"] == [{"address": "192.0.2.9"}], "the device's own, not the relay's"


async def test_who_does_not_show_the_secret_is_believed_nothing(
    api: Api, tenant: Tenant, ingest: dict[str, str]
) -> None:
    key = await key_of(api, tenant)
    said = {relay.KEY: key, relay.ADDRESS: "192.0.2.9", relay.CERTIFICATE: "AAAA"}
    stranger = await post(api, relay.PROVISION, said, device="pump-1")
    assert (stranger.status_code, stranger.json()["code"]) == (422, "INTRODUCTION_MALFORMED")
    assert (await post(api, relay.GREET, said)).status_code == 404
    for wrong in ("guess", "", ingest[relay.SECRET][:-1], "é"):
        liar = httpx.Headers([*((name.encode(), value.encode()) for name, value in said.items())])
        liar[relay.SECRET] = wrong
        for path in (relay.PROVISION, relay.GREET, relay.CLAIM):
            answer = await api.client.post(path, json={"device": "pump-1"}, headers=liar)
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
            assert ingest[relay.SECRET] not in answer.text
    direct = await post(api, relay.PROVISION, {relay.ADDRESS: "192.0.2.9"}, key=key, device="pump-1")
    assert direct.status_code == 201
    found = await api.data(await tenant.api_token(), "{ enrolments { items { address } } }")
    assert found["enrolments"]["items"] != [{"address": "192.0.2.9"}]


async def test_failures_are_counted_for_the_devices_address_and_no_other(api: Api, ingest: dict[str, str]) -> None:
    for number in range(FAILURES_IN_ALL):
        await post(api, relay.GREET, {**ingest, relay.KEY: f"tgp_{number}"})
    slowed = await post(api, relay.GREET, {**ingest, relay.KEY: "tgp_x"})
    assert (slowed.status_code, slowed.headers["retry-after"]) == (429, "60")
    assert (await post(api, relay.PROVISION, ingest, key="tgp_x", device="a")).status_code == 429
    elsewhere = await post(api, relay.GREET, {**ingest, relay.ADDRESS: "192.0.2.10", relay.KEY: "tgp_x"})
    assert elsewhere.status_code == 403


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({relay.CERTIFICATE: "***"}, 400),
        ({relay.CERTIFICATE: base64.b64encode(b"no certificate").decode()}, 403),
        ({relay.KEY: "tgp_" + "A" * 64}, 403),
        ({relay.KEY: "x" * 10_000}, 403),
        ({}, 403),
    ],
    ids=["no base64", "no certificate", "unknown key", "long key", "nothing"],
)
async def test_what_was_shown_may_be_anything(
    api: Api, ingest: dict[str, str], more: dict[str, str], status: int
) -> None:
    answer = await post(api, relay.GREET, {**ingest, **more})
    assert answer.status_code == status, answer.text
    assert len(answer.json()["detail"]) > 10
