"""A grant limited to groups shows these groups: the whole matrix, asked by a member of ours who sees another group.

The same questions as the neighbour is asked (test_isolation), each with an id of ours that this member must not see and
with one that nobody has: both answers must be alike, nothing hidden may appear in either, and what is hidden must stay
as it was. What is told without an id must not change when something happens to what is hidden.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg import sql

from engine import clock
from engine.alerts import service as alerts
from engine.alerts.model import Raised
from engine.certificates import service as certificates
from engine.commands import service as commands
from engine.devices import groups
from engine.devices import service as devices
from engine.devices.model import Device
from engine.fleet import audit as fleet
from engine.rules import service as rules
from engine.store.pool import Store
from engine.tenancy import WITHIN_GROUPS, Role, system
from engine.tenants import members
from infra.local.postgres import Postgres
from resolvers.assembly import schema
from resolvers.gateway import Gateway
from tests.contract.test_isolation import (
    ANSWERS_S,
    HEARD_OUT_S,
    TOLD,
    Owned,
    Stranger,
    _alike,
    _kind_of,
    _owned,
    _reject,
    _try_all,
)
from tests.contract.test_isolation import _everything_of as everything_of
from tests.support import matrix
from tests.support.behind import change
from tests.support.matrix import Cell
from tests.support.people import colleague
from tests.support.tenant import found_tenant

_episode = itertools.count(10)

SEEN_BY_ALL = {"profile", "rule"}
"""Kinds of things that somebody limited may read: what devices are described with, and what watches them."""


@dataclass
class Limited(Stranger):
    """A member who sees one group, and what is in it."""

    own: Device | None = None
    told: dict[str, str] = field(default_factory=dict)

    async def ask(self, cell: Cell, value: str, listen_s: float | None = None) -> str:
        """As a stranger asks, without what nobody limited has the right to: that is refused, see test_rights."""
        return await super().ask(matrix.within(cell, WITHIN_GROUPS), value, listen_s)

    async def try_cell(self, cell: Cell, foreign: str | None) -> None:
        """As a stranger is tried; only what everybody here may read need not look as if it did not exist."""
        if foreign is None or _is_seen_by_all(cell):
            self._look(cell, await self.ask(cell, foreign or matrix.nobodys(cell)), foreign)
            self.asked.add(str(cell))
            return
        await super().try_cell(cell, foreign)


def _is_seen_by_all(cell: Cell) -> bool:
    # a rule says which policy it tells people by, so whoever may check rules is told which policies there are
    return _kind_of(cell) in SEEN_BY_ALL or (cell.target or "").endswith(".policy")


def _hidden(owned: Owned) -> list[str]:
    """What marks the things that somebody limited must not hear of."""
    mark = owned.marks[0]
    kinds = (
        "device",
        "label",
        "retired",
        "reason",
        "message",
        "value",
        "group",
        "way",
        "asks",
        "role",
        "idp",
        "client",
        "watches",
    )
    ids = [id_ for kind, id_ in owned.ids.items() if kind not in {*SEEN_BY_ALL, "tenant"}]
    return [*(f"{kind}-{mark}" for kind in kinds), f"{mark}@invited.example", f"{mark}.example", *ids]


@pytest.fixture(scope="module")
async def hidden(postgres: Postgres, store: Store, worker_store: Store, gateway: Gateway) -> Owned:
    """One of everything in a tenant, all of it outside the member's group."""
    tenant = await found_tenant(postgres, store)
    owned = await _owned(postgres, store, worker_store, tenant, gateway.services.vault)
    _come(owned, owned.ids["device"])
    return owned


@pytest.fixture(scope="module")
async def own(hidden: Owned, store: Store, worker_store: Store, postgres: Postgres) -> tuple[Device, UUID, str]:
    """The member's own device with something of everything, its group, and the secret of the member's session."""
    tenant = hidden.tenant
    device = await tenant.device(f"own-{uuid4().hex[:8]}", next(iter(tenant.profiles)))
    await tenant.device_token(device)
    async with store.as_tenant(tenant.principal()) as tx:
        group = await groups.create(tx, key="own", name="Own")
        await groups.add_devices(tx, group.id, [device.id])
        for _ in range(3):
            await devices.issue_token(tx, device.id)
        await fleet.run(tx)
        watching = {"name": f"watches-{hidden.marks[0]}", "scope": {"profile": None, "devices": [hidden.ids["device"]]}}
        await rules.create(tx, {**matrix.RULE, **watching})
    await _happen(hidden, worker_store, postgres, device)
    person = await colleague(tenant, Role.ADMIN)
    async with store.as_tenant(tenant.principal()) as tx:
        await members.change_role(tx, person.id, Role.ADMIN, groups=[group.id])
    return device, group.id, (await person.sign_in()).secret


@pytest.fixture
async def limited(served: str, hidden: Owned, own: tuple[Device, UUID, str]) -> Any:
    """The member, who asks."""
    async with httpx.AsyncClient(base_url=f"http://{served}", timeout=ANSWERS_S, trust_env=False) as client:
        yield Limited(client, own[2], _hidden(hidden), own=own[0])


async def _happen(hidden: Owned, worker_store: Store, postgres: Postgres, device: Device) -> None:
    """An alert, a reading, a command, a connection and a rejected message of a device."""
    raised = Raised(hidden.ids["rule"], 1, str(device.id), next(_episode), "minor", "so", {}, clock.now())
    async with worker_store.as_tenant(system(hidden.tenant.id)) as tx:
        await alerts.raise_all(tx, [raised])
    hidden.tenant.tell([(device.id, clock.now_ms(), {"temperature": 5.0})])
    _reject(postgres, hidden.tenant, device, device.key)
    _come(hidden, str(device.id))
    async with hidden.tenant.store.as_tenant(hidden.tenant.principal()) as tx:
        await commands.issue(tx, device.id, f"command-{hidden.marks[0]}", {})


def _come(hidden: Owned, device_id: str) -> None:
    hidden.tenant.happen("device.connected", device=device_id, at=clock.now_ms(), epoch=1, reason=None)


@pytest.mark.timeout(600)  # a thousand questions, on a machine that may do other things as well
async def test_nothing_outside_ones_groups_is_told_or_changed(
    limited: Limited, hidden: Owned, postgres: Postgres, figure: Callable[[str], None]
) -> None:
    cells = matrix.cells(schema()._schema)
    before = await everything_of(postgres, hidden.tenant, {*TOLD, "usage"})
    await _try_all(limited, hidden, cells)
    figure(f"limited to a group: {len(limited.asked)} of {len(cells)} cells asked, {len(limited.leaks)} leaks")
    assert limited.leaks == []
    assert limited.asked == {str(cell) for cell in cells}
    assert await everything_of(postgres, hidden.tenant, {*TOLD, "usage"}) == before


async def test_what_is_in_ones_groups_is_told(limited: Limited, own: tuple[Device, UUID, str]) -> None:
    """The questions are real: about the member's own device most of them are answered."""
    device, group_id, _ = own
    mine = {"device": str(device.id), "group": str(group_id)}
    marks = (device.key, str(device.id), '"own"')
    shown = set()
    for cell in matrix.cells(schema()._schema):
        if cell.kind == "mutation" or (cell.target is not None and _kind_of(cell) not in mine):
            continue
        value = mine[_kind_of(cell)] if cell.target else str(uuid4())
        said = await limited.ask(cell, value)
        if cell.kind == "subscription" and not any(mark in said for mark in marks):
            said = await limited.ask(cell, value, HEARD_OUT_S)
        if '"errors"' not in said and any(mark in said for mark in marks):
            shown.add(str(cell).split(" ", 1)[1].split("(")[0])
    assert {
        *("query devices", "query device", "query alerts", "query inbox", "query fleetFindings", "query deviceGroups"),
        *("query GET /devices", "query GET /alerts", "query GET /inbox", "query GET /device-groups"),
        *(f"subscription {name}" for name in ("alerts", "commands", "deviceStatus", "telemetry")),
        *(f"subscription GET /stream/{name}" for name in ("alerts", "commands", "device-status", "telemetry")),
    } <= shown


async def test_what_happens_elsewhere_changes_no_answer(
    limited: Limited, hidden: Owned, store: Store, worker_store: Store, postgres: Postgres, gateway: Gateway
) -> None:
    """Counts, pages and their ends: the same before and after devices, alerts and data came to be out of sight."""
    cells = [cell for cell in matrix.cells(schema()._schema) if cell.kind == "query" and cell.target is None]

    async def told() -> dict[str, str]:
        return {str(cell): _alike(await limited.ask(cell, str(uuid4())), "-") for cell in cells}

    before = await told()
    tenant = hidden.tenant
    for number in range(3):
        device = await tenant.device(f"later-{number}", next(iter(tenant.profiles)))
        await _happen(hidden, worker_store, postgres, device)
        async with store.as_tenant(tenant.principal()) as tx:
            await certificates.sign(tx, gateway.services.vault, device.id, matrix.SAMPLES["csr"])
            await groups.create(tx, key=f"later-{number}", name="Later", filter_={"keyPrefix": "later"})
            for _ in range(3):
                await devices.issue_token(tx, device.id)
            await fleet.run(tx)
    after = await told()
    assert len(cells) > 40
    assert {cell: (said, after[cell]) for cell, said in before.items() if after[cell] != said} == {}


PLANTED = {
    "alerts": "query alerts",
    "devices": "query device",
    "device_groups": "query deviceGroup",
    "fleet_findings": "query fleetFinding",
}


@pytest.mark.parametrize("table", PLANTED)
async def test_a_table_that_forgets_the_limit_is_found(
    table: str, limited: Limited, hidden: Owned, postgres: Postgres
) -> None:
    cells = [cell for cell in matrix.cells(schema()._schema) if f"{cell.kind} {cell.name}" == PLANTED[table]]
    with psycopg.connect(postgres.url("superuser")) as connection:
        query = "SELECT qual FROM pg_policies WHERE tablename = %s AND policyname = 'limits'"
        [held] = connection.execute(query, [table]).fetchall()
    forget = sql.SQL("ALTER POLICY limits ON {} USING ({})")
    try:
        await change(postgres, forget.format(sql.Identifier(table), sql.SQL("true")))
        await _try_all(limited, hidden, cells)
    finally:
        await change(postgres, forget.format(sql.Identifier(table), sql.SQL(held[0])))
    assert limited.leaks != []
    limited.leaks.clear()
    await _try_all(limited, hidden, cells)
    assert limited.leaks == []
