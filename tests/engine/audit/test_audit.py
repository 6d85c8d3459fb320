"""The audit log: told in the same transaction, never changed, and whoever changes it is found at the very row."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg import errors as pg

from engine.audit import service as audit
from engine.audit.errors import NoAuditKey
from engine.audit.model import Verified
from engine.audit.seal import Sealer
from engine.devices import service as devices
from engine.store.pool import Store
from engine.tenants import doorway
from engine.tenants.errors import BadCredentials
from infra.local.postgres import Postgres
from tests.support.tenant import Tenant

EDITS = 1_000


async def _verified(store: Store, tenant: Tenant, sealer: Sealer | None = None) -> Verified:
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        return await audit.verify(tx, sealer)


async def test_a_change_is_told_with_what_it_changed_by_whom_and_from_where(tenant: Tenant, store: Store) -> None:
    pump = await tenant.device("pump-7")
    async with store.as_tenant(tenant.principal()) as tx:
        await devices.change(tx, pump.id, name="Main pump")
        told = (await audit.page(tx)).items
    assert "device.change" not in {entry.action for entry in told}, "told before it is done"
    async with store.as_tenant(tenant.principal()) as tx:
        newest = (await audit.page(tx, target_id=str(pump.id))).items[0]
    assert (newest.action, newest.actor_name, newest.result) == ("device.change", tenant.email, "done")
    assert isinstance(newest.before, dict)
    assert isinstance(newest.after, dict)
    assert (newest.before["name"], newest.after["name"]) == ("pump-7", "Main pump")


async def test_what_was_rolled_back_was_never_done(tenant: Tenant, store: Store) -> None:
    profile = await tenant.profile()
    before = (await _verified(store, tenant)).rows
    with pytest.raises(RuntimeError):  # noqa: PT012  the raise inside is the point
        async with store.as_tenant(tenant.principal()) as tx:
            await devices.provision(tx, key="never", name="never", profile_id=profile.id)
            raise RuntimeError
    assert (await _verified(store, tenant)).rows == before


async def test_secrets_are_never_told(tenant: Tenant, store: Store) -> None:
    secrets = [await tenant.device_token(await tenant.device()), await tenant.api_token()]
    async with store.as_tenant(tenant.principal()) as tx:
        told = repr(await audit.page(tx, first=200))
    assert "token.issue" in told
    assert not [secret for secret in secrets if secret in told]


async def test_signing_in_and_failing_to_are_told(tenant: Tenant, store: Store) -> None:
    await doorway.login(store, tenant.email, tenant.password, address="192.0.2.7")
    with pytest.raises(BadCredentials):
        await doorway.login(store, tenant.email, "wrong", address="192.0.2.8")
    async with store.as_tenant(tenant.principal()) as tx:
        told = (await audit.page(tx, action="session.")).items
    assert [(entry.result, entry.address) for entry in told] == [("denied", "192.0.2.8"), ("done", "192.0.2.7")]


async def test_each_sees_their_own_log_only(tenant: Tenant, neighbour: Tenant, store: Store) -> None:
    await neighbour.device("secret-project")
    async with store.as_tenant(tenant.principal()) as tx:
        assert "secret-project" not in repr(await audit.page(tx, first=200))


async def test_a_span_of_time_shows_what_was_done_in_it_also_where_the_clock_was_put_back(
    tenant: Tenant, store: Store, postgres: Postgres
) -> None:
    minutes = [*range(0, 3_000, 50), *(n - 40 for n in range(3_000, 6_000, 50)), 5_990, 5_940, 6_200]
    began = datetime(2026, 1, 1, tzinfo=UTC)
    with psycopg.connect(postgres.url("superuser")) as connection:
        connection.execute("DELETE FROM audit WHERE tenant_id = %s", [tenant.id])
        connection.execute("UPDATE audit_head SET seq = %s WHERE tenant_id = %s", [len(minutes), tenant.id])
        connection.cursor().executemany(
            "INSERT INTO audit (tenant_id, seq, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, "
            "result, hash) VALUES (%s, %s, %s, 'user', %s, '', 'a', 'b', 'c', 'done', sha256(''))",
            [(tenant.id, seq, began + timedelta(minutes=m), tenant.id) for seq, m in enumerate(minutes, start=1)],
        )
    spans = [(0, 1), (-9_000, 9_000), (2_950, 3_020), (5_935, 5_995), (6_150, 9_000), (7_000, 8_000), (100, 101)]
    for since, until in spans:
        expected = [n for n, m in enumerate(minutes, start=1) if since <= m < until][::-1]
        async with store.as_tenant(tenant.principal(), read_only=True) as tx:
            start, end = began + timedelta(minutes=since), began + timedelta(minutes=until)
            found = await audit.page(tx, start=start, end=end, first=200)
            assert [entry.seq for entry in found.items] == expected, (since, until)
            everything = await audit.page(tx, start=datetime.min.replace(tzinfo=UTC), first=200)
            assert len(everything.items) == len(minutes)
            # near: an hour for clocks, forty minutes put back, and the fifty to the next row
            assert await audit.lowest_since(tx, end) > len([m for m in minutes if m < until - 150])


async def test_a_log_with_a_row_missing_is_still_searched_by_time(
    tenant: Tenant, store: Store, postgres: Postgres
) -> None:
    for _ in range(3):
        await tenant.device()
    with psycopg.connect(postgres.url("superuser")) as connection:
        connection.execute("DELETE FROM audit WHERE tenant_id = %s AND seq = 3", [tenant.id])
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        every = await audit.page(tx, first=200)
        spanned = await audit.page(tx, start=every.items[-1].at, end=datetime.max.replace(tzinfo=UTC), first=200)
    assert spanned == every
    assert len(every.items) == 3


@pytest.mark.parametrize("role", ["app", "worker", "ingest", "owner"])
async def test_no_process_may_change_or_delete_what_was_written(role: str, tenant: Tenant, postgres: Postgres) -> None:
    await tenant.device()
    for statement in ("UPDATE audit SET actor_name = 'nobody'", "DELETE FROM audit", "DELETE FROM audit_checkpoints"):
        with psycopg.connect(postgres.url(role)) as connection:
            connection.execute("SELECT set_config('app.tenant_id', %s, true)", (str(tenant.id),))
            try:
                assert connection.execute(statement).rowcount == 0  # the owner has no policy: it sees no row
            except pg.InsufficientPrivilege:
                continue
            assert role == "owner"


def _edits(rng: random.Random, rows: int) -> tuple[int, str, list[object]]:
    """One random edit: the seq it touches, and the statement."""
    seq = rng.randint(1, rows)
    column = rng.choice(
        ["at", "actor_kind", "actor_id", "actor_name", "action", "target_kind", "target_id", "result", "reason",
         "before", "after", "address", "hash", "seq", "delete", "swap"]
    )  # fmt: skip
    where = "WHERE tenant_id = %s AND seq = %s"
    if column == "delete":
        return seq, f"DELETE FROM audit {where}", []
    if column == "seq":
        return seq, f"UPDATE audit SET seq = seq + 100000 {where}", []
    if column == "at":
        return seq, f"UPDATE audit SET at = at + interval '1 microsecond' {where}", []
    if column == "actor_id":
        return seq, f"UPDATE audit SET actor_id = gen_random_uuid() {where}", []
    if column == "hash":
        return seq, f"UPDATE audit SET hash = sha256(hash) {where}", []
    if column in ("before", "after"):
        return seq, f"UPDATE audit SET {column} = jsonb_build_object('n', coalesce({column}, 'null')) {where}", []
    if column == "result":
        return seq, f"UPDATE audit SET result = CASE result WHEN 'done' THEN 'denied' ELSE 'done' END {where}", []
    if column == "swap":
        return seq, f"UPDATE audit SET actor_name = target_id, target_id = actor_name {where}", []
    return seq, f"UPDATE audit SET {column} = coalesce({column}, '') || 'x' {where}", []


async def test_of_a_thousand_random_edits_each_is_found_at_its_row(
    tenant: Tenant, store: Store, postgres: Postgres
) -> None:
    for number in range(8):
        await tenant.device_token(await tenant.device(f"d-{number}"))
    rng, rows = random.Random(20), (await _verified(store, tenant)).rows
    assert rows > 15
    check = audit._FIRST_FAULT.text.replace(":tenant", "%s")
    with psycopg.connect(postgres.url("superuser")) as connection:
        for _ in range(EDITS):
            seq, statement, _arguments = _edits(rng, rows)
            connection.execute(statement, (tenant.id, seq))
            fault = connection.execute(check, (tenant.id,)).fetchone()
            count = connection.execute("SELECT count(*), max(seq) FROM audit WHERE tenant_id = %s", (tenant.id,))
            kept, _last = count.fetchone() or (0, 0)
            found = fault[1] if fault and fault[0] != fault[1] else fault[0] if fault else kept + 1
            assert found == seq or (fault is None and kept < rows), (statement, fault)
            connection.rollback()
    assert (await _verified(store, tenant)).fault is None


async def test_a_log_cut_off_at_its_end_is_found(tenant: Tenant, store: Store, postgres: Postgres) -> None:
    await tenant.device()
    rows = (await _verified(store, tenant)).rows
    with psycopg.connect(postgres.url("superuser")) as connection:
        connection.execute("DELETE FROM audit WHERE tenant_id = %s AND seq = %s", (tenant.id, rows))
    fault = (await _verified(store, tenant)).fault
    assert fault is not None
    assert fault.seq == rows


async def test_a_chain_rewritten_as_a_whole_is_found_by_its_signed_checkpoint(
    tenant: Tenant, store: Store, worker_store: Store, postgres: Postgres, tmp_path: Path
) -> None:
    await tenant.device()
    sealer = Sealer.load_or_make(tmp_path / "audit.key")
    async with worker_store.as_tenant(tenant.principal()) as tx:
        signed = await audit.checkpoint(tx, sealer)
        assert await audit.checkpoint(tx, sealer) is None
    assert (await _verified(store, tenant, sealer)).fault is None
    with psycopg.connect(postgres.url("superuser")) as connection:
        connection.execute("UPDATE audit SET actor_name = 'nobody' WHERE tenant_id = %s AND seq = 1", (tenant.id,))
        _reseal(connection, tenant.id)
        connection.commit()
        fault = (await _verified(store, tenant, sealer)).fault
        assert fault is not None
        assert (fault.seq, fault.what) == (signed, "this row is not the one that was signed")
        connection.execute(
            "UPDATE audit_checkpoints c SET hash = a.hash FROM audit a "
            "WHERE c.tenant_id = %s AND a.tenant_id = c.tenant_id AND a.seq = c.seq",
            (tenant.id,),
        )
    fault = (await _verified(store, tenant, sealer)).fault
    assert fault is not None
    assert "signature" in fault.what


def _reseal(connection: psycopg.Connection, tenant_id: UUID) -> None:
    """What somebody with the whole database in hand would do: compute every seal anew."""
    connection.execute(
        """
        DO $$ DECLARE a audit; seal bytea := '\\x'; BEGIN
            FOR a IN SELECT * FROM audit WHERE tenant_id = '%s' ORDER BY seq LOOP
                seal := app.audit_seal(seal, a);
                UPDATE audit SET hash = seal WHERE tenant_id = a.tenant_id AND seq = a.seq;
            END LOOP;
            UPDATE audit_head SET hash = seal WHERE tenant_id = '%s';
        END $$
        """.replace("%s", str(tenant_id))
    )


def test_a_key_that_is_missing_or_of_another_kind_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(NoAuditKey, match="cannot be read"):
        Sealer.load(tmp_path / "nothing.pem")
    made = Sealer.load_or_make(tmp_path / "audit.key")
    assert (tmp_path / "audit.key").stat().st_mode & 0o777 == 0o600
    assert Sealer.load_or_make(tmp_path / "audit.key").key_id == made.key_id
