"""CoAP as production runs it: a process, a database, and a device that nobody here wrote."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiocoap.numbers.codes import Code

from engine.clock import now_ms
from engine.commands import service as commands
from engine.devices import service as devices
from engine.devices.declared import Command as Declared
from infra.local.postgres import Postgres
from schema.wire.coap import CBOR, SENML_JSON
from tests.ingest.adapters.coap.peer import Peer, peer
from tests.support.line import Line
from tests.support.patience import PATIENCE_S, TOLD_S
from tests.support.process import ingest_process
from tests.support.tenant import Tenant


def home(device: Peer, key: str, path: str, payload: bytes, token: str, **options: Any) -> bytes:
    """A request below a device's own path."""
    return device.request(payload=payload, token=token, uri_path=("ingest", "v1", key, *path.split("/")), **options)


async def until_stored(line: Line, tenant: Tenant, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(await asyncio.to_thread(line.stored, tenant)) != count:
            await asyncio.sleep(0.05)


async def test_one_pipeline_for_all_formats_and_a_device_that_loses_its_rights_is_refused(
    postgres: Postgres, tenant: Tenant, tmp_path: Path
) -> None:
    line = Line(postgres)
    made = await tenant.device()
    token = await tenant.device_token(made)
    async with (
        ingest_process(postgres.url("ingest"), tmp_path / "ingest.log") as process,
        peer(process.coap_port) as device,
    ):

        async def post(payload: bytes, **options: Any) -> str:
            answer = await device.told(home(device, made.key, "telemetry", payload, token, **options))
            return str(answer.code.dotted)

        at_ms = now_ms()
        flat = b'{"time":%d,"seq":1,"values":{"temperature":4.5}}' % at_ms
        pack = b'[{"bn":"%b/","n":"temperature","u":"Cel","v":4.5,"t":%f}]' % (made.key.encode(), at_ms / 1000)
        assert await post(flat) == "2.04"
        assert await post(pack, content_format=SENML_JSON) == "2.04"
        assert [row[3] for row in line.stored(tenant)] == [{"temperature": 4.5}] * 2
        assert await post(b"\xff", content_format=CBOR) == "4.22"
        assert await post(b'{"temperature":"warm"}') == "4.22"
        assert [row[1] for row in line.inbox(tenant)] == ["NOT_CBOR", "TYPE"]
        partly = await device.told(home(device, made.key, "telemetry", b'{"temperature":"hot","flow":1}', token))
        assert (partly.code, orjson.loads(partly.payload)["left_out"][0]["metric"]) == (Code.CHANGED, "temperature")
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await devices.suspend(tx, made.id)
        async with asyncio.timeout(TOLD_S):
            while await post(b'{"temperature":5}') == "2.04":
                await asyncio.sleep(0.05)
        assert await post(b'{"temperature":6}') == "4.03"


async def test_a_command_is_observed_acknowledged_and_sent_once(
    postgres: Postgres, tenant: Tenant, tmp_path: Path
) -> None:
    made = await tenant.device(profile="valves")
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.profile_change(tx, tenant.profiles["valves"].id, commands=(Declared("open", "Open"),))
    token = await tenant.device_token(made)
    async with (
        ingest_process(postgres.url("ingest"), tmp_path / "ingest.log") as process,
        peer(process.coap_port) as device,
    ):
        observed = home(device, made.key, "commands", b"", token, code=Code.GET, observe=0, mark=b"ob")
        assert (await device.told(observed)).payload == b'{"commands":[]}'
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            issued = await commands.issue(tx, made.id, "open", {})
        told = await device.hear()
        [heard] = orjson.loads(told.payload)["commands"]
        assert (heard["id"], heard["command"]) == (str(issued.id), "open")
        device.acknowledge(told)
        answer = await device.told(home(device, made.key, f"commands/{issued.id}/result", b"", token))
        assert answer.code is Code.CHANGED
        kinds = [kind for kind, _ in Line(postgres).journal(tenant)]
        async with asyncio.timeout(PATIENCE_S):
            while "command.sent" not in kinds or "command.answered" not in kinds:
                await asyncio.sleep(0.05)
                kinds = [kind for kind, _ in await asyncio.to_thread(Line(postgres).journal, tenant)]


@pytest.mark.slow
async def test_libcoaps_client_sends_reads_and_is_told_why_not(
    postgres: Postgres, tenant: Tenant, tmp_path: Path
) -> None:
    program = shutil.which("coap-client") or shutil.which("coap-client-notls") or shutil.which("coap-client-openssl")
    assert program, "apt-get install libcoap3-bin"
    made = await tenant.device()
    token = await tenant.device_token(made)
    async with ingest_process(postgres.url("ingest"), tmp_path / "ingest.log") as process:

        async def client(method: str, path: str, *more: str, secret: str = token) -> str:
            url = f"coap://127.0.0.1:{process.coap_port}/ingest/v1/{made.key}/{path}?token={secret}"
            asked = await asyncio.create_subprocess_exec(
                *(program, "-v", "6", "-m", method, *more, url),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said, _ = await asyncio.wait_for(asked.communicate(), PATIENCE_S)
            return said.decode(errors="replace")

        assert "2.04" in await client("post", "telemetry", "-t", "50", "-e", '{"values":{"temperature":4.5}}')
        long = tmp_path / "long.json"
        long.write_bytes(orjson.dumps([{"seq": n, "values": {"temperature": n % 50}} for n in range(200)]))
        assert "2.04" in await client("put", "telemetry", "-t", "50", "-b", "256", "-f", str(long))
        await until_stored(Line(postgres), tenant, 201)
        assert '{"commands":[]}' in await client("get", "commands")
        assert "4.01" in await client("post", "telemetry", "-e", "{}", secret="wrong")
        assert "4.22" in await client("post", "telemetry", "-e", "{")
