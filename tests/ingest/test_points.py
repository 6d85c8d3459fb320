"""A point table from the API to a real edge that was off: it runs, it is refused, and a kill loses nothing."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from engine.drain import Drain
from engine.store.pool import Store
from infra.local.postgres import Postgres
from ingest.edge import remote
from tests.ingest.edge.test_modbus import Machine, serving
from tests.ingest.edge.test_remote import table
from tests.support.api import Api
from tests.support.patience import PATIENCE_S
from tests.support.process import ingest_process
from tests.support.tenant import Tenant

_FIELDS = "state version runningVersion runningPoints refusedVersion isLocal problems { line message }"
_SET = (
    "mutation ($id: ID!, $text: String!, $version: Int!) "
    f"{{ pointTableSet(deviceId: $id, text: $text, version: $version) {{ {_FIELDS} }} }}"
)
_READ = """mutation ($id: ID!, $point: JSON!) {
    pointRead(deviceId: $id, child: "new", metric: "m", connection: "plc", point: $point) { id }
}"""
_DISCOVER = """mutation ($id: ID!, $wanted: JSON!) {
    pointDiscover(deviceId: $id, connection: "plc", wanted: $wanted) { id }
}"""
_ANSWER = "query ($id: ID!) { command(id: $id) { status reason result } }"
_GET = f"query ($id: ID!) {{ pointTable(deviceId: $id) {{ {_FIELDS} text changedBy }} }}"


async def _edge(path: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "infra.cli", "edge", str(path), stderr=asyncio.subprocess.DEVNULL, env=dict(os.environ)
    )


async def test_a_table_set_while_the_edge_is_off_runs_when_it_comes_and_a_wrong_one_is_refused_by_it(
    api: Api, postgres: Postgres, worker_store: Store, tenant: Tenant, tmp_path: Path
) -> None:
    gateway = await tenant.device("plant")
    secret = await tenant.api_token()
    (tmp_path / "token").write_text(await tenant.device_token(gateway))
    drain, machine = Drain(worker_store), Machine()
    device = str(gateway.id)
    machine.cells = {1: 7, 2: 215}

    async def stands(**wanted: object) -> Mapping[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await drain.run(tenant.id)
                now: dict[str, Any] = (await api.data(secret, _GET, id=device))["pointTable"]
                if all(now[name] == value for name, value in wanted.items()):
                    return now
                await asyncio.sleep(0.05)

    async def answer(asked: Mapping[str, Any]) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await drain.run(tenant.id)
                found = (await api.data(secret, _ANSWER, id=asked["id"]))["command"]
                if found["status"] not in ("QUEUED", "SENT"):
                    assert found["status"] == "SUCCEEDED", found
                    return found["result"]
                await asyncio.sleep(0.05)

    assert (await stands(state="NONE"))["version"] == 0
    async with serving(machine), ingest_process(postgres.url("ingest"), tmp_path / "ingest.log") as process:
        text = f"# by hand\n{table(machine.port)}"
        wrong = (await api.graphql(secret, _SET, id=device, text=table(1, type="int17"), version=0))["errors"][0]
        assert wrong["extensions"]["code"] == "POINT_TABLE_INVALID"
        assert "Line 15: `type` is 'int17'; write one of" in wrong["message"]
        first = (await api.data(secret, _SET, id=device, text=text, version=0))["pointTableSet"]
        assert (first["state"], first["version"]) == ("WAITING", 1)
        assert await api.code(secret, _SET, id=device, text=text, version=0) == "POINT_TABLE_STALE"

        where = {"host": "127.0.0.1", "port": process.mqtt_port, "tls": False, "tenant": tenant.key, "device": "plant"}
        file = tmp_path / "edge.yaml"
        file.write_text(yaml.safe_dump({"platform": {**where, "token_file": "token"}}))
        edge = await _edge(file)
        try:
            running = await stands(state="RUNNING", runningVersion=1, runningPoints=1)
            assert running["text"] == text
            tried = {"address": {"holding": 2}, "type": "int16", "scale": 0.1, "unit": "Cel"}
            read = await answer((await api.data(secret, _READ, id=device, point=tried))["pointRead"])
            assert read == {"value": 21.5, "raw": 215, "unit": "Cel", "quality": "good"}
            wanted = {"from": 398, "to": 402}
            found = await answer((await api.data(secret, _DISCOVER, id=device, wanted=wanted))["pointDiscover"])
            assert [point["address"]["holding"] for point in found["points"]] == [398, 399]
            edge.kill()
            await edge.wait()
            # version 2 was written, and the edge killed before it could answer
            set_ = (await api.data(secret, _SET, id=device, text=table(machine.port, "flow"), version=1))[
                "pointTableSet"
            ]
            assert set_["state"] == "WAITING"
            remote.keep(tmp_path / "edge-data" / remote.FILE, remote.Kept(2, table(machine.port, "flow")))
            edge = await _edge(file)
            await stands(state="RUNNING", runningVersion=2)
            # what only the protocol's own library knows, the edge refuses; the platform's grammar lets it pass
            server = {"protocol": "bacnet", "interface": "127.0.0.1/32"}
            point = {"metric": "m", "address": {"device": 1, "object": "no-such-object,1"}}
            devices = {"ahu": {"connection": "net", "points": [point]}}
            odd = yaml.safe_dump({"connections": {"net": server}, "devices": devices})
            await api.data(secret, _SET, id=device, text=odd, version=2)
            refused = await stands(state="REFUSED", refusedVersion=3, runningVersion=2)
            assert "write an object such as analog-input,3" in refused["problems"][0]["message"]
            assert refused["problems"][0]["line"]
        finally:
            edge.kill()
            await edge.wait()
