"""Whoever is limited to groups of devices sees and changes these devices, and nothing else of their tenant."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text

from engine import clock
from engine.alerts import service as alerts
from engine.devices import bulk, groups, service, sheet
from engine.devices import errors as device_errors
from engine.devices.filter import Group
from engine.devices.model import Device, DeviceStatus
from engine.quotas import service as quotas
from engine.quotas.errors import DeviceQuotaReached
from engine.quotas.model import QuotaName
from engine.store.errors import OutsideGroups
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.telemetry import service as telemetry
from engine.tenancy import SCOPES, Principal, Role
from engine.tenants import doorway, errors, invitations, members
from engine.tenants import service as tenants
from infra.local.postgres import Postgres
from tests.support.behind import change
from tests.support.people import colleague
from tests.support.tenant import Tenant

GONE = DeviceStatus.DECOMMISSIONED
ODD = 'wh"ere \\ it (is)'
FILTERS = (
    {"labels": {"site": "7"}},
    {"labels": {"site": ["7", "8"], "floor": "2"}},
    {"labels": {"site": "none"}},
    {"profile": "warm-room"},
    {"profile": ["cold-room", "no-such"], "keyPrefix": "pump-"},
    {"status": "suspended"},
    {"status": "quarantined"},
    {"keyPrefix": ["room", "pump-1"]},
    {"keyPrefix": "pump_"},
    {"labels": {ODD: ['"', 'x" || 1 == 1 || "'], "site": "9"}},
    {"labels": {ODD: 'ü\n"]', "site": "9"}},
)


def limited(tenant: Tenant, *group_ids: UUID, role: Role = Role.OPERATOR) -> Principal:
    """Somebody of ``tenant`` who sees these groups only."""
    return Principal(tenant.id, "user", uuid4(), SCOPES[role], "site@seven.example", groups=frozenset(group_ids))


async def group_of(tenant: Tenant, key: str, *devices: Device, filter_: object = None) -> Group:
    """A group of these devices, or of what the filter finds."""
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        made = await groups.create(tx, key=key, name=key, filter_=filter_)
        return await groups.add_devices(tx, made.id, [each.id for each in devices]) if devices else made


@asynccontextmanager
async def site_seven(tenant: Tenant) -> AsyncIterator[tuple[Principal, Device, Device]]:
    """Somebody limited to site 7, its device, and one elsewhere."""
    mine, other = await tenant.device("mine"), await tenant.device("other")
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        for device, site in ((mine, "7"), (other, "8")):
            await service.change(tx, device.id, labels={"site": site})
    group = await group_of(tenant, "site-7", filter_={"labels": {"site": "7"}})
    yield limited(tenant, group.id), mine, other


async def keys(tx: Tx) -> list[str]:
    """The keys of all devices that are seen."""
    return [device.key for device in (await service.page(tx)).items]


async def test_the_database_finds_in_a_group_what_the_registry_finds(tenant: Tenant, store: Store) -> None:
    described = (
        ("pump-1", "cold-room", "1", "7"),
        ("pump-2", "cold-room", "2", "7"),
        ("room-1", "warm-room", "2", "8"),
    )
    for key, profile, floor, site in (*described, ("pump-3", "cold-room", "3", "9")):
        device = await tenant.device(key, profile)
        async with store.as_tenant(tenant.principal()) as tx:
            await service.change(tx, device.id, labels={"floor": floor, "site": site})
            if key == "pump-2":
                await service.suspend(tx, device.id)
            if key == "pump-3":
                await service.change(tx, device.id, labels={"site": site, ODD: 'ü\n"]'})
                await tx.execute(
                    text("UPDATE devices SET status = 'suspended', quarantined_at = now(), quarantine_reason = 'x' "
                         "WHERE id = :id"), {"id": device.id}
                )  # fmt: skip
    shown = 0
    for number, wanted in enumerate(FILTERS):
        group = await group_of(tenant, f"g{number}", filter_=wanted)
        async with store.as_tenant(tenant.principal(), read_only=True) as tx:
            every = (await service.page(tx)).items
            expected = [device.key for device in (await service.page(tx, group_id=group.id)).items]
            of_each = await groups.of_devices(tx, [device.id for device in every])
            assert [each.key for each in every if group in of_each[each.id]] == expected, wanted
        async with store.as_tenant(limited(tenant, group.id), read_only=True) as tx:
            assert await keys(tx) == expected, wanted
            assert [device.key for device in (await service.page(tx, is_online=False)).items] == expected, wanted
            assert (await service.counts(tx)).total == len(expected)
        shown += len(expected)
    assert shown >= 9


async def test_several_groups_add_up_and_none_at_all_shows_nothing(tenant: Tenant, store: Store) -> None:
    a, b, _ = [await tenant.device(key) for key in "abc"]
    one, two = await group_of(tenant, "one", a), await group_of(tenant, "two", filter_={"keyPrefix": "b"})
    for limits_, expected in (((one.id, two.id), ["a", "b"]), ((uuid4(),), []), ((), [])):
        async with store.as_tenant(limited(tenant, *limits_), read_only=True) as tx:
            assert await keys(tx) == expected
            assert [each.key for each in (await groups.page(tx)).items] == (["one", "two"] if expected else [])
            of_each = await groups.of_devices(tx, [a.id, b.id])
            named = {device: [each.key for each in found] for device, found in of_each.items() if found}
            assert named == ({a.id: ["one"], b.id: ["two"]} if expected else {})
    assert b.key == "b"


async def test_who_is_limited_finds_of_theirs_what_others_find_of_all(tenant: Tenant, store: Store) -> None:
    profile = await tenant.profile()
    async with store.as_tenant(tenant.principal()) as tx:
        for n in range(9):
            made = await service.provision(tx, key=f"d{n}", name=f"Pump {n % 3} at 5%", profile_id=profile.id)
            await service.change(tx, made.id, labels={"site": "7" if n else "8", "floor": str(n % 2), ODD: "it's"})
            if n == 4:
                await service.decommission(tx, made.id)
            if n == 5:
                await service.suspend(tx, made.id)
    of_keys = "FROM devices d WHERE d.tenant_id = p.tenant_id AND d.id = p.device_id AND p.tenant_id = %s AND d.key IN"
    await change(
        tenant.postgres, f"UPDATE presence p SET is_online = true {of_keys} ('d0', 'd1', 'd5', 'd6')", tenant.id
    )
    never_came = of_keys.replace("FROM", "USING")
    await change(tenant.postgres, f"DELETE FROM presence p {never_came} ('d2', 'd3')", tenant.id)
    async with store.as_tenant(tenant.principal()) as tx:
        all_devices = [*(await service.page(tx)).items, *(await service.page(tx, status=GONE)).items]
    ids = {device.key: device for device in all_devices}
    put = await group_of(tenant, "put", ids["d0"], ids["d6"])
    of_site = await group_of(tenant, "site-7", filter_={"labels": {"site": "7"}})
    several_parts = {"labels": {"floor": "1"}, "status": ["active", "provisioned"]}
    mixed = await group_of(tenant, "mixed", filter_=several_parts)
    asked: tuple[tuple[dict[str, Any], str], ...] = (
        ({"search": "pump 1"}, "17"),
        ({"search": "PUMP", "labels": ["floor=1"]}, "1357"),
        ({"search": "5%"}, "01235678"),
        ({"search": "%' OR true"}, ""),
        ({"labels": ["site=8"]}, "0"),
        ({"labels": ["site=7", "site=' OR true OR '"]}, "1235678"),
        ({"labels": ["wh\"ere \\\\ it (is)=it's", "floor"]}, "01235678"),
        ({"labels": ['wh"ere \\\\ it (is)=it', "floor"]}, ""),
        ({"is_online": True}, "0156"),
        ({"is_online": False}, "2378"),
        ({"is_silent": False, "search": "pump 0"}, "036"),
        ({"is_silent": True}, ""),
        ({"is_online": False, "search": "pump 2", "labels": ["floor=0"]}, "28"),
        ({"is_online": True, "status": DeviceStatus.SUSPENDED}, "5"),
        ({"is_online": True, "status": GONE}, ""),
        ({"status": GONE}, "4"),
        ({"profile_id": profile.id, "search": "d1"}, "1"),
        ({"profile_id": uuid4()}, ""),
        ({"group_id": mixed.id, "is_online": False}, "37"),
        ({"group_id": put.id}, "06"),
    )
    whoever = {
        tenant.principal(): "012345678",
        limited(tenant, of_site.id): "12345678",
        limited(tenant, put.id, mixed.id): "01367",
        limited(tenant, *(each.id for each in (put, of_site, mixed))): "012345678",
        limited(tenant): "",
    }
    for who, seen in whoever.items():
        for chosen, found_of_all in asked:
            async with store.as_tenant(who, read_only=True) as tx:
                expected = [f"d{n}" for n in found_of_all if n in seen]
                if "group_id" in chosen and who.groups is not None and chosen["group_id"] not in who.groups:
                    with pytest.raises(device_errors.GroupNotFound):
                        await service.page(tx, **chosen)
                    continue
                found, after, has_more = [], None, True
                while has_more:
                    page = await service.page(tx, first=2, after=after, **chosen)
                    found += [device.key for device in page.items]
                    after, has_more = page.end_cursor, page.has_next_page
            assert found == expected, (seen, chosen)


async def test_what_finds_devices_for_the_whole_tenant_tells_nothing_of_what_is_not_seen(
    tenant: Tenant, neighbour: Tenant, postgres: Postgres
) -> None:
    async with site_seven(tenant) as (who, mine, other):
        put = await group_of(tenant, "put", other)
        await neighbour.device("mine")
        of_label = await group_of(neighbour, "site-7", filter_={"keyPrefix": "mine"})
        found = "SELECT app.devices_found(%s, '{}', NULL, NULL, NULL, NULL, %s, '', %s)"
        with psycopg.connect(postgres.url("app")) as connection:
            connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant.id)])
            connection.execute("SELECT app.limit_to(%s)", [list(who.groups or ())])
            for words, group_id, expected in (
                (None, None, [(mine.id,)]),
                ("other", None, []),
                (None, put.id, []),
                (None, of_label.id, []),
            ):
                assert connection.execute(found, [words, group_id, 9]).fetchall() == expected
            with pytest.raises(psycopg.errors.InvalidRowCountInLimitClause), connection.transaction():
                connection.execute(found, [None, None, -1])  # which fails while the limit is lifted
            assert connection.execute("SELECT key FROM devices").fetchall() == [("mine",)]
            assert connection.execute("SELECT total FROM app.device_counts(NULL)").fetchone() == (1,)


LISTENING = """
CREATE SCHEMA planted;
GRANT USAGE ON SCHEMA planted TO tidegate_app;
CREATE FUNCTION planted.told(text, text) RETURNS boolean LANGUAGE plpgsql COST 1
    AS $$ BEGIN RAISE NOTICE '%', $1; RETURN false; END $$;
CREATE OPERATOR planted.~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = planted.told);
SET LOCAL search_path = planted, pg_catalog, public;
SET LOCAL ROLE tidegate_app;
"""
"""A LIKE that says what it was asked of, no dearer than the real one."""


async def test_words_are_looked_for_on_what_is_seen_alone_so_that_time_tells_nothing(
    tenant: Tenant, postgres: Postgres
) -> None:
    async with site_seven(tenant) as (who, mine, other):
        with psycopg.connect(postgres.url("superuser")) as connection:
            asked_of: list[str | None] = []
            connection.add_notice_handler(lambda notice: asked_of.append(notice.message_primary))
            connection.execute(LISTENING)
            connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant.id)])
            search = "SELECT app.devices_found('mine', '{}', NULL, NULL, NULL, NULL, NULL, '', 9)"
            for groups_, expected in ((None, [mine, other]), (list(who.groups or ()), [mine])):
                if groups_ is not None:
                    connection.execute("SELECT app.limit_to(%s)", [groups_])
                asked_of.clear()
                assert connection.execute(search).fetchall() == []
                assert sorted(map(str, asked_of)) == [f"{device.key}\n{device.name}".lower() for device in expected]
            connection.rollback()


async def test_what_is_looked_up_once_for_many_is_what_is_looked_up_for_each(tenant: Tenant, store: Store) -> None:
    made = [await tenant.device(key) for key in ("a", "b1", "b2", "c")]
    for device in made:
        await tenant.device_token(device)
    tenant.tell([(device.id, clock.now_ms(), {"temperature": 4.0}) for device in made])
    put, found = (
        await group_of(tenant, "put", made[0], made[1]),
        await group_of(tenant, "b", filter_={"keyPrefix": "b"}),
    )
    of_site = await group_of(tenant, "site", filter_={"labels": {"site": "7"}})
    async with store.as_tenant(tenant.principal()) as tx:
        await service.change(tx, made[3].id, labels={"site": "7"})
    for groups_, expected in (((put, of_site), (0, 1, 3)), ((found,), (1, 2)), ((of_site,), (3,)), ((), ())):
        async with store.as_tenant(limited(tenant, *(each.id for each in groups_)), read_only=True) as tx:
            for table in ("telemetry", "presence", "credentials"):
                query = text(f"SELECT DISTINCT device_id FROM {table}")
                for read in (tx.rows, tx.rows_of_many, tx.rows):
                    assert {row["device_id"] for row in await read(query)} == {made[n].id for n in expected}, table
            assert not await tx.scalar(text("SELECT app.reads_many() OR app.asks_for_one()"))


async def test_the_silent_and_the_connected_within_groups_are_counted_as_they_are_listed(
    tenant: Tenant, store: Store, postgres: Postgres
) -> None:
    made = {key: await tenant.device(key) for key in ("a1", "a2", "a3", "b1", "b2", "gone")}
    for device in made.values():
        await tenant.device_token(device)
    with psycopg.connect(postgres.url("superuser")) as connection:
        connection.execute("DELETE FROM presence WHERE tenant_id = %s", [tenant.id])
        states = (("a1", True, True), ("a2", True, False), ("b1", False, True), ("gone", True, True))
        for key, is_online, is_silent in states:
            connection.execute(
                "INSERT INTO presence (tenant_id, device_id, session_epoch, is_online, since, silent_since) "
                "VALUES (%s, %s, 1, %s, now(), CASE WHEN %s THEN now() END)",
                [tenant.id, made[key].id, is_online, is_silent],
            )
        connection.execute(  # found silent, and heard since
            "INSERT INTO presence (tenant_id, device_id, session_epoch, is_online, since, silent_since) "
            "VALUES (%s, %s, 1, false, now(), now() - interval '1 hour')", [tenant.id, made["a3"].id]
        )  # fmt: skip
        connection.execute(
            "INSERT INTO latest (tenant_id, device_id, values, received_at) VALUES (%s, %s, '{}', now()) "
            "ON CONFLICT (tenant_id, device_id) DO UPDATE SET received_at = now()", [tenant.id, made["a3"].id]
        )  # fmt: skip
    async with store.as_tenant(tenant.principal()) as tx:
        await service.decommission(tx, made["gone"].id)
    put = await group_of(tenant, "put", made["a1"], made["b1"])
    of_a = await group_of(tenant, "of-a", filter_={"keyPrefix": "a"})
    cases: list[tuple[tuple[Group, ...], list[str]]] = [
        ((put,), ["a1", "b1"]),
        ((of_a,), ["a1"]),
        ((put, of_a), ["a1", "b1"]),
        ((), []),
    ]
    for groups_, silent_keys in cases:
        who = limited(tenant, *(each.id for each in groups_))
        async with store.as_tenant(who, read_only=True) as tx:
            every = await keys(tx)
            found = [(await service.page(tx, is_silent=True)).items, (await service.page(tx, is_online=True)).items]
            silent, online = ([each.key for each in devices] for devices in found)
            others = [each.key for each in (await service.page(tx, is_silent=False)).items]
            counted = await service.counts(tx)
            assert silent == silent_keys
            assert others == [key for key in every if key not in silent_keys]
            assert (counted.total, counted.online, counted.silent) == (len(every), len(online), len(silent))
            profile = made["a1"].profile_id
            assert await service.counts(tx, profile) == counted
            assert (await service.counts(tx, uuid4())).total == 0
            assert {row["device_id"] for row in await tx.rows(text("SELECT device_id FROM presence"))} <= {
                made[key].id for key in (*every, "gone")
            }, "the limit is in force again"
    async with store.as_tenant(tenant.principal(), read_only=True) as tx:
        assert [each.key for each in (await service.page(tx, is_silent=True)).items] == ["a1", "b1"]


async def test_what_a_device_leaves_behind_is_seen_with_it_and_not_without(tenant: Tenant, store: Store) -> None:
    async with site_seven(tenant) as (who, mine, other):
        for device in (mine, other):
            await tenant.device_token(device)
        tenant.tell([(device.id, clock.now_ms(), {"temperature": 4.0}) for device in (mine, other)])
        async with store.as_tenant(who, read_only=True) as tx:
            assert set(await service.by_ids(tx, [mine.id, other.id])) == {mine.id}
            found = await service.credentials_of(tx, [mine.id, other.id])
            assert [len(found[each.id]) for each in (mine, other)] == [1, 0]
            for table in ("telemetry", "presence", "credentials", "latest", "counts"):
                rows = await tx.rows(text(f"SELECT DISTINCT device_id FROM {table}"))
                assert {row["device_id"] for row in rows} <= {mine.id}, table
            assert not (await alerts.page(tx)).items
            assert not (await telemetry.latest(tx, [other.id]))[other.id]
        for table in ("audit", "invitations", "fleet_audits", "provisioners", "enrolments", "identity_providers"):
            async with store.as_tenant(who, read_only=True) as tx:
                assert await tx.scalar(text(f"SELECT count(*) FROM {table}")) == 0, table


async def test_a_device_is_seen_from_the_moment_it_joins_and_until_it_leaves(tenant: Tenant, store: Store) -> None:
    async with site_seven(tenant) as (who, _mine, other):
        for site, expected in (("7", ["mine", "other"]), ("9", ["mine"])):
            async with store.as_tenant(tenant.principal()) as tx:
                await service.change(tx, other.id, labels={"site": site})
            async with store.as_tenant(who, read_only=True) as tx:
                assert await keys(tx) == expected


async def test_nobody_changes_what_they_do_not_see_nor_moves_it_out_of_their_sight(
    tenant: Tenant, store: Store
) -> None:
    async with site_seven(tenant) as (who, mine, other):
        async with store.as_tenant(who) as tx:
            assert (await service.change(tx, mine.id, name="Pump of site 7")).name == "Pump of site 7"
        with pytest.raises(device_errors.DeviceNotFound):
            async with store.as_tenant(who) as tx:
                await service.change(tx, other.id, name="Taken")
        with pytest.raises(OutsideGroups):
            async with store.as_tenant(who) as tx:
                await service.change(tx, mine.id, labels={"site": "8"})
        with pytest.raises(OutsideGroups):
            async with store.as_tenant(who) as tx:
                await tx.execute(text("INSERT INTO presence (tenant_id, device_id) VALUES (:t, :d)"),
                                 {"t": tenant.id, "d": other.id})  # fmt: skip


async def test_a_device_is_only_made_inside_ones_groups_alone_and_by_the_table(tenant: Tenant, store: Store) -> None:
    async with site_seven(tenant) as (who, mine, _):
        profile_id = mine.profile_id
        async with store.as_tenant(who) as tx:
            made = await service.provision(tx, key="new", name="New", profile_id=profile_id, labels={"site": "7"})
            assert (await service.issue_token(tx, made.id))[1]
        with pytest.raises(OutsideGroups):
            async with store.as_tenant(who) as tx:
                await service.provision(tx, key="away", name="Away", profile_id=profile_id, labels={"site": "8"})
        async with store.as_tenant(who) as tx:
            table = "key,attributes\ntwo,site=7\nthree,site=7\n"
            assert (await bulk.bring_in(tx, table, profile_id=profile_id, dry_run=False)).credentials is not None
        async with store.as_tenant(tenant.principal(), read_only=True) as tx:
            assert await keys(tx) == ["mine", "new", "other", "three", "two"]


async def test_a_table_says_line_by_line_what_would_lie_outside_and_brings_in_the_rest(
    tenant: Tenant, store: Store
) -> None:
    async with site_seven(tenant) as (who, mine, _):
        put = await tenant.device("put")
        static = await group_of(tenant, "static", put)
        who = limited(tenant, static.id, *(who.groups or ()))
        table = (
            "key,attributes,groups\nfour,site=7,static\nfive,site=8,\nmine,site=8,\nput,site=9,\nsix,,static\n"
            "seven,site=7,site-7\n"
        )
        expected = ["four new", "five wrong", "mine wrong", "put changed", "six wrong", "seven wrong"]
        for dry_run in (True, False):
            async with store.as_tenant(who) as tx:
                said = await bulk.bring_in(tx, table, profile_id=mine.profile_id, dry_run=dry_run, update=True)
            assert [f"{line.key} {line.outcome}" for line in said.lines] == expected
            assert {line.flaw for line in said.lines[1:3]} == {sheet.Flaw("attributes", bulk.OUTSIDE)}
        assert (said.credentials or "").count("/d/four,") == 1
        async with store.as_tenant(who, read_only=True) as tx:
            assert await keys(tx) == ["four", "mine", "put"]
            assert (await service.get(tx, put.id)).labels == {"site": "9"}
        table = "key,attributes\nother,site=7\neight,site=7\n"
        with pytest.raises(device_errors.DeviceKeyTaken, match="do not see, or at this moment: other"):
            async with store.as_tenant(who) as tx:
                await bulk.bring_in(tx, table, profile_id=mine.profile_id, dry_run=False)


async def test_a_quota_counts_the_devices_that_somebody_limited_does_not_see(tenant: Tenant, store: Store) -> None:
    async with site_seven(tenant) as (who, mine, _):
        async with store.as_tenant(tenant.principal()) as tx:
            await quotas.change(tx, {QuotaName.DEVICES: 2})
        with pytest.raises(DeviceQuotaReached) as refused:
            async with store.as_tenant(who) as tx:
                await service.provision(tx, key="n", name="n", profile_id=mine.profile_id, labels={"site": "7"})
        assert "limit" not in refused.value.details
        assert not any(c.isdigit() for c in refused.value.message)
        async with store.as_tenant(who, read_only=True) as tx:
            assert await quotas.devices(tx) == 2
            assert await keys(tx) == ["mine"]  # looking at the quota opened nothing


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE memberships SET groups = NULL",
        'UPDATE device_groups SET filter = \'{"keyPrefix": ["o"]}\'',
        "DELETE FROM device_groups",
        "INSERT INTO device_group_members SELECT id, :group, :device, now() FROM tenants",
        "INSERT INTO api_tokens (tenant_id, id, name, prefix, secret_sha256, scopes, created_by) "
        "SELECT id, gen_random_uuid(), 'x', 'x', sha256('x'), '{}', 'x' FROM tenants",
    ],
)
async def test_the_database_lets_nobody_widen_their_own_limit(statement: str, tenant: Tenant, store: Store) -> None:
    async with site_seven(tenant) as (who, _mine, other):
        static = await group_of(tenant, "static")
        given = {"group": static.id, "device": other.id} if ":group" in statement else {}
        changed = 0
        with suppress(OutsideGroups):
            async with store.as_tenant(limited(tenant, static.id, *(who.groups or ()))) as tx:
                changed = (await tx.execute(text(statement), given)).rowcount
        assert changed == 0


async def test_a_member_is_limited_and_comes_back_so_until_the_limit_is_lifted(tenant: Tenant, store: Store) -> None:
    group = await group_of(tenant, "site-7")
    person = await colleague(tenant, Role.ADMIN)
    secret = (await person.sign_in()).secret
    async with store.as_tenant(tenant.principal()) as tx:
        changed = await members.change_role(tx, person.id, Role.ADMIN, groups=[group.id])
    assert changed.groups == frozenset({group.id})
    principal = await doorway.session(store, secret)
    assert principal is not None
    assert principal.groups == frozenset({group.id})
    assert not principal.scopes & {"users:write", "tokens:write", "audit:read", "rules:write", "profiles:write"}
    assert {"devices:write", "alerts:write", "rules:read", "inbox:read"} <= principal.scopes
    async with store.as_tenant(tenant.principal()) as tx:
        assert (await members.change_role(tx, person.id, Role.OPERATOR)).groups == frozenset(
            {group.id}
        )  # left out: it stays
        assert (await members.change_role(tx, person.id, Role.OPERATOR, all_devices=True)).groups is None
    principal = await doorway.session(store, secret)
    assert principal is not None
    assert principal.groups is None


async def test_an_invitation_and_a_token_carry_their_limit(tenant: Tenant, store: Store) -> None:
    group = await group_of(tenant, "site-7")
    async with store.as_tenant(tenant.principal()) as tx:
        invited, link = await invitations.invite(tx, email="n@w.example", role=Role.VIEWER, groups=[group.id])
        _, token = await tenants.issue_token(tx, name="t", scopes=["devices:read"], groups=[group.id])
    assert invited.groups == frozenset({group.id})
    entered = await invitations.accept(store, link, name="New", password="a long one for tests")
    assert entered.membership.groups == frozenset({group.id})
    for principal in (await doorway.session(store, entered.secret), await doorway.token(store, token)):
        assert principal is not None
        assert principal.groups == frozenset({group.id})


async def test_a_limit_that_means_nothing_is_refused(tenant: Tenant, neighbour: Tenant, store: Store) -> None:
    group, theirs = await group_of(tenant, "mine"), await group_of(neighbour, "theirs")
    person = await colleague(tenant, Role.VIEWER)

    async def refused(error: type[Exception], **given: object) -> None:
        with pytest.raises(error):
            async with store.as_tenant(tenant.principal()) as tx:
                await members.change_role(tx, person.id, **{"role": Role.VIEWER, **given})  # type: ignore[arg-type]

    await refused(errors.GroupsUnclear, groups=[])
    await refused(errors.GroupsUnclear, groups=[group.id], all_devices=True)
    await refused(errors.GroupsUnclear, role=Role.OWNER, groups=[group.id])
    await refused(errors.GroupsUnknown, groups=[group.id, uuid4()])
    await refused(errors.GroupsUnknown, groups=[theirs.id])
    with pytest.raises(errors.ScopesTooWide):
        async with store.as_tenant(tenant.principal()) as tx:
            await tenants.issue_token(tx, name="t", scopes=["audit:read"], groups=[group.id])


async def test_nobody_limited_gives_a_wider_view_than_they_have(tenant: Tenant, store: Store) -> None:
    mine, other = await group_of(tenant, "mine"), await group_of(tenant, "other")
    for wanted in (None, [other.id], [mine.id, other.id]):
        with pytest.raises(errors.LimitTooWide):
            async with store.as_tenant(limited(tenant, mine.id)) as tx:
                await tenants.issue_token(tx, name="t", scopes=["devices:read"], groups=wanted)
