"""The brokers' questions against the real door: tokens, certificates, and what ends them."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from engine.certificates import service as certificates
from engine.certificates.vault import LocalVault
from engine.devices import service as devices
from infra.local.postgres import Postgres
from ingest.adapters.authorize import admitted
from ingest.adapters.authorize.service import routes
from ingest.authorize import DoorAuthorizer
from ingest.database import Database
from tests.support import csr
from tests.support.patience import PATIENCE_S
from tests.support.process import ingest_process
from tests.support.tenant import Tenant

SECRET = "between-broker-and-gate"  # of these tests alone


@pytest.fixture
async def emqx(postgres: Postgres) -> AsyncIterator[httpx.AsyncClient]:
    url = postgres.url("ingest")
    authorizer = DoorAuthorizer(Database(url), Database(url))
    transport = httpx.ASGITransport(Starlette(routes=routes(authorizer, SECRET)))
    headers = {"Authorization": f"Bearer {SECRET}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://gate/authorize/emqx", headers=headers) as client:
        yield client
    await authorizer.close()


async def test_a_device_behind_a_broker_is_let_in_by_its_token_and_shut_out_when_it_is_revoked(
    emqx: httpx.AsyncClient, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admitted, "RECHECK_S", 0.0)
    device = await tenant.device()
    token, name = await tenant.device_token(device), f"{tenant.key}/d/{device.key}"
    login = {"clientid": "any", "username": name, "password": token}
    assert (await emqx.post("/authn", json=login)).json()["client_attrs"] == {
        "tenant": tenant.key,
        "device": device.key,
    }
    asked = {"username": name, "action": "subscribe", "topic": f"t/{name}/down/#"}
    assert (await emqx.post("/authz", json=asked)).json() == {"result": "allow"}
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.revoke_credential(tx, (await devices.credentials_of(tx, [device.id]))[device.id][0].id)
    assert (await emqx.post("/authz", json=asked)).json() == {"result": "deny"}
    assert (await emqx.post("/authn", json=login)).json() == {"result": "deny"}


async def test_a_token_of_one_tenant_opens_nothing_of_another(
    emqx: httpx.AsyncClient, tenant: Tenant, neighbour: Tenant
) -> None:
    device = await tenant.device(key="twin")
    await neighbour.device(key="twin")
    token = await tenant.device_token(device)
    login = {"clientid": "any", "username": f"{neighbour.key}/d/twin", "password": token}
    assert (await emqx.post("/authn", json=login)).json() == {"result": "deny"}


async def test_a_certificate_counts_by_its_fingerprint_and_a_common_name_alone_for_nothing(
    emqx: httpx.AsyncClient, tenant: Tenant, tmp_path: Path
) -> None:
    device = await tenant.device()
    name = f"{tenant.key}/d/{device.key}"
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        signed = await certificates.sign(tx, LocalVault(tmp_path / "vault"), device.id, csr.request(of=csr.key()))
    login = {"clientid": "any", "username": "", "password": "", "cert_pem": signed.certificate}
    answer = (await emqx.post("/authn", json={**login, "cert_common_name": "somebody/d/else"})).json()
    assert answer["client_attrs"] == {"tenant": tenant.key, "device": device.key}
    assert answer["expire_at"] > 1_700_000_000
    claimed = {**login, "cert_pem": "", "username": name, "cert_common_name": name}
    assert (await emqx.post("/authn", json=claimed)).json() == {"result": "deny"}


async def test_an_ingest_process_answers_on_its_internal_port_whoever_shows_the_secret(
    postgres: Postgres, tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_AUTHORIZE_SECRET", SECRET)
    device = await tenant.device()
    login = {"username": f"{tenant.key}/d/{device.key}", "password": await tenant.device_token(device)}
    log = tmp_path / "ingest.log"
    async with (
        ingest_process(postgres.url("ingest"), log) as process,
        httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as broker,
    ):
        url = f"http://127.0.0.1:{process.internal_port}/authorize/emqx/authn"
        assert (await broker.post(url, json=login)).status_code == 401
        headers = {"Authorization": f"Bearer {SECRET}"}
        assert (await broker.post(url, json=login, headers=headers)).json()["result"] == "allow"
        assert (await broker.post(url, json={**login, "password": "no"}, headers=headers)).json() == {"result": "deny"}
    assert login["password"] not in log.read_text()
    assert SECRET not in log.read_text()
