"""An audit finds what is wrong with a fleet, says what to do, and forgets what has been mended."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from psycopg.types.json import Jsonb

from engine import clock, ids
from engine.certificates import service as certificates
from engine.certificates.foreign import common_name
from engine.certificates.vault import LocalVault
from engine.devices import quarantine, service
from engine.devices.errors import ReasonMalformed
from engine.fleet import audit, chores, errors
from engine.fleet.checks import BY_KIND, CHECKS
from engine.fleet.model import Finding, FindingStatus
from engine.provisioning import provisioners
from engine.provisioning.model import Mode, Provisioner, Terms
from engine.store.pool import Store
from infra.local.postgres import Postgres
from tests.support.authority import Authority, pem
from tests.support.csr import request
from tests.support.tenant import Tenant

ALL = "superuser"


async def found(tenant: Tenant, kind: str, status: FindingStatus = FindingStatus.OPEN) -> Sequence[Finding]:
    """What an audit made now finds of one kind."""
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        made = await audit.run(tx)
        items = (await audit.page(tx, kind=kind, status=status)).items
    if status is FindingStatus.OPEN:
        assert next(figure.found for figure in made.figures if figure.kind == kind) == len(items)
    return items


def change(tenant: Tenant, statement: str, *arguments: object, role: str = "app") -> None:
    """What time or another process would have done."""
    with psycopg.connect(tenant.postgres.url(role)) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant.id)])
        connection.execute("SELECT set_config('app.tenants', %s, true)", [f"{{{tenant.id}}}"])
        done = connection.execute(statement, arguments)
        assert done.rowcount > 0


async def register(tenant: Tenant, authority: Authority) -> Provisioner:
    """Let an authority of the tenant's own let devices in, under its own name."""
    name = common_name(authority.certificate)
    proof = authority.sign(provisioners.verification_name(tenant.id))
    terms = Terms(name, Mode.CREATE, (await tenant.profile()).id)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await provisioners.register_authority(tx, terms, pem(authority.certificate), pem(proof))


def ago(**span: float) -> datetime:
    return clock.now() - timedelta(**span)


async def test_a_fleet_in_order_has_no_findings(tenant: Tenant, store: Store) -> None:
    await tenant.device_token(await tenant.device())
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(errors.NotAudited):
            await audit.latest(tx)
        made = await audit.run(tx)
        assert await audit.latest(tx) == made
    assert [figure.kind for figure in made.figures] == [check.kind for check in CHECKS]
    assert sum(figure.found for figure in made.figures) == 0
    assert made.devices == 1


async def test_credentials_that_end_or_have_ended(tenant: Tenant, store: Store) -> None:
    soon, ended, both = [await tenant.device(key) for key in ("soon", "ended", "both")]
    async with store.as_tenant(tenant.principal()) as tx:
        for device in (soon, ended, both):
            await service.issue_token(tx, device.id, clock.now() + timedelta(days=10))
        await service.issue_token(tx, both.id)
    change(tenant, "UPDATE credentials SET expires_at = %s WHERE device_id = %s", ago(days=1), ended.id)
    (finding,) = await found(tenant, "credential_expiring")
    assert finding.device_id == soon.id
    assert "30 days" in finding.wrong
    assert "next one now" in finding.mend
    (finding,) = await found(tenant, "credential_expired")
    assert finding.device_id == ended.id


async def test_one_key_in_two_devices_and_a_weak_one(tenant: Tenant, store: Store, tmp_path: Path) -> None:
    vault, shared = LocalVault(tmp_path / "vault.key"), request()
    a, b, alone = [await tenant.device(key) for key in ("a", "b", "alone")]
    async with store.as_tenant(tenant.principal()) as tx:
        for device in (a, b):
            await certificates.sign(tx, vault, device.id, shared)
        weak = await certificates.sign(tx, vault, alone.id, request())
    findings = await found(tenant, "certificate_key_shared")
    assert {finding.device_id for finding in findings} == {a.id, b.id}
    assert findings[0].facts["devices"] == 2
    change(
        tenant,
        "UPDATE certificates SET key_kind = 'rsa', key_bits = 1024 WHERE credential_id = %s",
        weak.credential.id,
    )
    (finding,) = await found(tenant, "certificate_key_weak")
    assert (finding.device_id, finding.facts) == (alone.id, {"kind": "rsa", "bits": 1024})


async def test_the_tenants_authority_is_about_to_end(tenant: Tenant, store: Store, tmp_path: Path) -> None:
    device = await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        await certificates.sign(tx, LocalVault(tmp_path / "vault.key"), device.id, request())
    assert await found(tenant, "authority_expiring") == ()
    change(tenant, "UPDATE authorities SET expires_at = %s WHERE tenant_id = %s", ago(days=-89), tenant.id, role=ALL)
    (finding,) = await found(tenant, "authority_expiring")
    assert (finding.severity, finding.device_id) == ("high", None)
    assert datetime.fromisoformat(str(finding.facts["ends_at"])) < ago(days=-90)
    change(tenant, "UPDATE authorities SET expires_at = %s WHERE tenant_id = %s", ago(days=-91), tenant.id, role=ALL)
    assert await found(tenant, "authority_expiring") == ()


async def test_a_registered_authority_is_about_to_end_until_it_is_of_no_account(tenant: Tenant, store: Store) -> None:
    soon = await register(tenant, Authority("Old root", timedelta(days=60)))
    await register(tenant, Authority("New root", timedelta(days=400)))
    (finding,) = await found(tenant, "registered_authority_expiring")
    assert finding.subject == str(soon.id)
    assert (finding.facts["name"], finding.facts["devices"]) == ("Old root", 0)
    assert finding.wrong.startswith("“Old root”, an authority that you registered, ends")
    device = await tenant.device()
    change(
        tenant,
        "INSERT INTO enrolments (tenant_id, id, provisioner_id, status, proof, material_sha256, device_key, device_id, "
        "labels, groups, address, asked_at, expires_at) "
        "VALUES (%s, %s, %s, 'done', 'key', sha256(''), 'pump', %s, '{}', '{}', '', now(), now())",
        tenant.id,
        ids.uuid7(),
        soon.id,
        device.id,
        role=ALL,
    )
    async with store.as_tenant(tenant.principal()) as tx:
        await provisioners.revoke(tx, soon.id)
    (still,) = await found(tenant, "registered_authority_expiring")
    assert (still.id, still.facts["devices"]) == (finding.id, 1), "a device still shows its certificate"
    async with store.as_tenant(tenant.principal()) as tx:
        await service.decommission(tx, device.id)
    assert await found(tenant, "registered_authority_expiring") == ()


async def test_the_key_of_a_registered_authority_is_weak(tenant: Tenant) -> None:
    way = await register(tenant, Authority("Root", timedelta(days=400)))
    assert await found(tenant, "registered_authority_weak") == ()
    weak = Authority("Root", timedelta(days=400), rsa.generate_private_key(65_537, 1_024))  # from before it was asked
    change(tenant, "UPDATE provisioners SET certificate = %s WHERE id = %s", pem(weak.certificate), way.id, role=ALL)
    (finding,) = await found(tenant, "registered_authority_weak")
    assert (finding.subject, finding.facts["kind"], finding.facts["bits"]) == (str(way.id), "rsa", 1_024)
    assert "revoke this way in" in finding.mend


async def test_who_takes_over_whose_connection(tenant: Tenant) -> None:
    pump = await tenant.device()
    with psycopg.connect(tenant.postgres.url("ingest")) as connection:
        connection.execute("SELECT set_config('app.tenants', %s, true)", [f"{{{tenant.id}}}"])
        for epoch in range(1, 5):
            body = f'{{"device": "{pump.id}", "epoch": {epoch}, "at": 1, "reason": "take_over"}}'
            connection.execute(
                "SELECT * FROM app.append(%s::uuid[], %s, %s::json[])", [[tenant.id], ["device.disconnected"], [body]]
            )
    (finding,) = await found(tenant, "client_ids_conflict")
    assert (finding.device_id, finding.facts) == (pump.id, {"take_overs": 4})


async def test_who_is_connected_and_may_not_be(tenant: Tenant, store: Store) -> None:
    off, bare, fine = [await tenant.device(key) for key in ("off", "bare", "fine")]
    await tenant.device_token(fine)
    async with store.as_tenant(tenant.principal()) as tx:
        await service.suspend(tx, off.id)
    change(tenant, "UPDATE presence SET is_online = true", role="worker")
    change(tenant, "UPDATE devices SET updated_at = %s", ago(minutes=5))
    findings = await found(tenant, "revoked_but_connected")
    assert {finding.device_id for finding in findings} == {off.id, bare.id}
    assert {finding.severity for finding in findings} == {"critical"}


async def test_who_is_silent_never_came_or_is_away_with_an_endless_token(tenant: Tenant, store: Store) -> None:
    silent, never, away = [await tenant.device(key) for key in ("silent", "never", "away")]
    await tenant.device_token(away)
    change(tenant, "UPDATE devices SET created_at = %s", ago(days=8))
    change(tenant, "UPDATE presence SET session_epoch = 1, since = %s WHERE device_id <> %s", ago(days=91), never.id, role="worker")  # fmt: skip  # noqa: E501
    change(
        tenant,
        "INSERT INTO latest (tenant_id, device_id, values, received_at) VALUES (%s, %s, '{}', %s)",
        tenant.id,
        silent.id,
        ago(days=2),
        role="worker",
    )
    assert [finding.device_id for finding in await found(tenant, "silent")] == [silent.id]
    change(tenant, "UPDATE latest SET received_at = %s", ago(hours=2), role="worker")
    assert await found(tenant, "silent") == ()
    change(
        tenant,
        "INSERT INTO counts (tenant_id, device_id, hour, received, stored, duplicates, rejected, refused, not_kept) "
        "VALUES (%s, %s, date_trunc('hour', %s::timestamptz), 60, 60, 0, 0, 0, 0)",
        tenant.id,
        silent.id,
        ago(hours=2),
        role="worker",
    )
    (finding,) = await found(tenant, "silent")
    assert finding.facts["usual_interval_s"] == 60
    assert [finding.device_id for finding in await found(tenant, "never_connected")] == [never.id]
    assert [finding.device_id for finding in await found(tenant, "token_endless_unused")] == [away.id]


async def test_what_a_devices_messages_tell(tenant: Tenant, postgres: Postgres) -> None:
    clock_, poor, refused, twice = [await tenant.device(key) for key in ("clock", "poor", "refused", "twice")]
    for _ in range(5):
        change(
            tenant,
            "INSERT INTO rejected (tenant_id, id, device_id, received_at, reason, message, transport, topic, payload, "
            "payload_size_bytes, payload_sha256) "
            "VALUES (%s, %s, %s, now(), 'CLOCK_AHEAD', 'm', 'mqtt', 't', '', 0, '')",
            tenant.id,
            ids.uuid7(),
            clock_.id,
            role="ingest",
        )
    counted: tuple[tuple[UUID, int, int, int, int], ...] = (
        (poor.id, 79, 0, 21, 0),
        (refused.id, 900, 0, 0, 100),
        (twice.id, 99, 101, 0, 0),
    )
    for device_id, stored, duplicates, rejected, turned_away in counted:
        change(
            tenant,
            "INSERT INTO counts (tenant_id, device_id, hour, received, stored, duplicates, rejected, refused, "
            "not_kept) VALUES (%s, %s, date_trunc('hour', now()), %s, %s, %s, %s, %s, 0)",
            tenant.id,
            device_id,
            stored + duplicates + rejected + turned_away,
            stored,
            duplicates,
            rejected,
            turned_away,
            role="worker",
        )
    assert [finding.device_id for finding in await found(tenant, "clock_wrong")] == [clock_.id]
    assert [finding.device_id for finding in await found(tenant, "rejected_often")] == [poor.id]
    assert [finding.device_id for finding in await found(tenant, "refused_often")] == [refused.id]
    assert [finding.device_id for finding in await found(tenant, "duplicates_many")] == [twice.id]


async def test_a_sensor_that_has_been_bad_for_more_than_an_hour(tenant: Tenant) -> None:
    broken, briefly, dubious = [await tenant.device(key) for key in ("broken", "briefly", "dubious")]
    now = clock.now_ms()
    hours = 3_600_000
    said = (
        (broken.id, {"t": [4.0, now - 2 * hours], "door": [True, now]}, {"t": ["bad", now], "flow": ["bad", now]}),
        (briefly.id, {"t": [4.0, now - hours // 2]}, {"t": ["bad", now]}),
        (dubious.id, {"t": [4.0, now - 2 * hours]}, {"t": ["uncertain", now]}),
    )
    for device_id, values, quality in said:
        change(
            tenant,
            "INSERT INTO latest (tenant_id, device_id, values, quality, received_at) VALUES (%s, %s, %s, %s, now())",
            tenant.id,
            device_id,
            Jsonb(values),
            Jsonb(quality),
            role="worker",
        )
    (finding,) = await found(tenant, "metric_bad")
    assert finding.device_id == broken.id
    assert (finding.facts["name"], finding.facts["metrics"]) == ("flow, t", 2)
    assert datetime.fromisoformat(str(finding.facts["last_good_at"])) == clock.from_ms(now - 2 * hours)
    assert "no good value of flow, t:" in BY_KIND["metric_bad"].told(finding.facts)


async def test_what_lies_about_too_long(tenant: Tenant, store: Store, tmp_path: Path) -> None:
    held, rich = await tenant.device("held"), await tenant.device("rich")
    await tenant.api_token()
    async with store.as_tenant(tenant.principal()) as tx:
        await quarantine.quarantine(tx, held.id, "x")
        for _ in range(3):
            await service.issue_token(tx, rich.id)
        await certificates.sign(tx, LocalVault(tmp_path / "vault.key"), rich.id, request())
    change(tenant, "UPDATE devices SET quarantined_at = %s WHERE id = %s", ago(days=31), held.id)
    with psycopg.connect(tenant.postgres.url("app")) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant.id)])
        connection.execute("UPDATE api_tokens SET last_used_at = %s, created_at = %s", [ago(days=91), ago(days=99)])
    assert [finding.device_id for finding in await found(tenant, "quarantine_long")] == [held.id]
    assert [finding.device_id for finding in await found(tenant, "tokens_many")] == [rich.id]
    (finding,) = await found(tenant, "api_token_endless_unused")
    assert finding.device_id is None
    assert finding.facts["name"] == "test owner"


async def test_a_mended_finding_is_resolved_and_comes_back_as_the_same(tenant: Tenant, store: Store) -> None:
    held = await tenant.device()
    async with store.as_tenant(tenant.principal()) as tx:
        await quarantine.quarantine(tx, held.id, "x")
    change(tenant, "UPDATE devices SET quarantined_at = %s", ago(days=31))
    (first,) = await found(tenant, "quarantine_long")
    async with store.as_tenant(tenant.principal()) as tx:
        await quarantine.release(tx, held.id)
    assert await found(tenant, "quarantine_long") == ()
    (resolved,) = await found(tenant, "quarantine_long", FindingStatus.RESOLVED)
    assert (resolved.id, resolved.status) == (first.id, FindingStatus.RESOLVED)
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(errors.FindingStuck):
            await audit.suppress(tx, first.id, "never mind")
        await quarantine.quarantine(tx, held.id, "y")
    change(tenant, "UPDATE devices SET quarantined_at = %s", ago(days=31))
    (again,) = await found(tenant, "quarantine_long")
    assert (again.id, again.first_seen_at) == (first.id, first.first_seen_at)
    assert again.last_seen_at > first.last_seen_at


async def test_a_finding_is_put_aside_for_a_reason_and_until_a_day(tenant: Tenant, store: Store) -> None:
    rich = await tenant.device()
    for _ in range(3):
        await tenant.device_token(rich)
    (finding,) = await found(tenant, "tokens_many")
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(ReasonMalformed):
            await audit.suppress(tx, finding.id, " ")
        with pytest.raises(errors.SuppressionPast):
            await audit.suppress(tx, finding.id, "known", tx.now)
        with pytest.raises(errors.FindingStuck):
            await audit.restore(tx, finding.id)
        aside = await audit.suppress(tx, finding.id, "known", tx.now + timedelta(days=1))
    assert (aside.status, aside.suppressed_reason) == (FindingStatus.SUPPRESSED, "known")
    (still,) = await found(tenant, "tokens_many", FindingStatus.SUPPRESSED)
    assert still.id == finding.id
    async with store.as_tenant(tenant.principal()) as tx:
        assert (await audit.page(tx, kind="tokens_many")).items == ()
        tx.now += timedelta(days=2)
        assert [each.status for each in (await audit.page(tx, kind="tokens_many")).items] == [FindingStatus.OPEN]
    async with store.as_tenant(tenant.principal()) as tx:
        assert (await audit.restore(tx, finding.id)).status is FindingStatus.OPEN


async def test_the_worker_audits_once_a_day(tenant: Tenant, store: Store, worker_store: Store) -> None:
    await tenant.device()
    await chores.step(worker_store, tenant.id)
    await chores.step(worker_store, tenant.id)
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        made = await audit.latest(tx)
        assert not await audit.is_due(tx)
        tx.now += timedelta(hours=25)
        assert await audit.is_due(tx)
    assert made.trigger == "daily"


async def test_the_daily_audit_sees_registered_authorities_too(tenant: Tenant, worker_store: Store) -> None:
    way = await register(tenant, Authority())
    await chores.step(worker_store, tenant.id)
    async with tenant.store.as_tenant(tenant.principal(), read_only=True) as tx:
        (finding,) = (await audit.page(tx, kind="registered_authority_expiring")).items
    assert finding.subject == str(way.id)


async def test_a_neighbours_findings_are_nobodys(tenant: Tenant, neighbour: Tenant, store: Store) -> None:
    rich = await neighbour.device()
    for _ in range(3):
        await neighbour.device_token(rich)
    (theirs,) = await found(neighbour, "tokens_many")
    assert await found(tenant, "tokens_many") == ()
    async with store.as_tenant(tenant.principal()) as tx:
        for act in (audit.get(tx, theirs.id), audit.suppress(tx, theirs.id, "x"), audit.restore(tx, theirs.id)):
            with pytest.raises(errors.FindingNotFound):
                await act


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.kind)
def test_each_check_says_what_is_wrong_and_what_to_do(check: object) -> None:
    said = [getattr(check, name) for name in ("title", "wrong", "mend")]
    assert all(said)
    assert all(text.endswith(".") for text in said[1:])
