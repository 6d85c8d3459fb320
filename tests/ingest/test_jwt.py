"""Devices that sign in with a JWT of their own key: who is believed, for how long, and what the others are told."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine.devices import service as devices
from engine.devices.model import Credential, Device
from engine.provisioning import errors, keys
from infra.local.postgres import Postgres
from ingest.adapters.base import Refused
from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.packets import V5, Connect
from ingest.authorize import DoorAuthorizer
from ingest.database import Database
from tests.support import csr, tokens
from tests.support.line import Line
from tests.support.patience import PATIENCE_S
from tests.support.process import ingest_process
from tests.support.tenant import Tenant


@pytest.fixture
async def authorizer(postgres: Postgres) -> Any:
    url = postgres.url("ingest")
    authorizer = DoorAuthorizer(Database(url), Database(url))
    yield authorizer
    await authorizer.close()


async def register(tenant: Tenant, device: Device, key: ec.EllipticCurvePrivateKey, **more: Any) -> Credential:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await keys.register(tx, device.id, tokens.public(key), **more)


async def why(authorizer: DoorAuthorizer, username: str, secret: str | bytes) -> str:
    with pytest.raises(Refused) as refusal:
        await authorizer.authorize("c", username, secret if isinstance(secret, bytes) else secret.encode())
    return refusal.value.reason


async def test_a_device_signs_in_with_any_of_its_keys_until_its_token_ends(
    authorizer: DoorAuthorizer, tenant: Tenant
) -> None:
    device = await tenant.device()
    name, old, new = f"{tenant.key}/d/{device.key}", csr.key(), csr.key()
    for key in (old, new):
        await register(tenant, device, key)
    for key in (new, old):
        decision = await authorizer.authorize("c", name, tokens.jwt(key, name, lasts_s=600).encode())
        assert (decision.device_id, decision.tenant_id) == (device.id, tenant.id)
        assert decision.expires_at == pytest.approx(time.time() + 600, abs=5)
    token = await tenant.device_token(device)
    assert (await authorizer.authorize("c", name, token.encode())).session_epoch == decision.session_epoch + 1


async def test_a_token_that_says_what_it_may_not_is_told_so_once_it_is_proven(
    authorizer: DoorAuthorizer, tenant: Tenant
) -> None:
    device, other = await tenant.device(), await tenant.device()
    name, theirs, key = f"{tenant.key}/d/{device.key}", f"{tenant.key}/d/{other.key}", csr.key()
    await register(tenant, device, key)
    now = time.time()
    for said, reason in (
        (tokens.jwt(key, theirs), "jwt_unfit"),
        (tokens.jwt(key, name, aud="elsewhere"), "jwt_unfit"),
        (tokens.jwt(key, name, aud=None), "jwt_unfit"),
        (tokens.jwt(key, name, iat=None), "jwt_unfit"),
        (tokens.jwt(key, name, lasts_s=86_500), "jwt_unfit"),
        (tokens.jwt(key, name, iat=now - 60, exp=now - 1), "jwt_expired"),
        (tokens.jwt(key, name, iat=now + 300, exp=now + 600), "jwt_early"),
        (tokens.jwt(csr.key(), name), "bad_credentials"),
        (tokens.jwt(csr.key(), theirs, aud="elsewhere"), "bad_credentials"),
        (tokens.jws(key, {"sub": name}, {"alg": "none"}), "bad_credentials"),
        ("eyJ.eyJ.", "bad_credentials"),
    ):
        assert await why(authorizer, name, said) == reason
    assert await why(authorizer, theirs, tokens.jwt(key, theirs)) == "bad_credentials", "the key is another device's"
    assert await why(authorizer, theirs, tokens.jwt(key, name)) == "bad_credentials"


async def test_a_key_counts_in_its_tenant_only_and_no_password_stands_for_it(
    postgres: Postgres, authorizer: DoorAuthorizer, tenant: Tenant, neighbour: Tenant
) -> None:
    device, theirs = await tenant.device("pump"), await neighbour.device("pump")
    key = csr.key()
    await register(tenant, device, key)
    assert theirs.key == device.key
    foreign = f"{neighbour.key}/d/pump"
    assert await why(authorizer, foreign, tokens.jwt(key, foreign)) == "bad_credentials"
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    [(handle,)] = Line(postgres).look("SELECT secret_sha256 FROM credentials WHERE device_id = %s", device.id)
    for password in (der, tokens.public(key).encode(), b"", bytes(handle)):
        assert await why(authorizer, f"{tenant.key}/d/pump", password) == "bad_credentials"


async def test_a_revoked_or_expired_key_and_a_suspended_device_stay_outside(
    postgres: Postgres, authorizer: DoorAuthorizer, tenant: Tenant
) -> None:
    device = await tenant.device()
    name, key, short = f"{tenant.key}/d/{device.key}", csr.key(), csr.key()
    ends = datetime.now(UTC) + timedelta(minutes=5)
    await register(tenant, device, short, expires_at=ends)
    credential = await register(tenant, device, key)
    decision = await authorizer.authorize("c", name, tokens.jwt(short, name).encode())
    assert decision.expires_at == pytest.approx(ends.timestamp(), abs=0.01), "the key ends before the token"
    session = await authorizer.authorize("c", name, tokens.jwt(key, name).encode())
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.revoke_credential(tx, credential.id)
    assert await authorizer.dead([session]) == [(session, "revoked")]
    assert await why(authorizer, name, tokens.jwt(key, name)) == "revoked"
    line = Line(postgres)
    await line.change("UPDATE credentials SET expires_at = now() - interval '1 s' WHERE device_id = %s", device.id)
    assert await why(authorizer, name, tokens.jwt(short, name)) == "revoked"
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await keys.register(tx, device.id, orjson.dumps(tokens.jwk(csr.key())).decode())
        await devices.suspend(tx, device.id)
    assert await why(authorizer, name, tokens.jwt(key, name)) == "revoked"


async def test_a_key_is_registered_once_and_not_more_than_eight(tenant: Tenant) -> None:
    device = await tenant.device()
    first = csr.key()
    credential = await register(tenant, device, first)
    assert (credential.kind, len(credential.fingerprint or "")) == ("jwt", 64)
    with pytest.raises(errors.PublicKeyTaken):
        await register(tenant, device, first)
    for _ in range(7):
        await register(tenant, device, csr.key())
    with pytest.raises(errors.TooManyKeys):
        await register(tenant, device, csr.key())
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.revoke_credential(tx, credential.id)
    await register(tenant, device, first)


async def test_a_session_over_mqtt_ends_when_its_token_does(
    postgres: Postgres, tenant: Tenant, tmp_path_factory: pytest.TempPathFactory
) -> None:
    device, key = await tenant.device(), csr.key()
    await register(tenant, device, key)
    name = f"{tenant.key}/d/{device.key}"
    async with ingest_process(postgres.url("ingest"), tmp_path_factory.mktemp("jwt") / "log") as process:
        reader, writer = await asyncio.open_connection("127.0.0.1", process.mqtt_port)
        token = tokens.jwt(key, name, lasts_s=3).encode()
        writer.write(encode(Connect(V5, "c", username=name, password=token), V5))
        assert (await asyncio.wait_for(reader.readexactly(4), PATIENCE_S))[3] == 0
        rest = await asyncio.wait_for(reader.read(), PATIENCE_S)
        assert b"\xe0" in rest, "a DISCONNECT"
        assert b"\xa0" in rest, "maximum connect time"
        assert b"expired" in rest
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", process.mqtt_port)
        writer.write(encode(Connect(V5, "c", username=name, password=token), V5))
        answer = await asyncio.wait_for(reader.read(400), PATIENCE_S)
        assert answer[3] == 0x87
        assert b"sign a new one" in answer
        writer.close()
