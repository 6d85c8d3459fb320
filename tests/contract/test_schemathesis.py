"""Both faces of the contract against a machine that tries what nobody thought of; its configuration is beside."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import clock
from engine.alerts import service as alerts
from engine.alerts.model import Raised
from engine.devices import service as devices
from engine.rules import service as rules
from engine.store.pool import Store
from engine.tenancy import system
from schema.rules import EXAMPLE
from tests.support.tenant import Tenant

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


async def _stocked(tenant: Tenant, worker_store: Store) -> list[str]:
    """The ids of things to try: one of each kind."""
    device = await tenant.device()
    await tenant.device_token(device)
    tenant.tell([(device.id, clock.now_ms(), {"temperature": 4.5})])
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        rule = await rules.create(tx, json.loads(EXAMPLE.json))
        credential = (await devices.credentials_of(tx, [device.id]))[device.id][0]
    raised = Raised(rule.id, 1, device.id, 1, "minor", "It is too warm.", {}, clock.now())
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        await alerts.raise_all(tx, [raised])
    return [str(id_) for id_ in (device.id, device.profile_id, rule.id, credential.id, raised.id(tenant.id))]


async def _schemathesis(tenant: Tenant, ids: list[str], config: str, url: str) -> tuple[int, str]:
    """The exit code and what was printed."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(HERE / config), "run", url, "--no-color"),
        cwd=ROOT,
        env={
            **os.environ,
            "TIDEGATE_TEST_TOKEN": await tenant.api_token(),
            "TIDEGATE_TEST_IDS": " ".join(ids),
            "PYTHONPATH": str(ROOT),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 880)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, said.decode()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("config", "path"),
    [("schemathesis.toml", "/api/v1/openapi.json"), ("schemathesis-graphql.toml", "/graphql")],
    ids=["rest", "graphql"],
)
async def test_nothing_that_a_machine_tries_breaks_a_promise(
    served: str,
    tenant: Tenant,
    worker_store: Store,
    config: str,
    path: str,
    figure: Callable[[str], None],
) -> None:
    ids = await _stocked(tenant, worker_store)
    code, said = await _schemathesis(tenant, ids, config, f"http://{served}{path}")
    summary = said.partition("Test cases:")[2].partition("\n\n")[0].strip()
    figure(f"schemathesis {path}: {summary}")
    assert code == 0, said[-6000:]
    assert "generated" in summary
