"""The bench's tenant: founded through the door, its devices made in bulk, its rules through the service."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from engine import ids
from engine.certificates.vault import LocalVault
from engine.devices import service as devices
from engine.notifications import channels, contacts
from engine.outbound.fetch import Outbound
from engine.rules import service as rules
from engine.settings import Settings
from engine.store.pool import Store
from engine.tenancy import SCOPES, Role, system
from engine.tenants import doorway
from engine.tenants import service as tenants
from infra.bench.clients import Identity
from infra.bench.readings import COLD, WARM, Signal
from infra.local.postgres import Postgres

PROFILE = "bench"
OTHER_PROFILES = 10
BETWEEN = (WARM + COLD) / 20
"""Degrees that divide warm from cold."""

# As `provision` and `issue_token` do it, a thousand at a time. Presence begins with the first login.
_DEVICES = text(
    "INSERT INTO devices (tenant_id, id, key, name, profile_id, status) SELECT :tenant, u.id, u.key, u.key, :profile, "
    "'provisioned' FROM unnest(CAST(:ids AS uuid[]), CAST(:keys AS text[])) AS u (id, key)"
)
_CREDENTIALS = text(
    "INSERT INTO credentials (tenant_id, id, device_id, kind, secret_sha256) SELECT :tenant, u.id, u.device, 'token', "
    "u.secret FROM unnest(CAST(:ids AS uuid[]), CAST(:devices AS uuid[]), CAST(:secrets AS bytea[])) "
    "AS u (id, device, secret)"
)


@dataclass(frozen=True, slots=True)
class BenchTenant:
    """Who was made: the device with number n has `device_ids[n]` and logs in as `identities[n]`."""

    id: UUID
    device_ids: list[UUID]
    identities: list[Identity]
    api_token: str


async def found(
    postgres: Postgres, signal: Signal, count: int, documents: list[dict[str, Any]], role: Role = Role.VIEWER
) -> BenchTenant:
    """A tenant with a profile for this signal, `count` devices of it, and a rule of each document.

    Its API token may do what this role may.
    """
    key = f"bench-{ids.uuid7().hex[-8:]}"
    owner, app = Store(postgres.url("owner"), size=1), Store(postgres.url("app"), size=1)
    try:
        tenant_id, _ = await doorway.found(
            owner, key=key, name="Bench", email=f"{key}@example.com", user_name="Bench", password=ids.token("pw")
        )
        async with app.as_tenant(system(tenant_id)) as tx:
            profile = await devices.profile_create(tx, key=PROFILE, name="Bench", metrics=signal.metrics())
            for number in range(OTHER_PROFILES):
                other = f"other-{number}"
                await devices.profile_create(tx, key=other, name=other, metrics=signal.metrics())
            for document in documents:
                await rules.create(tx, document)
            _, api_token = await tenants.issue_token(tx, name="bench", scopes=SCOPES[role])
        made = [_Made(ids.uuid7(), f"device-{number}", ids.token("tgd")) for number in range(count)]
        async with app.as_tenant(system(tenant_id)) as tx:
            await tx.execute(_DEVICES, _device_columns(tenant_id, profile.id, made))
            await tx.execute(_CREDENTIALS, _credential_columns(tenant_id, made))
    finally:
        await owner.close()
        await app.close()
    identities = [Identity(key, device.key, device.token) for device in made]
    return BenchTenant(tenant_id, [device.id for device in made], identities, api_token)


async def enact(postgres: Postgres, tenant_id: UUID, documents: list[dict[str, Any]]) -> None:
    """A rule of each document."""
    app = Store(postgres.url("app"), size=1)
    try:
        async with app.as_tenant(system(tenant_id)) as tx:
            for document in documents:
                await rules.create(tx, document)
    finally:
        await app.close()


async def hook(postgres: Postgres, tenant_id: UUID, settings: Settings, name: str, url: str) -> None:
    """A channel of this name to a webhook on this machine, sealed as this installation's worker opens it."""
    app = Store(postgres.url("app"), size=1)
    try:
        async with app.as_tenant(system(tenant_id)) as tx:
            contact = contacts.webhook(Outbound(may_loop_back=True), url)
            await channels.create(tx, LocalVault.of(settings), name=name, contact=contact)
    finally:
        await app.close()


def hundred_rules() -> list[dict[str, Any]]:
    """A hundred rules of which three watch the bench's devices; one of the three changes sides with the signal."""
    matching = [
        rule("Too warm", {"metric": "temperature", "op": ">", "value": BETWEEN}),
        rule("Too humid", {"metric": "humidity", "op": ">", "value": 90}),
        rule(
            "Frozen or dripping",
            {
                "any": [
                    {"metric": "temperature", "op": "<", "value": -20},
                    {"metric": "humidity", "op": ">=", "value": 99},
                ]
            },
        ),
    ]
    others = [
        rule(f"Other {n}", {"metric": "temperature", "op": ">", "value": n}, profile=f"other-{n % OTHER_PROFILES}")
        for n in range(97)
    ]
    return matching + others


def rule(
    name: str, when: dict[str, Any], *, profile: str = PROFILE, severity: str = "major", **more: Any
) -> dict[str, Any]:
    """A rule document that raises an alert."""
    scope = {"profile": profile}
    return {"v": 1, "name": name, "severity": severity, "scope": scope, "when": when, "then": [{"do": "alert"}], **more}


@dataclass(frozen=True, slots=True)
class _Made:
    id: UUID
    key: str
    token: str


def _device_columns(tenant_id: UUID, profile_id: UUID, made: list[_Made]) -> dict[str, Any]:
    columns = {"ids": [device.id for device in made], "keys": [device.key for device in made]}
    return {"tenant": tenant_id, "profile": profile_id, **columns}


def _credential_columns(tenant_id: UUID, made: list[_Made]) -> dict[str, Any]:
    return {
        "tenant": tenant_id,
        "ids": [ids.uuid7() for _ in made],
        "devices": [device.id for device in made],
        "secrets": [ids.fingerprint(device.token) for device in made],
    }
