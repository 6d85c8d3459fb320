"""The demo tenant: made once, repeated safely, mended when it was left half-done."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from engine.devices import service as devices
from engine.rules import service as rules
from engine.settings import Settings
from engine.store.pool import Store
from engine.tenancy import Principal
from engine.tenants import doorway
from infra.local import demo, seed
from infra.local.errors import SetupProblem
from infra.local.postgres import Postgres
from ingest.adapters.base import Refused
from ingest.authorize import DoorAuthorizer
from ingest.database import Database
from tests.support.behind import change

URL = "http://127.0.0.1:8000"


@pytest.fixture
async def no_demo(postgres: Postgres) -> None:
    """Other tests of this run may have left a demo tenant: it steps aside."""
    await change(postgres, "UPDATE tenants SET key = 'x' || left(md5(id::text), 12) WHERE key = 'demo'")
    await change(postgres, "UPDATE users SET email = id || '@gone.example' WHERE email = %s", demo.EMAIL)


async def seeded(postgres: Postgres, app: Store, folder: Path, url: str = URL) -> seed.Seeded:
    owner = Store(postgres.url("owner"), size=1)
    try:
        return await seed.seed(owner, app, folder, url)
    finally:
        await owner.close()


async def whole(store: Store, said: Any) -> tuple[Principal, set[str], set[str]]:
    """Who the API token is, and the keys of the devices and names of the rules it sees."""
    principal = await doorway.token(store, said["api_token"])
    assert principal is not None
    async with store.as_tenant(principal, read_only=True) as tx:
        found = {device.key for device in (await devices.page(tx, first=100)).items}
        named = {rule.document["name"] for rule in (await rules.page(tx, first=100)).items}
    return principal, found, named


async def can_log_in(postgres: Postgres, username: str, token: str) -> bool:
    authorizer = DoorAuthorizer(Database(postgres.url("ingest")), Database(postgres.url("ingest")))
    try:
        await authorizer.authorize("any", username, token.encode())
    except Refused:
        return False
    finally:
        await authorizer.close()
    return True


@pytest.mark.usefixtures("no_demo")
async def test_the_first_time_everything_is_made_and_told_in_private_files(
    postgres: Postgres, store: Store, tmp_path: Path
) -> None:
    first = await seeded(postgres, store, tmp_path)
    assert first.is_new
    _, found, named = await whole(store, first.said)
    assert found == {*demo.DEVICES, *demo.EDGE_DEVICES, demo.SPARE}
    assert await can_log_in(postgres, "demo/d/plant-edge", (tmp_path / "edge" / "token").read_text().strip())
    assert named == {rule["name"] for rule in demo.RULES}
    assert json.loads((tmp_path / "demo.json").read_text()) == first.said
    for name in ("demo.json", "simulator.json", "edge/token"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert set(first.said) == {"url", "tenant", "email", "password", "api_token", "device"}
    assert set(first.said["device"]) == {"id", "key", "username", "token"}
    assert (await doorway.login(store, first.said["email"], first.said["password"])).membership.tenant_key == "demo"
    assert await can_log_in(postgres, first.said["device"]["username"], first.said["device"]["token"])
    fleet = json.loads((tmp_path / "simulator.json").read_text())["devices"]
    assert {each["key"] for each in fleet} == set(demo.DEVICES)
    assert await can_log_in(postgres, f"demo/d/{fleet[0]['key']}", fleet[0]["token"])


@pytest.mark.usefixtures("no_demo")
async def test_repeated_it_changes_nothing_but_the_address(postgres: Postgres, store: Store, tmp_path: Path) -> None:
    first = await seeded(postgres, store, tmp_path)
    principal, _, _ = await whole(store, first.said)
    async with store.as_tenant(principal) as tx:
        for rule in (await rules.page(tx)).items:
            await rules.delete(tx, rule.id)
    again = await seeded(postgres, store, tmp_path, "http://127.0.0.1:8080")
    assert not again.is_new
    assert again.said == {**first.said, "url": "http://127.0.0.1:8080"}
    assert (await whole(store, again.said))[2] == set()  # what a person took away stays away


@pytest.mark.usefixtures("no_demo")
@pytest.mark.parametrize("lost", ["simulator.json", "tokens", "tenant"])
async def test_what_was_left_half_done_is_completed(
    postgres: Postgres, store: Store, tmp_path: Path, lost: str
) -> None:
    first = await seeded(postgres, store, tmp_path)
    if lost == "simulator.json":
        (tmp_path / lost).unlink()
    elif lost == "tokens":
        kept = {name: first.said[name] for name in ("url", "tenant", "email", "password")}
        (tmp_path / "demo.json").write_text(json.dumps(kept))
    else:  # the files of another database
        await change(postgres, "UPDATE tenants SET key = 'y' || left(md5(id::text), 12) WHERE key = 'demo'")
    again = await seeded(postgres, store, tmp_path)
    assert again.is_new
    assert again.said["password"] == first.said["password"]
    _, found, named = await whole(store, again.said)
    assert found == {*demo.DEVICES, *demo.EDGE_DEVICES, demo.SPARE}
    assert len(named) == len(demo.RULES)
    assert await can_log_in(postgres, again.said["device"]["username"], again.said["device"]["token"])


@pytest.mark.usefixtures("no_demo")
async def test_a_lost_password_is_said_with_its_remedy(postgres: Postgres, store: Store, tmp_path: Path) -> None:
    await seeded(postgres, store, tmp_path)
    (tmp_path / "demo.json").unlink()
    with pytest.raises(SetupProblem, match="begin anew"):
        await seeded(postgres, store, tmp_path)


@pytest.mark.usefixtures("no_demo")
async def test_the_password_is_shown_once_and_the_first_message_can_be_pasted(
    postgres: Postgres, store: Store, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, mqtt_port=1884)
    first = seed.words(await seeded(postgres, store, tmp_path), settings)
    again = seed.words(await seeded(postgres, store, tmp_path), settings)
    password = json.loads((tmp_path / "demo.json").read_text())["password"]
    assert password in first
    assert password not in again
    assert "mosquitto_pub -h 127.0.0.1 -p 1884 -q 1 -u 'demo/d/my-first-device'" in first
