"""A tenant for tests, made through the same doors as real ones."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import psycopg

from engine import ids
from engine.devices import service as devices
from engine.devices.model import Device, Metric, MetricType, Profile
from engine.store.pool import Store
from engine.tenancy import SCOPES, Principal, Role
from engine.tenants import doorway
from engine.tenants import service as tenants
from infra.local.postgres import Postgres
from tests.support.journal import Told, journal, tell

_number = itertools.count(1)

METRICS = (
    Metric("temperature", MetricType.NUMBER, "Temperature", "°C", -60, 120),
    Metric("humidity", MetricType.NUMBER, "Humidity", "%", 0, 100),
    Metric("door_open", MetricType.BOOLEAN, "Door open"),
    Metric("mode", MetricType.STRING, "Mode"),
)


@dataclass
class Tenant:
    """One tenant, its owner, and the verbs a test needs."""

    store: Store
    postgres: Postgres
    id: UUID
    key: str
    email: str
    password: str
    user_id: UUID
    profiles: dict[str, Profile] = field(default_factory=dict)

    def principal(self, role: Role = Role.OWNER) -> Principal:
        """The owner, or somebody with a lesser role."""
        return Principal(self.id, "user", self.user_id, SCOPES[role], self.email)

    def happen(self, kind: str, **body: object) -> None:
        """Append one row to the tenant's journal, as ingest does of what is no telemetry."""
        with psycopg.connect(self.postgres.url("ingest")) as connection:
            connection.execute("SELECT set_config('app.tenants', %s, true)", ("{" + str(self.id) + "}",))
            journal(connection, self.id, kind, body)

    def run(self, statement: str) -> None:
        """Run one statement behind the platform's back; its only parameter is the tenant's id."""
        with psycopg.connect(self.postgres.url("superuser")) as connection:
            connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(self.id)])  # for a view's sake
            connection.execute(statement, [self.id])

    async def profile(self, key: str = "cold-room", *, is_strict: bool = False) -> Profile:
        """The profile with this key, made on first use."""
        if key not in self.profiles:
            async with self.store.as_tenant(self.principal()) as tx:
                self.profiles[key] = await devices.profile_create(
                    tx, key=key, name=key.title(), metrics=METRICS, is_strict=is_strict
                )
        return self.profiles[key]

    async def device(self, key: str | None = None, profile: str = "cold-room") -> Device:
        """A fresh device."""
        profile_id = (await self.profile(profile)).id
        key = key or f"device-{next(_number)}"
        async with self.store.as_tenant(self.principal()) as tx:
            return await devices.provision(tx, key=key, name=key, profile_id=profile_id)

    async def device_token(self, device: Device) -> str:
        """A token that ``device`` may log in with."""
        async with self.store.as_tenant(self.principal()) as tx:
            return (await devices.issue_token(tx, device.id))[1]

    async def api_token(self, role: Role = Role.OWNER) -> str:
        """An API token with the rights of ``role``."""
        async with self.store.as_tenant(self.principal()) as tx:
            return (await tenants.issue_token(tx, name=f"test {role}", scopes=SCOPES[role]))[1]

    def tell(
        self,
        readings: Sequence[Told],
        received_ms: int | None = None,
        doubted: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Store readings and journal them as one ingest transaction would."""
        tell(self.postgres, self.id, readings, received_ms, doubted=doubted)


async def found_tenant(postgres: Postgres, store: Store) -> Tenant:
    """A new tenant with its owner."""
    key = f"t{next(_number)}-{ids.uuid7().hex[-6:]}"
    email, password = f"owner@{key}.example", ids.token("pw")
    tenant_id, user_id = await doorway.found(
        owner_of(postgres), key=key, name=key.upper(), email=email, user_name="Test Owner", password=password
    )
    return Tenant(store, postgres, tenant_id, key, email, password, user_id)


_owners: dict[str, Store] = {}


def owner_of(postgres: Postgres) -> Store:
    """The store of the database's owner. It is kept: connecting anew was most of what a tenant cost."""
    url = postgres.url("owner")
    if url not in _owners:
        _owners[url] = Store(url, size=1)
    return _owners[url]


async def close_owners() -> None:
    """Close what was kept."""
    while _owners:
        await _owners.popitem()[1].close()
