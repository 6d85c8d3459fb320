"""Refused logins are in their tenant's audit log: whose, why and how often, and never a row a try."""

import asyncio
import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key
from sqlalchemy import text

from engine.audit import service as audit
from engine.certificates import service as certificates
from engine.certificates.vault import LocalVault
from engine.devices import service as devices
from engine.drain import Drain
from engine.provisioning import keys
from engine.store.pool import Store
from infra.local.postgres import Postgres
from ingest.adapters.base import Refused
from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.packets import V5, Connect
from ingest.authorize import DoorAuthorizer
from ingest.database import Database
from ingest.newcomers import Newcomers
from ingest.refusals import FIRST_S, MOST, MOST_OF_ONE, WINDOW_S, Refusals
from tests.support import csr, tokens
from tests.support.line import Line
from tests.support.process import ingest_process
from tests.support.tenant import Tenant

HOOK_SECRET = "between-broker-and-gate"  # of these tests alone


class Told:
    """What was recorded, and a clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at = 1_000.0
        self.rows: list[tuple[UUID, dict[str, Any]]] = []
        self.refusals = Refusals(lambda tenant, _, body: self.rows.append((tenant, json.loads(body))), lambda: self.at)

    def sweep(self, later_s: float) -> list[tuple[Any, str, int]]:
        """What is told after so long: device, why, count."""
        self.at += later_s
        self.refusals.sweep()
        rows, self.rows = self.rows, []
        return [(body["device"], body["why"], body["count"]) for _, body in rows]


@pytest.fixture
async def told() -> Any:
    told = Told()
    yield told
    told.refusals.close()


async def test_a_loop_of_tries_is_one_number_per_device_and_reason_and_window(told: Told) -> None:
    tenant, device = uuid4(), uuid4()
    for _ in range(50):
        told.refusals.note(tenant, device, "unknown")
    told.refusals.note(tenant, device, "expired")
    assert told.sweep(FIRST_S - 1) == [], "others like it are waited for"
    assert sorted(told.sweep(1), key=str) == [(str(device), "expired", 1), (str(device), "unknown", 50)]
    for _ in range(1_000):
        told.refusals.note(tenant, device, "unknown")
        assert told.sweep(0.5) == []
    assert told.sweep(WINDOW_S) == [(str(device), "unknown", 1_000)]
    assert told.sweep(WINDOW_S) == []
    told.refusals.note(tenant, device, "unknown")
    assert told.sweep(FIRST_S) == [(str(device), "unknown", 1)], "it was quiet for a window: this is news again"


async def test_who_tries_many_devices_of_a_tenant_is_told_of_as_one_and_hides_nobody_elses(told: Told) -> None:
    tenant, other, theirs = uuid4(), uuid4(), uuid4()
    for _ in range(MOST_OF_ONE + 400):
        told.refusals.note(tenant, uuid4(), "unknown")
    told.refusals.note(other, theirs, "revoked")
    rows = told.sweep(FIRST_S)
    assert len(rows) == MOST_OF_ONE + 2
    assert (None, "many", 400) in rows
    assert (str(theirs), "revoked", 1) in rows


async def test_what_is_kept_in_memory_has_a_bound(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(MOST + 5):
        told.refusals.note(uuid4(), None, "unknown")
    assert len(told.sweep(FIRST_S)) == MOST
    said = [vars(record)["count"] for record in caplog.records if record.message == "ingest.refusals_untold"]
    assert said == [5], "one line for all of them"
    told.sweep(FIRST_S)
    assert len([record for record in caplog.records if record.message == "ingest.refusals_untold"]) == 1


async def test_what_was_not_told_is_told_at_the_end(told: Told) -> None:
    tenant, device = uuid4(), uuid4()
    told.refusals.note(tenant, device, "unknown")
    told.refusals.close()
    told.refusals.close()
    [(whose, body)] = told.rows
    assert (whose, body["device"], body["count"]) == (tenant, str(device), 1)
    assert body["first"] <= body["last"]


class Door:
    """An authorizer, and what it noted."""

    def __init__(self, postgres: Postgres) -> None:
        url = postgres.url("ingest")
        self.noted: list[tuple[UUID, UUID | None, str]] = []
        self.newcomers = Newcomers(Database(url))
        self.authorizer = DoorAuthorizer(
            Database(url), Database(url), newcomers=self.newcomers, noted=lambda *tried: self.noted.append(tried)
        )

    async def refuse(self, username: str, secret: str, certificate: bytes | None = None) -> list[Any]:
        """What a login that is refused leaves behind."""
        self.noted.clear()
        with pytest.raises(Refused):
            await self.authorizer.authorize("client", username, secret.encode(), certificate)
        return self.noted


@pytest.fixture
async def door(postgres: Postgres) -> Any:
    door = Door(postgres)
    yield door
    await door.authorizer.close()
    await door.newcomers.close()


async def test_each_refusal_is_noted_with_the_device_it_was_tried_at(
    door: Door, postgres: Postgres, tenant: Tenant, neighbour: Tenant
) -> None:
    device = await tenant.device()
    token = await tenant.device_token(device)
    name, line = f"{tenant.key}/d/{device.key}", Line(postgres)
    await door.authorizer.authorize("client", name, token.encode())
    assert door.noted == []
    assert await door.refuse(name, "tgd_wrong") == [(tenant.id, device.id, "unknown")]
    assert await door.refuse(f"{tenant.key}/d/nobody", token) == [(tenant.id, None, "unknown")]
    assert await door.refuse(f"{neighbour.key}/d/{device.key}", token) == [(neighbour.id, None, "unknown")]
    assert await door.refuse("nobody/d/nothing", token) == []
    assert await door.refuse("nonsense", token) == []
    await line.change("UPDATE devices SET status = 'suspended' WHERE id = %s", device.id)
    assert await door.refuse(name, token) == [(tenant.id, device.id, "suspended")]
    await line.change("UPDATE devices SET status = 'active' WHERE id = %s", device.id)
    await line.change("UPDATE tenants SET suspended_at = now() WHERE id = %s", tenant.id)
    assert await door.refuse(name, token) == [(tenant.id, device.id, "tenant_suspended")]
    await line.change("UPDATE tenants SET suspended_at = NULL WHERE id = %s", tenant.id)
    await line.change("UPDATE credentials SET expires_at = now() - interval '1 second' WHERE device_id = %s", device.id)
    assert await door.refuse(name, token) == [(tenant.id, device.id, "expired")]
    await line.change("UPDATE credentials SET revoked_at = now() WHERE device_id = %s", device.id)
    assert await door.refuse(name, token) == [(tenant.id, device.id, "revoked")]
    await line.change("UPDATE devices SET status = 'decommissioned' WHERE id = %s", device.id)
    assert await door.refuse(name, token) == [(tenant.id, device.id, "decommissioned")]


async def test_a_jwt_that_is_refused_is_noted_with_its_fault(door: Door, tenant: Tenant) -> None:
    device, without = await tenant.device(), await tenant.device()
    key, other = csr.key(), csr.key()
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await keys.register(tx, device.id, tokens.public(key))
    name = f"{tenant.key}/d/{device.key}"
    mine = tenant.id, device.id
    assert await door.refuse(name, tokens.jwt(other, name)) == [(*mine, "jwt_wrong")]
    assert await door.refuse(name, tokens.jwt(key, name, aud="elsewhere")) == [(*mine, "jwt_unfit")]
    assert await door.refuse(name, tokens.jwt(key, name, lasts_s=-1, iat=1)) != []
    keyless = f"{tenant.key}/d/{without.key}"
    assert await door.refuse(keyless, tokens.jwt(key, keyless)) == [(tenant.id, without.id, "jwt_wrong")]


async def test_a_certificate_that_is_refused_is_noted_and_one_nobody_noted_is_proven_first(
    door: Door, tenant: Tenant, neighbour: Tenant, tmp_path: Path
) -> None:
    vault = LocalVault(tmp_path / "vault.key")
    device, other, theirs = await tenant.device(), await tenant.device(), await neighbour.device()

    async def sign(of: Tenant, device_id: UUID) -> tuple[UUID, bytes, str]:
        async with of.store.as_tenant(of.principal()) as tx:
            signed = await certificates.sign(tx, vault, device_id, csr.request())
        made = x509.load_pem_x509_certificate(signed.certificate.encode())
        return signed.credential.id, made.public_bytes(csr.Encoding.DER), signed.authority

    credential, shown, authority = await sign(tenant, device.id)
    _, _, their_authority = await sign(neighbour, theirs.id)
    door.newcomers.believe([(authority, tenant.id, None), (their_authority, neighbour.id, None)])
    wrong = f"{tenant.key}/d/{other.key}"
    assert await door.refuse(wrong, "", shown) == [(tenant.id, device.id, "username")]
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.revoke_credential(tx, credential)
    assert await door.refuse("", "", shown) == [(tenant.id, device.id, "revoked")]

    async with tenant.store.as_tenant(tenant.principal(), read_only=True) as tx:
        [row] = await tx.rows(text("SELECT id, sealed_key FROM authorities"))
    stolen = await vault.open(row["sealed_key"], b"tidegate authority 1|" + tenant.id.bytes + row["id"].bytes)

    def forged(name: str, issuer: str, key: Any) -> bytes:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.load_pem_x509_certificate(issuer.encode()).subject)
            .public_key(csr.key().public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(key, SHA256())
            .public_bytes(csr.Encoding.DER)
        )

    key = load_der_private_key(stolen, None)
    own, foreign = f"{tenant.key}/d/{device.key}", f"{neighbour.key}/d/{theirs.key}"
    assert await door.refuse("", "", forged(own, authority, key)) == [(tenant.id, device.id, "certificate")]
    assert await door.refuse("", "", forged(foreign, authority, key)) == [(tenant.id, None, "certificate")]
    assert await door.refuse("", "", forged("any", authority, key)) == [(tenant.id, None, "certificate")]
    assert await door.refuse("", "", forged(foreign, their_authority, key)) == [], "their authority has not signed it"


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("TIDEGATE_AUTHORIZE_SECRET", HOOK_SECRET)
    return {"Authorization": f"Bearer {HOOK_SECRET}"}


async def test_over_mqtt_and_through_a_brokers_hook_it_is_one_line_of_the_log_that_keeps_no_secret(
    postgres: Postgres, tenant: Tenant, worker_store: Store, store: Store, tmp_path: Path, hooks: dict[str, str]
) -> None:
    device = await tenant.device("pump-7")
    name = f"{tenant.key}/d/pump-7"

    async def knock(port: int, username: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(encode(Connect(V5, "c", username=username, password=b"tgd_hush-hush"), V5))
        assert (await asyncio.wait_for(reader.readexactly(4), 20))[3] == 0x86
        writer.close()

    async with ingest_process(postgres.url("ingest"), tmp_path / "ingest.log") as process:
        for _ in range(10):
            await knock(process.mqtt_port, name)
        await knock(process.mqtt_port, f"{tenant.key}/d/made-up-name")
        async with httpx.AsyncClient(trust_env=False) as broker:
            url = f"http://127.0.0.1:{process.internal_port}/authorize/emqx/authn"
            for _ in range(5):
                answer = await broker.post(url, json={"username": name, "password": "tgd_hush-hush"}, headers=hooks)
                assert answer.json() == {"result": "deny"}
        await process.stop(signal.SIGTERM)
    await Drain(worker_store).run(tenant.id)
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        rows = (await audit.page(tx, action="device.login")).items
        assert (await audit.verify(tx)).fault is None
    found = {(row.target_kind, row.target_id, row.result, row.reason): row for row in rows}
    mine, unknown = (
        ("device", str(device.id), "refused", "CREDENTIAL_WRONG"),
        ("tenant", str(tenant.id), "refused", "DEVICE_UNKNOWN"),
    )
    assert set(found) == {mine, unknown}
    after = [row.after for row in rows if row.target_kind == "device" and isinstance(row.after, dict)]
    assert sum(each["tries"] for each in after) == 15
    assert len(after) <= 2, "a machine that is slow may begin a second window, and never writes a row a try"
    with psycopg.connect(postgres.url("superuser")) as connection:
        [kept] = connection.execute(
            "SELECT string_agg(a::text, '') || (SELECT string_agg(j::text, '') FROM journal j WHERE tenant_id = %s) "
            "FROM audit a WHERE tenant_id = %s",
            [tenant.id, tenant.id],
        ).fetchall()
    assert "hush" not in kept[0]
    assert "made-up-name" not in kept[0]
