"""`tidegate bench registry`: what lists of devices cost in a large fleet, on a database of its own.

Every question goes the way of the API: the service's own function, in a read-only transaction as the tenant, under
row-level security; as somebody who sees all, and as members limited to a small group, to one of most floors, and to a
group for each of these floors whose filters ask for more than labels.
Beside the fleet lies a neighbour's, half as large, so that an index without the tenant first would show.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from engine import ids
from engine.devices import bulk, groups
from engine.devices import service as devices
from engine.devices.model import DeviceStatus
from engine.fleet import audit
from engine.pages import Page, encode
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.tenancy import SCOPES, Principal, Role, system
from engine.tenants import doorway
from infra.bench import report
from infra.bench.database import database
from infra.local.postgres import Postgres

GOAL_MS = 200.0
TIMES = 15
SITES = 50
IMPORTED = 10_000

_FLEET = text(
    "INSERT INTO devices (tenant_id, id, key, name, profile_id, status, labels) "
    "SELECT :tenant, gen_random_uuid(), 'device-' || lpad(CAST(n AS text), 6, '0'), "
    "'Pump ' || n || ' of line ' || n % 97, (CAST(:profiles AS uuid[]))[1 + n % 5], "
    "CASE WHEN n % 50 = 0 THEN 'suspended' WHEN n % 10 = 0 THEN 'provisioned' ELSE 'active' END, "
    "jsonb_build_object('site', CAST(n % :sites AS text), 'floor', CAST(n % 7 AS text), 'owner', 'team ' || n % 13) "
    "FROM generate_series(1, :count) AS n"
)
_PRESENCE = text(
    "INSERT INTO presence (tenant_id, device_id, session_epoch, is_online, since, silent_since) "
    "SELECT tenant_id, id, 1, status = 'active' AND right(key, 1) IN ('1', '2', '3'), now(), "
    "CASE WHEN right(key, 2) IN ('07', '57') THEN now() - interval '1 hour' END "
    "FROM devices WHERE tenant_id = :tenant"
)
# One in fifty was found silent, and half of those have been heard since.
_LATEST = text(
    "INSERT INTO latest (tenant_id, device_id, values, received_at) "
    "SELECT tenant_id, id, '{}', CASE right(key, 2) WHEN '07' THEN now() - interval '2 hours' ELSE now() END "
    "FROM devices WHERE tenant_id = :tenant"
)
_MEMBERS = text(
    "INSERT INTO device_group_members (tenant_id, group_id, device_id) "
    "SELECT tenant_id, :group, id FROM devices WHERE tenant_id = :tenant AND right(key, 2) = '42'"
)

Question = Callable[[Tx], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Answered:
    """How long a question took, in milliseconds from BEGIN to the end of the transaction."""

    name: str
    median_ms: float
    worst_ms: float
    goal_ms: float | None

    @property
    def is_within(self) -> bool:
        """Whether the median is below the goal."""
        return self.goal_ms is None or self.median_ms < self.goal_ms


@dataclass(frozen=True, slots=True)
class Measured:
    """All answers about a fleet of this size."""

    devices: int
    answers: list[Answered]

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {"devices": self.devices, "answers": [asdict(answer) for answer in self.answers]}


def measure(count: int) -> Measured:
    """Make a fleet of ``count`` devices on a server of its own, ask, and throw it away."""
    with database() as (postgres, _):
        return asyncio.run(ask(postgres, count))


def shown(measured: Measured) -> str:
    """The answers as a table for people."""
    rows = [[answer.name, answer.median_ms, answer.worst_ms, _said(answer)] for answer in measured.answers]
    head = ["question", "median ms", "worst ms", "goal"]
    return f"\nregistry: {measured.devices} devices, {TIMES} times each\n" + report.table(head, rows)


async def ask(postgres: Postgres, count: int) -> Measured:
    """Make the fleet on a running server, and ask."""
    tenant_id = await _founded(postgres, "fleet")
    neighbour = await _founded(postgres, "neighbour")
    store = Store(postgres.url("app"), size=1, statement_timeout_s=300)
    try:
        profiles = await _filled(store, tenant_id, count)
        await _filled(store, neighbour, count // 2)
        for each in (tenant_id, neighbour):
            await _heard(postgres, each)
        await _analysed(postgres)
        asked = _asked_of(profiles, count)
        everything = asked | await _of_groups(store, tenant_id, count)
        whole = system(tenant_id)
        answers = [await _asked(store, whole, name, question, GOAL_MS) for name, question in everything.items()]
        for where, member in (await _members(store, tenant_id)).items():
            for name, question in asked.items():
                answers.append(await _asked(store, member, f"{where}: {name}", question, GOAL_MS))
        answers.append(await _asked(store, whole, "fleet audit, all checks", audit.run, None, times=3, writes=True))
        newcomer = await _founded(postgres, "newcomer")  # whose quota of devices is not used up
        answers.append(await _import(store, newcomer, (await _filled(store, newcomer, 0))[0], min(count, IMPORTED)))
    finally:
        await store.close()
    return Measured(count, answers)


async def _founded(postgres: Postgres, key: str) -> UUID:
    owner = Store(postgres.url("owner"), size=1)
    try:
        tenant_id, _ = await doorway.found(
            owner, key=key, name=key, email=f"{key}@example.com", user_name="Bench", password=ids.token("pw")
        )
    finally:
        await owner.close()
    return tenant_id


async def _filled(store: Store, tenant_id: UUID, count: int) -> list[UUID]:
    """Devices of five profiles on fifty sites; three of ten are connected. Returns the profiles."""
    async with store.as_tenant(system(tenant_id)) as tx:
        made = [await devices.profile_create(tx, key=f"kind-{n}", name=f"Kind {n}", metrics=[]) for n in range(5)]
        profiles = [profile.id for profile in made]
        await tx.execute(_FLEET, {"tenant": tenant_id, "profiles": profiles, "sites": SITES, "count": count})
        await tx.execute(_PRESENCE, {"tenant": tenant_id})
    return profiles


async def _heard(postgres: Postgres, tenant_id: UUID) -> None:
    """Each device's latest message, which only a worker may note."""
    worker = Store(postgres.url("worker"), size=1, statement_timeout_s=300)
    try:
        async with worker.as_tenant(system(tenant_id)) as tx:
            await tx.execute(_LATEST, {"tenant": tenant_id})
    finally:
        await worker.close()


async def _members(store: Store, tenant_id: UUID) -> dict[str, Principal]:
    """An operator of one site of fifty, and two of four floors of seven."""
    every_profile = [f"kind-{n}" for n in range(5)]
    places: dict[str, list[dict[str, object]]] = {
        "one site": [{"labels": {"site": "7"}}],
        "four floors": [{"labels": {"floor": ["0", "1", "2", "3"]}}],
        "four mixed groups": [
            {"labels": {"floor": "0"}},
            {"labels": {"floor": "1"}, "profile": every_profile},
            {"labels": {"floor": "2"}, "status": ["active", "provisioned", "suspended"]},
            {"labels": {"floor": "3"}, "keyPrefix": "device-"},
        ],
    }
    members = {}
    for name, filters in places.items():
        async with store.as_tenant(system(tenant_id)) as tx:
            made = [await groups.create(tx, key=ids.uuid7().hex, name=name, filter_=each) for each in filters]
        limits = frozenset(group.id for group in made)
        members[f"limited to {name}"] = Principal(tenant_id, "user", ids.uuid7(), SCOPES[Role.OPERATOR], groups=limits)
    return members


async def _analysed(postgres: Postgres) -> None:
    owner = Store(postgres.url("owner"), size=1)
    try:
        async with owner.as_tenant(system(UUID(int=0))) as tx:
            await tx.execute(text("ANALYZE devices, presence, latest, device_group_members"))
    finally:
        await owner.close()


def _page(**chosen: Any) -> Question:
    async def ask(tx: Tx) -> Page[Any]:
        return await devices.page(tx, **chosen)

    return ask


def _asked_of(profiles: list[UUID], count: int) -> dict[str, Question]:
    """What people ask of a registry: first pages and late ones, searches, statuses, how many there are."""
    middle = encode(f"device-{count // 2:06}")
    return {
        "first page": _page(),
        "page from the middle": _page(after=middle),
        "page of 200": _page(first=200),
        "search that finds many": _page(search="line 42"),
        "search that finds one": _page(search=f"Pump {count - 43} of"),
        "search that finds nothing": _page(search="no such thing"),
        "of one profile, from the middle": _page(profile_id=profiles[2], after=middle),
        "suspended ones": _page(status=DeviceStatus.SUSPENDED),
        "quarantined ones (none)": _page(status=DeviceStatus.QUARANTINED),
        "connected ones": _page(is_online=True),
        "not connected ones": _page(is_online=False),
        "with a label of two values": _page(labels=["site=7", "site=8", "floor"]),
        "with a label that nobody has": _page(labels=["site=nowhere"]),
        "silent ones": _page(is_silent=True),
        "not silent ones": _page(is_silent=False),
        "counts": devices.counts,
    }


async def _of_groups(store: Store, tenant_id: UUID, count: int) -> dict[str, Question]:
    """The same of each kind of group, and how many devices each of many holds."""
    async with store.as_tenant(system(tenant_id)) as tx:
        static = await groups.create(tx, key="static", name="Static")
        await tx.execute(_MEMBERS, {"tenant": tenant_id, "group": static.id})
        filters: dict[str, object] = {
            "one site": {"labels": {"site": "7"}},
            "site, floor and profile": {"labels": {"site": ["7", "8"], "floor": "2"}, "profile": "kind-2"},
            "nothing at all": {"labels": {"site": "nowhere"}},
            "a prefix": {"keyPrefix": f"device-{count // 2:06}"[:-3]},
        }
        dynamic = {
            name: await groups.create(tx, key=ids.uuid7().hex, name="D", filter_=f) for name, f in filters.items()
        }
        for n in range(20):
            await groups.create(tx, key=f"site-{n}", name="D", filter_={"labels": {"site": str(n)}})

    async def counted(tx: Tx) -> object:
        return await groups.counts(tx, (await groups.page(tx)).items)

    return {
        "static group": _page(group_id=static.id),
        **{f"dynamic group: {name}": _page(group_id=group.id) for name, group in dynamic.items()},
        "25 groups with how many each holds": counted,
    }


async def _asked(
    store: Store,
    principal: Principal,
    name: str,
    question: Question,
    goal_ms: float | None,
    *,
    times: int = TIMES,
    writes: bool = False,
) -> Answered:
    taken = []
    for _ in range(times + 1):
        began = time.perf_counter()
        async with store.as_tenant(principal, read_only=not writes) as tx:
            await question(tx)
        taken.append((time.perf_counter() - began) * 1000)
    ordered = sorted(taken[1:])  # the first one compiles the statement
    return Answered(name, ordered[len(ordered) // 2], ordered[-1], goal_ms)


async def _import(store: Store, tenant_id: UUID, profile_id: UUID, count: int) -> Answered:
    """New devices from a table, with their tokens, once."""
    table = "key,name,attributes\n" + "".join(f"new-{n},New {n},site={n % SITES}\n" for n in range(count))
    began = time.perf_counter()
    async with store.as_tenant(system(tenant_id)) as tx:
        await bulk.bring_in(tx, table, profile_id=profile_id, dry_run=False)
    taken = (time.perf_counter() - began) * 1000
    return Answered(f"import of {count:,} devices", taken, taken, None)


def _said(answer: Answered) -> str:
    if answer.goal_ms is None:
        return "-"
    return f"< {answer.goal_ms:g} {'held' if answer.is_within else 'MISSED'}"
