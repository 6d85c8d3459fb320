"""Profiles: what they declare, who changed it when, and that no change is lost."""

import pytest

from engine.devices import errors, profiles
from engine.devices.declared import Command, ShadowLeaf, ValueType
from engine.devices.model import Profile
from engine.store.pool import Store
from tests.support.tenant import METRICS, Tenant

OPEN = Command("open-valve", "Open the valve")
SETPOINT = ShadowLeaf("setpoint", ValueType.NUMBER, "Setpoint", "degC", -5, 8, is_writable=True)


async def _pump(tenant: Tenant, store: Store) -> Profile:
    async with store.as_tenant(tenant.principal()) as tx:
        return await profiles.profile_create(
            tx,
            key="pump",
            name="Pump",
            metrics=METRICS,
            reporting_interval_s=60,
            commands=[OPEN],
            shadow=[SETPOINT],
        )


async def test_a_profile_keeps_what_it_declares(tenant: Tenant, store: Store) -> None:
    made = await _pump(tenant, store)
    async with store.as_tenant(tenant.principal()) as tx:
        found = await profiles.profile(tx, made.id)
    assert (found.reporting_interval_s, found.commands, found.shadow) == (60, (OPEN,), (SETPOINT,))
    assert found == made


async def test_every_version_stays_with_who_changed_what_and_when(tenant: Tenant, store: Store) -> None:
    made = await _pump(tenant, store)
    for change in ({"reporting_interval_s": 300}, {"commands": ()}, {"reporting_interval_s": 0}):
        async with store.as_tenant(tenant.principal()) as tx:
            await profiles.profile_change(tx, made.id, **change)  # type: ignore[arg-type]
    async with store.as_tenant(tenant.principal()) as tx:
        page = await profiles.version_page(tx, made.id, first=2)
        rest = await profiles.version_page(tx, made.id, first=2, after=page.end_cursor)
        second = await profiles.version(tx, made.id, 2)
    assert [(kept.version, kept.changes) for kept in (*page.items, *rest.items)] == [
        (4, ("Devices are no longer expected to report at any interval.",)),
        (3, ("Removed the command “open-valve”.",)),
        (2, ("Devices are expected to report every 5 minutes, no longer every minute.",)),
        (1, ("The profile was made.",)),
    ]
    assert (page.has_next_page, rest.has_next_page) == (True, False)
    assert {kept.changed_by for kept in page.items} == {tenant.email}
    assert second == rest.items[0]
    assert (second.declared.reporting_interval_s, second.declared.commands) == (300, (OPEN,))


async def test_a_change_that_changes_nothing_makes_no_version(tenant: Tenant, store: Store) -> None:
    made = await _pump(tenant, store)
    async with store.as_tenant(tenant.principal()) as tx:
        again = await profiles.profile_change(tx, made.id, name=" Pump ", commands=[OPEN], metrics=METRICS)
        page = await profiles.version_page(tx, made.id)
    assert again == made
    assert len(page.items) == 1


async def test_a_change_of_an_older_version_is_refused(tenant: Tenant, store: Store) -> None:
    made = await _pump(tenant, store)
    async with store.as_tenant(tenant.principal()) as tx:
        await profiles.profile_change(tx, made.id, shadow=(), expected_version=1)
    with pytest.raises(errors.VersionStale):
        async with store.as_tenant(tenant.principal()) as tx:
            await profiles.profile_change(tx, made.id, commands=(), expected_version=1)


async def test_versions_of_a_neighbours_profile_are_not_found(tenant: Tenant, neighbour: Tenant, store: Store) -> None:
    made = await _pump(neighbour, store)
    async with store.as_tenant(tenant.principal()) as tx:
        with pytest.raises(errors.ProfileNotFound):
            await profiles.version_page(tx, made.id)
        with pytest.raises(errors.ProfileVersionNotFound):
            await profiles.version(tx, made.id, 1)
