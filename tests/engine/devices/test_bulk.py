"""A table of devices comes in at once, and coming in twice changes nothing."""

import csv
import io

import pytest

from engine import ids
from engine.devices import bulk, groups, service, sheet
from engine.devices.errors import ProfileNotFound
from engine.devices.sheet import Imported, Outcome
from engine.store.pool import Store
from tests.support.tenant import Tenant

TABLE = """key,name,profile,tags,attributes,groups
pump-1,Pump 1,cold-room,outdoor,site=7,north
pump-2,,cold-room,,site=8,
pump-3,Pump 3,no-such,,,
pump-4,Pump 4,cold-room,,,nowhere
pump-1,Again,cold-room,,,
"""


async def bring(tenant: Tenant, table: str, **options: object) -> Imported:
    """Import a table as the owner."""
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await bulk.bring_in(tx, table, **options)  # type: ignore[arg-type]


def outcomes(imported: Imported) -> list[str]:
    return [f"{line.number} {line.outcome}" for line in imported.lines]


async def prepared(tenant: Tenant) -> None:
    await tenant.profile()
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await groups.create(tx, key="north", name="North")
        await groups.create(tx, key="found", name="Found", filter_={"keyPrefix": "x"})


async def test_a_dry_run_says_what_would_be_and_changes_nothing(tenant: Tenant, store: Store) -> None:
    await prepared(tenant)
    dry = await bring(tenant, TABLE)
    assert outcomes(dry) == ["2 new", "3 new", "4 wrong", "5 wrong", "6 wrong"]
    assert [line.flaw.column for line in dry.lines if line.flaw] == ["profile", "groups", "key"]
    assert dry.credentials is None
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        assert (await service.counts(tx)).total == 0


async def test_good_lines_come_in_and_their_tokens_are_shown_once(tenant: Tenant, store: Store) -> None:
    await prepared(tenant)
    done = await bring(tenant, TABLE, dry_run=False)
    assert [done.count(outcome) for outcome in Outcome] == [2, 0, 0, 0, 3]
    assert done.credentials is not None
    shown = list(csv.DictReader(io.StringIO(done.credentials)))
    assert [row["username"] for row in shown] == [f"{tenant.key}/d/pump-1", f"{tenant.key}/d/pump-2"]
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        pump = await service.by_key(tx, "pump-1")
        assert pump is not None
        assert (pump.name, dict(pump.labels), pump.status) == ("Pump 1", {"outdoor": "", "site": "7"}, "provisioned")
        north = next(group for group in (await groups.page(tx)).items if group.key == "north")
        assert [device.key for device in (await service.page(tx, group_id=north.id)).items] == ["pump-1"]
        (credential,) = (await service.credentials_of(tx, [pump.id]))[pump.id]
        assert credential.kind == "token"
        assert (await service.presence_of(tx, [pump.id]))[pump.id].is_online is False
    again = await bring(tenant, TABLE, dry_run=False)
    assert outcomes(again) == ["2 same", "3 same", "4 wrong", "5 wrong", "6 wrong"]
    assert again.credentials is None


async def test_the_tokens_of_an_import_let_their_devices_in(tenant: Tenant) -> None:
    await prepared(tenant)
    done = await bring(tenant, TABLE, dry_run=False)
    assert done.credentials is not None
    row = next(csv.DictReader(io.StringIO(done.credentials)))
    ingest = Store(tenant.postgres.url("ingest"), size=1)
    try:
        (found,) = await ingest.door("credential", tenant.key, row["key"], ids.fingerprint(row["token"]))
    finally:
        await ingest.close()
    assert (found["refusal"], found["device_key"]) == (None, "pump-1")


async def test_what_differs_is_said_and_changed_only_when_asked(tenant: Tenant, store: Store) -> None:
    await prepared(tenant)
    await bring(tenant, TABLE, dry_run=False)
    table = "key,name,attributes\npump-1,Renamed,site=9\npump-2,,site=8\n"
    (first, second) = (await bring(tenant, table, dry_run=False)).lines
    assert (first.outcome, second.outcome) == (Outcome.DIFFERENT, Outcome.SAME)
    assert first.flaw is not None
    assert first.flaw.message == "Differs in name, attributes."
    changed = await bring(tenant, table, dry_run=False, update=True)
    assert outcomes(changed) == ["2 changed", "3 same"]
    assert outcomes(await bring(tenant, table, dry_run=False, update=True)) == ["2 same", "3 same"]
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        pump = await service.by_key(tx, "pump-1")
        assert pump is not None
        assert (pump.name, dict(pump.labels), pump.version) == ("Renamed", {"site": "9"}, 2)


async def test_lines_may_leave_the_profile_to_the_import(tenant: Tenant, neighbour: Tenant) -> None:
    profile = await tenant.profile()
    (line,) = (await bring(tenant, "key\np\n", profile_id=profile.id, dry_run=False)).lines
    assert line.outcome is Outcome.NEW
    (line,) = (await bring(tenant, "key\nq\n")).lines
    assert line.flaw is not None
    assert "names no profile" in line.flaw.message
    with pytest.raises(ProfileNotFound):
        await bring(tenant, "key\nq\n", profile_id=(await neighbour.profile()).id)


async def test_a_decommissioned_key_and_a_dynamic_group_are_refused_line_by_line(tenant: Tenant, store: Store) -> None:
    await prepared(tenant)
    old = await tenant.device("old")
    async with store.as_tenant(tenant.principal()) as tx:
        await service.decommission(tx, old.id)
    table = "key,profile,groups\nold,cold-room,\nnew,cold-room,found\n"
    first, second = (await bring(tenant, table, dry_run=False)).lines
    assert first.flaw is not None
    assert "decommissioned" in first.flaw.message
    assert second.flaw is not None
    assert "filter" in second.flaw.message


async def test_ten_thousand_lines_are_a_few_statements(tenant: Tenant, store: Store) -> None:
    profile = await tenant.profile()
    table = "key,attributes\n" + "".join(f"d{n},site={n % 20}\n" for n in range(sheet.MAX_ROWS))
    async with store.as_tenant(tenant.principal()) as tx:
        statements = 0
        execute = tx.execute

        async def counted(*arguments: object, **named: object) -> object:
            nonlocal statements
            statements += 1
            return await execute(*arguments, **named)  # type: ignore[arg-type]

        tx.execute = counted  # type: ignore[method-assign, assignment]
        done = await bulk.bring_in(tx, table, profile_id=profile.id, dry_run=False)
    assert done.count(Outcome.NEW) == sheet.MAX_ROWS
    assert statements < 15
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        assert (await service.counts(tx)).total == sheet.MAX_ROWS
