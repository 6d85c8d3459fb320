"""Makes the demo tenant: owner, profiles, rules, simulated devices and a spare one; safe to repeat, also half-done.

What only the maker knows (passwords, tokens) lies in two private files of the data folder: `demo.json` for people and
`simulator.json` for the simulator. The password is written before the tenant is made, so that no crash in between can
leave a tenant that nobody can enter.
"""

import argparse
import asyncio
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

from engine import ids
from engine.devices import service as devices
from engine.devices.model import Device, DeviceStatus
from engine.rules import service as rules
from engine.settings import Settings
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.tenancy import SCOPES, Principal, Role, system
from engine.tenants import doorway
from engine.tenants import service as tenants
from infra.local import demo
from infra.local.embedded import postgres_of
from infra.local.errors import SetupProblem
from infra.local.ground import private_file
from infra.local.plant_files import FOLDER, TOKEN_FILE
from schema.wire.topics import username

DEMO_FILE = "demo.json"
SIMULATOR_FILE = "simulator.json"


@dataclasses.dataclass(frozen=True)
class Seeded:
    """What the seed found or made; `is_new` the first time."""

    is_new: bool
    said: Mapping[str, Any]
    """The content of demo.json: url, tenant, email, password, api_token, device {id, key, username, token}."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There is nothing to choose."""


def run(_: argparse.Namespace | None, settings: Settings) -> int:
    """Seed the embedded database of `settings.data_dir` (`database_url` is its owner's). Raises SetupProblem."""
    postgres = postgres_of(settings.data_dir)
    if not postgres.cluster.exists():
        raise SetupProblem("The demo tenant lives in the embedded database only: start it with tidegate up --demo.")

    async def seeded() -> Seeded:
        owner = Store(settings.database_url or postgres.url("owner"), size=1)
        app = Store(postgres.url("app"), size=1)
        try:
            return await seed(owner, app, settings.data_dir, settings.origin)
        finally:
            await owner.close()
            await app.close()

    print(words(asyncio.run(seeded()), settings))
    return 0


def words(seeded: Seeded, settings: Settings) -> str:
    """What the person at the keyboard is told."""
    said, device = seeded.said, seeded.said["device"]
    if not seeded.is_new:
        return f"demo tenant: {said['url']} as {said['email']}, password and tokens in {settings.data_dir / DEMO_FILE}"
    payload = json.dumps({"values": {"temperature": 4.2, "humidity": 61}})
    return "\n".join(
        (
            f"demo tenant made: {len(demo.DEVICES)} simulated devices, an edge with "
            f"{len(demo.EDGE_DEVICES) - 1} simulated machines, {len(demo.RULES)} rules",
            f"  open      {said['url']}",
            f"  e-mail    {said['email']}",
            f"  password  {said['password']}   (shown once; kept in {settings.data_dir / DEMO_FILE})",
            "  first message:",
            f"    mosquitto_pub -h 127.0.0.1 -p {settings.mqtt_port} -q 1 -u '{device['username']}'"
            f" -P '{device['token']}' -t 't/{device['username']}/up/telemetry' -m '{payload}'",
        )
    )


async def seed(owner: Store, app: Store, folder: Path, url: str) -> Seeded:
    """Bring the demo tenant to what it should be and return what is told of it; both files are complete then."""
    known = _read(folder / DEMO_FILE)
    password = known.get("password") or ids.token("demo")
    tenant_id = await _tenant(app)
    if tenant_id is None:
        known = {"url": url, "tenant": demo.TENANT, "email": demo.EMAIL, "password": password}
        _write(folder / DEMO_FILE, known)
        tenant_id, _ = await doorway.found(
            owner, key=demo.TENANT, name=demo.TENANT_NAME, email=demo.EMAIL, user_name="Demo Owner", password=password
        )
    elif not known.get("password"):
        raise SetupProblem(
            f"The demo tenant exists, but {folder / DEMO_FILE} with its password is gone and only a hash is stored: "
            f"remove the folder {folder} to begin anew."
        )
    is_complete = await _is_complete(app, folder, known, tenant_id)
    if not is_complete:
        async with app.as_tenant(await _owner(app, tenant_id)) as tx:
            known = await _furnish(tx, folder, known)
    if known.get("url") != url:
        known = {**known, "url": url}
        _write(folder / DEMO_FILE, known)
    return Seeded(not is_complete, known)


async def _tenant(app: Store) -> UUID | None:
    """The demo tenant, found as a login of its owner would find it."""
    for row in await app.door("login", demo.EMAIL):
        if row["tenant_key"] == demo.TENANT:
            return UUID(str(row["tenant_id"]))
    return None


async def _owner(app: Store, tenant_id: UUID) -> Principal:
    for row in await app.door("login", demo.EMAIL):
        if row["tenant_id"] == tenant_id:
            return Principal(tenant_id, "user", row["user_id"], SCOPES[Role.OWNER], demo.EMAIL)
    return system(tenant_id)


async def _is_complete(app: Store, folder: Path, known: Mapping[str, Any], tenant_id: UUID) -> bool:
    """Whether all files are there and speak of this tenant as it is in the database."""
    if not (folder / FOLDER / TOKEN_FILE).exists():
        return False
    if not known.get("device") or not _read(folder / SIMULATOR_FILE).get("devices"):
        return False
    principal = await doorway.token(app, known.get("api_token", ""))
    return principal is not None and principal.tenant_id == tenant_id


async def _furnish(tx: Tx, folder: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """Make what is missing and issue new tokens; the files are written before the transaction is committed.

    A crash in between leaves files whose tokens do not exist: the next run sees that and issues others.
    """
    is_first = await devices.by_key(tx, demo.SPARE) is None
    profiles = await _profiles(tx)
    simulated = []
    for key, (name, profile, site) in demo.DEVICES.items():
        device = await _device(tx, key, name, profiles[profile], site)
        if device.status is not DeviceStatus.DECOMMISSIONED:
            _, token = await devices.issue_token(tx, device.id)
            simulated.append({"key": key, "profile": profile, "token": token})
    edge_token = await _edge(tx, profiles)
    spare = await _device(tx, demo.SPARE, "My first device", profiles["cold-room"], "Basel")
    _, spare_token = await devices.issue_token(tx, spare.id)
    _, api_token = await tenants.issue_token(tx, name="demo", scopes=SCOPES[Role.OWNER])
    if is_first:
        for document in demo.RULES:
            await rules.create(tx, document)
    login = {"id": str(spare.id), "key": spare.key, "username": username(demo.TENANT, spare.key), "token": spare_token}
    said = {**known, "api_token": api_token, "device": login}
    (folder / FOLDER).mkdir(exist_ok=True)
    private_file(folder / FOLDER / TOKEN_FILE, edge_token + "\n")
    _write(folder / SIMULATOR_FILE, {"tenant": demo.TENANT, "devices": simulated})
    _write(folder / DEMO_FILE, said)
    return said


async def _edge(tx: Tx, profiles: Mapping[str, UUID]) -> str:
    """The edge's gateway and the machines that it speaks for; the gateway's token."""
    token = ""
    for key, (name, profile, site) in demo.EDGE_DEVICES.items():
        labels = {} if key == demo.GATEWAY else {"gateway": demo.GATEWAY}
        device = await _device(tx, key, name, profiles[profile], site, labels)
        if key == demo.GATEWAY and device.status is not DeviceStatus.DECOMMISSIONED:
            _, token = await devices.issue_token(tx, device.id)
    return token


async def _profiles(tx: Tx) -> dict[str, UUID]:
    found = {}
    for key, said in {**demo.PROFILES, **demo.EDGE_PROFILES}.items():
        profile = await devices.profile_by_key(tx, key) or await devices.profile_create(
            tx,
            key=key,
            name=said.name,
            metrics=said.metrics,
            reporting_interval_s=said.reporting_interval_s,
            commands=said.commands,
            shadow=said.shadow,
        )
        found[key] = profile.id
    return found


async def _device(
    tx: Tx, key: str, name: str, profile_id: UUID, site: str, labels: Mapping[str, str] = MappingProxyType({})
) -> Device:
    return await devices.by_key(tx, key) or await devices.provision(
        tx, key=key, name=name, profile_id=profile_id, labels={"site": site, **labels}
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    private_file(path, json.dumps(content, indent=2) + "\n")
