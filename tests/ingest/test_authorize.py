"""Who may come in: one question for a herd, a reason for each refusal, and no waiting for a database that is away."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from engine.devices import service as devices
from infra.local.postgres import Postgres
from ingest.adapters.base import Decision, Refused
from ingest.authorize import DoorAuthorizer
from ingest.database import Database
from tests.support.line import Line
from tests.support.tenant import Tenant


@pytest.fixture
async def authorizer(postgres: Postgres) -> DoorAuthorizer:
    url = postgres.url("ingest")
    return DoorAuthorizer(Database(url), Database(url))


async def why(authorizer: DoorAuthorizer, username: str, secret: str) -> str:
    with pytest.raises(Refused) as refusal:
        await authorizer.authorize("client", username, secret.encode())
    return refusal.value.reason


async def test_a_device_is_recognised_by_its_token_and_each_login_has_a_higher_epoch(
    authorizer: DoorAuthorizer, tenant: Tenant
) -> None:
    device = await tenant.device()
    token, name = await tenant.device_token(device), f"{tenant.key}/d/{device.key}"
    first = await authorizer.authorize("any", name, token.encode())
    second = await authorizer.authorize("another", name, token.encode())
    assert (first.tenant_id, first.tenant, first.device_id, first.device) == (
        tenant.id,
        tenant.key,
        device.id,
        device.key,
    )
    assert second.session_epoch == first.session_epoch + 1
    assert first.expires_at is None
    await authorizer.close()


async def test_each_refusal_has_its_reason(authorizer: DoorAuthorizer, tenant: Tenant, neighbour: Tenant) -> None:
    device, other, ended = [await tenant.device() for _ in range(3)]
    foreign = await neighbour.device()
    token = await tenant.device_token(device)
    name = f"{tenant.key}/d/{device.key}"
    assert await why(authorizer, name, "tgd_wrong") == "bad_credentials"
    assert await why(authorizer, name, "") == "bad_credentials"
    assert await why(authorizer, "not a username", token) == "bad_credentials"
    assert await why(authorizer, f"{tenant.key}/d/{other.key}", token) == "bad_credentials"
    assert await why(authorizer, f"{neighbour.key}/d/{device.key}", token) == "bad_credentials"
    assert await why(authorizer, f"{neighbour.key}/d/{foreign.key}", token) == "bad_credentials"
    ended_token = await tenant.device_token(ended)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.decommission(tx, ended.id)
    assert await why(authorizer, f"{tenant.key}/d/{ended.key}", ended_token) == "revoked"
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.revoke_credential(tx, (await devices.credentials_of(tx, [device.id]))[device.id][0].id)
    assert await why(authorizer, name, token) == "revoked"
    await authorizer.close()


async def test_a_token_says_when_it_ends_and_a_suspended_device_waits_outside(
    postgres: Postgres, authorizer: DoorAuthorizer, tenant: Tenant
) -> None:
    device = await tenant.device()
    ends = datetime.now(UTC) + timedelta(hours=1)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        _, token = await devices.issue_token(tx, device.id, ends)
    name = f"{tenant.key}/d/{device.key}"
    decision = await authorizer.authorize("any", name, token.encode())
    assert decision.expires_at == pytest.approx(ends.timestamp(), abs=0.001)
    line = Line(postgres)
    await line.change("UPDATE devices SET status = 'suspended' WHERE id = %s", device.id)
    assert await why(authorizer, name, token) == "suspended"
    await line.change("UPDATE devices SET status = 'active' WHERE id = %s", device.id)
    await line.change("UPDATE credentials SET expires_at = now() - interval '1 second' WHERE device_id = %s", device.id)
    assert await why(authorizer, name, token) == "revoked"
    await authorizer.close()


async def test_a_herd_is_answered_each_by_its_own_and_in_few_questions(
    postgres: Postgres, authorizer: DoorAuthorizer, tenant: Tenant
) -> None:
    fleet = [await tenant.device() for _ in range(6)]
    tokens = [await tenant.device_token(device) for device in fleet]
    line = Line(postgres)
    [(before,)] = line.look("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
    logins = [
        authorizer.authorize("any", f"{tenant.key}/d/{device.key}", secret.encode())
        for device, token in zip(fleet, tokens, strict=True)
        for secret in (token, "tgd_wrong")
        for _ in range(40)
    ]
    answers = await asyncio.gather(*logins, return_exceptions=True)
    for number, device in enumerate(fleet):
        mine = answers[80 * number : 80 * number + 80]
        decisions = [answer for answer in mine[:40] if isinstance(answer, Decision)]
        assert [decision.device_id for decision in decisions] == [device.id] * 40
        assert len({decision.session_epoch for decision in decisions}) == 40
        assert [answer.reason for answer in mine[40:] if isinstance(answer, Refused)] == ["bad_credentials"] * 40
    await authorizer.close()
    # 480 logins in questions of at most 200; whatever else ran meanwhile is far less than a question each.
    await asyncio.sleep(1.1)  # the server publishes its statistics once a second
    [(after,)] = line.look("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
    assert after - before < 200


async def test_without_a_database_a_login_is_unavailable_not_wrong(tenant: Tenant) -> None:
    nowhere = "postgresql://tidegate_ingest@127.0.0.1:9/none"
    authorizer = DoorAuthorizer(Database(nowhere), Database(nowhere))
    assert await why(authorizer, f"{tenant.key}/d/any", "tgd_any") == "unavailable"
    await authorizer.close()


async def test_sessions_whose_device_or_credential_ended_are_found_dead(
    authorizer: DoorAuthorizer, tenant: Tenant
) -> None:
    fleet = [await tenant.device() for _ in range(5)]
    sessions = []
    for device in fleet:
        token = await tenant.device_token(device)
        sessions.append(await authorizer.authorize("any", f"{tenant.key}/d/{device.key}", token.encode()))
    assert await authorizer.dead(sessions) == []
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.decommission(tx, fleet[0].id)
        await devices.revoke_credential(tx, (await devices.credentials_of(tx, [fleet[2].id]))[fleet[2].id][0].id)
        await devices.suspend(tx, fleet[3].id)
    younger = await authorizer.authorize("any", f"{tenant.key}/d/{fleet[4].key}", token.encode())
    assert await authorizer.dead([*sessions, younger]) == [
        (sessions[0], "revoked"),
        (sessions[2], "revoked"),
        (sessions[3], "suspended"),
        (sessions[4], "take_over"),
    ]
    await authorizer.close()


async def _told(postgres: Postgres, logins: Callable[[], Awaitable[object]]) -> list[str]:
    """What processes are told while these log in."""
    told: list[str] = []
    async with await psycopg.AsyncConnection.connect(postgres.url("ingest"), autocommit=True) as listener:
        await listener.execute("LISTEN tidegate_changed")
        await logins()
        async for note in listener.notifies(timeout=0.5):
            told.append(note.payload)
    return told


async def test_a_login_is_told_to_all_only_when_an_older_session_may_live(
    postgres: Postgres, authorizer: DoorAuthorizer, tenant: Tenant
) -> None:
    device = await tenant.device()
    token, name = await tenant.device_token(device), f"{tenant.key}/d/{device.key}"
    line = Line(postgres)

    async def log_in() -> None:
        await authorizer.authorize("any", name, token.encode())

    assert await _told(postgres, log_in) == [], "its first"
    assert await _told(postgres, log_in) == [f"login:{device.id}:2"], "nobody has heard how the first went"
    await line.change("UPDATE presence SET seen_epoch = 2, is_online = true WHERE device_id = %s", device.id)
    assert await _told(postgres, log_in) == [f"login:{device.id}:3"], "the second is known to live"
    await line.change("UPDATE presence SET seen_epoch = 3, is_online = false WHERE device_id = %s", device.id)
    assert await _told(postgres, log_in) == [], "the third is known to be over"
    assert await _told(postgres, lambda: why(authorizer, name, "tgd_wrong")) == [], "who is refused takes nothing over"
    await authorizer.close()
