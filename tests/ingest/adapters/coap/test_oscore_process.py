"""OSCORE as production runs it: processes, a database, a vault, and a client that nobody here wrote."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiocoap
import orjson
import psycopg
import pytest
from aiocoap.numbers.codes import Code

from engine.certificates.vault import LocalVault
from engine.commands import service as commands
from engine.devices import service as devices
from engine.devices.declared import Command as Declared
from engine.devices.model import Device
from engine.provisioning import oscore
from engine.provisioning.model import ContextIssued
from infra.local.postgres import Postgres
from ingest.adapters.base import Refused
from ingest.adapters.coap.keeper import Found
from ingest.database import Database
from ingest.oscore import OWN_AT_ONCE, OscoreContexts
from tests.ingest.adapters.coap.peer import Secured, peer
from tests.support.line import Line
from tests.support.patience import PATIENCE_S, TOLD_S
from tests.support.process import IngestProcess, ingest_process
from tests.support.tenant import Tenant


async def issued(tenant: Tenant, device: Device, folder: Path, **more: Any) -> ContextIssued:
    """A context, sealed with the key that processes of this folder have."""
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await oscore.issue(tx, LocalVault(folder / "oscore.key"), device.id, **more)


@asynccontextmanager
async def client(process: IngestProcess, context: ContextIssued, folder: Path) -> AsyncIterator[Any]:
    """aiocoap's client, with the context in a folder as its documentation has it."""
    folder.mkdir()
    said = {
        "sender-id_hex": context.sender_id.hex(),
        "recipient-id_hex": context.recipient_id.hex(),
        "secret_hex": context.master_secret.hex(),
    }
    (folder / "settings.json").write_bytes(orjson.dumps(said))
    made = await aiocoap.Context.create_client_context()
    made.client_credentials.load_from_dict(
        {f"coap://127.0.0.1:{process.coap_port}/*": {"oscore": {"basedir": str(folder)}}}
    )
    try:
        yield made
    finally:
        await made.shutdown()


@asynccontextmanager
async def keeper(postgres: Postgres, folder: Path) -> AsyncIterator[OscoreContexts]:
    """What a process knows of contexts."""
    made = OscoreContexts(Database(postgres.url("ingest")), lambda: LocalVault(folder / "oscore.key"))
    try:
        yield made
    finally:
        await made.close()


async def test_a_client_of_others_sends_in_blocks_observes_and_is_cut_when_revoked_and_no_replay_outlives_a_kill(
    postgres: Postgres, tenant: Tenant, tmp_path: Path
) -> None:
    made = await tenant.device(profile="valves")
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        await devices.profile_change(tx, tenant.profiles["valves"].id, commands=(Declared("open", "Open"),))
    context, line = await issued(tenant, made, tmp_path), Line(postgres)
    async with ingest_process(postgres.url("ingest"), tmp_path / "ingest.log") as process:
        async with client(process, context, tmp_path / "context") as device:
            home = f"coap://127.0.0.1:{process.coap_port}/ingest/v1/{made.key}"

            def post(path: str, payload: bytes) -> Any:
                return device.request(aiocoap.Message(code=Code.POST, uri=f"{home}/{path}", payload=payload))

            async def told(asked: Any) -> str:
                return str((await asyncio.wait_for(asked.response, PATIENCE_S)).code.dotted)

            assert await told(post("telemetry", b'{"position":4.5}')) == "2.04"
            long = orjson.dumps([{"seq": n, "values": {"position": n % 50}} for n in range(200)])
            assert await told(post("telemetry", long)) == "2.04"
            assert await told(post("telemetry", b"{")) == "4.22"
            assert len(line.stored(tenant)) == 201
            observed = device.request(aiocoap.Message(code=Code.GET, uri=f"{home}/commands", observe=0))
            assert (await asyncio.wait_for(observed.response, PATIENCE_S)).payload == b'{"commands":[]}'
            async with tenant.store.as_tenant(tenant.principal()) as tx:
                command = await commands.issue(tx, made.id, "open", {})
            notified = await asyncio.wait_for(anext(aiter(observed.observation)), PATIENCE_S)
            [heard] = orjson.loads(notified.payload)["commands"]
            assert heard["id"] == str(command.id)
            assert await told(post(f"commands/{command.id}/result", b"")) == "2.04"
            observed.observation.cancel()
        pump = Secured(context.sender_id, context.master_secret)
        pump.sender_sequence_number = 1_000
        async with peer(process.coap_port) as device:
            path = ("ingest", "v1", made.key, "telemetry")
            wrapped, _ = pump.wrapped(device.request(payload=b'{"position":7}', token=None, uri_path=path))
            assert (await device.told(wrapped)).code is Code.CHANGED
            await process.stop(signal.SIGKILL)
            await process.start()
        async with peer(process.coap_port) as device:
            answer = await device.told(wrapped)
            assert (answer.code.dotted, answer.payload) == ("4.01", b"Replay detected.")

            async def tried() -> str:
                later, identifiers = pump.wrapped(device.request(payload=b"1", token=None, uri_path=path))
                answer = await device.told(later)
                return str((pump.unwrapped(answer, identifiers) if answer.opt.oscore is not None else answer).code)

            assert await tried() == "4.22 Unprocessable Entity"
            async with tenant.store.as_tenant(tenant.principal()) as tx:
                await devices.revoke_credential(tx, context.credential.id)
            async with asyncio.timeout(TOLD_S):
                while await tried() != "4.01 Unauthorized":
                    await asyncio.sleep(0.05)
        assert len(line.stored(tenant)) == 202


async def test_the_window_is_that_of_rfc_8613_and_processes_share_it(
    postgres: Postgres, tenant: Tenant, tmp_path: Path
) -> None:
    context = await issued(tenant, await tenant.device(), tmp_path)
    other = await issued(tenant, await tenant.device(), tmp_path)
    async with keeper(postgres, tmp_path) as one, keeper(postgres, tmp_path) as two:
        found, beside = await one.find(context.sender_id), await two.find(other.sender_id)
        assert found is not None
        assert beside is not None
        assert (found.master, found.proof.username.split("/")[0]) == (context.master_secret, tenant.key)
        assert await one.find(b"nobody'") is None

        async def taken(number: int, of: Found = found) -> int:
            """How often, when both are asked at once."""
            return sum(await asyncio.gather(*(each.strike(of, number) for each in (one, two, one))))

        last = 2**40 - 1
        fresh = [0, 5, 3, 4, *range(6, 40), 100, 69, 99, 70, 102, last, last - 31]
        assert [number for number in fresh if await taken(number) != 1] == []
        assert [number for number in (*fresh, 68, 71 - 2, last - 32, 1) if await taken(number)] == []
        assert await taken(0, beside) == 1, "each context has numbers of its own"
        herd = [number // 2 for number in range(400, 480)]
        struck = await asyncio.gather(*(each.strike(beside, number) for number in herd for each in (one, two)))
        assert sum(struck) == 40
        numbers = [number for each in (one, two, one) for number in await each.reserve(found)]
        assert len(set(numbers)) == len(numbers) == 3 * OWN_AT_ONCE


async def test_without_the_key_of_contexts_a_process_says_that_it_cannot_and_not_that_there_is_none(
    postgres: Postgres, tenant: Tenant, tmp_path: Path
) -> None:
    context = await issued(tenant, await tenant.device(), tmp_path)
    async with keeper(postgres, tmp_path / "elsewhere") as blind:
        with pytest.raises(Refused, match="unavailable"):
            await blind.find(context.sender_id)


async def test_neither_the_audit_log_nor_the_database_has_the_secret(
    postgres: Postgres, tenant: Tenant, tmp_path: Path
) -> None:
    made = await tenant.device()
    context = await issued(tenant, made, tmp_path)
    rows: list[str] = []
    async with await psycopg.AsyncConnection.connect(postgres.url("superuser")) as connection:
        for table in (b"oscore_contexts", b"credentials", b"audit"):
            rows += [str(row) for row in await (await connection.execute(b"TABLE " + table)).fetchall()]
    assert [row for row in rows if str(context.credential.id) in row]
    for secret in (context.master_secret.hex(), repr(context.master_secret)[2:-1]):
        assert not [row for row in rows if secret in row]
