"""An Idempotency-Key: a message without a time is stored once, whichever process its repeat reaches, whoever died."""

import asyncio
import signal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from engine.clock import now_ms
from infra.local.postgres import Postgres
from ingest import statements
from ingest.adapters.base import Decision, Unkeyed
from ingest.adapters.http.exchange import Exchange
from ingest.adapters.http.messages import Messages
from ingest.database import Database
from ingest.idempotency import FIND, FirstReceipts
from ingest.quota import Quota
from ingest.uplink import Pipeline
from tests.ingest.adapters.http.caller import Caller, caller
from tests.ingest.adapters.http.test_polls import issue
from tests.support.line import Line, decision, running_line
from tests.support.patience import PATIENCE_S
from tests.support.process import IngestProcess, ingest_process
from tests.support.tenant import Tenant

KEY = {"Idempotency-Key": "boot-3/12"}
FLAT = {"temperature": 4.5}


def firsts(postgres: Postgres, **more: Any) -> FirstReceipts:
    return FirstReceipts(Database(postgres.url("ingest")), **more)


async def test_a_repeat_is_the_same_reading_and_without_a_key_it_is_another(pump: Caller, postgres: Postgres) -> None:
    answers = [await pump.post("telemetry", FLAT, headers=KEY) for _ in range(3)]
    assert [each.json()["status"] for each in answers] == ["stored", "duplicate", "duplicate"]
    assert {each.status_code for each in answers} == {200}
    mixed = [FLAT_IN_A_LIST, {"time": now_ms(), "values": {"temperature": 9}}]
    lists = [await pump.post("telemetry", mixed, headers={"Idempotency-Key": "two"}) for _ in range(2)]
    assert [each.json()["duplicates"] for each in lists] == [0, 2]
    assert len(Line(postgres).stored(pump.tenant)) == 3
    await pump.post("telemetry", FLAT)
    await asyncio.sleep(0.01)
    await pump.post("telemetry", FLAT)
    assert len(Line(postgres).stored(pump.tenant)) == 5


FLAT_IN_A_LIST = {"values": {"temperature": 8}}


async def test_a_key_stands_for_one_message_of_one_device(pump: Caller, neighbour: Tenant, postgres: Postgres) -> None:
    assert (await pump.post("telemetry", FLAT, headers=KEY)).status_code == 200
    other = await pump.post("telemetry", {"temperature": 5}, headers=KEY)
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    elsewhere = await pump.post("telemetry/raw", FLAT, headers=KEY)
    assert elsewhere.status_code == 422
    for tenant in (pump.tenant, neighbour):
        stranger = await caller(pump.process, tenant)
        async with stranger.client:
            assert (await stranger.post("telemetry", FLAT, headers=KEY)).json()["status"] == "stored"
    assert len(Line(postgres).stored(neighbour)) == 1


@pytest.mark.parametrize("key", ["k" * 65, "two words"])
async def test_a_key_that_is_none_is_refused(pump: Caller, key: str) -> None:
    answer = await pump.post("telemetry", FLAT, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (400, "IDEMPOTENCY_KEY_UNFIT")


async def test_through_two_processes_the_same_message_is_stored_once_and_a_command_is_given_once(
    pump: Caller, postgres: Postgres, tmp_path: Path
) -> None:
    async with ingest_process(postgres.url("ingest"), tmp_path / "second.log") as second:
        twin = Caller(second, pump.tenant, pump.device, pump.token)
        async with twin.client:
            for n in range(5):
                key = {"Idempotency-Key": f"round-{n}"}
                both = [each.post("telemetry", {"temperature": n}, headers=key) for each in (pump, twin) * 3]
                answers = await asyncio.gather(*both)
                assert {each.status_code for each in answers} == {200}
                assert sorted(each.json()["status"] for each in answers) == ["duplicate"] * 5 + ["stored"]
            issued, given = [], []
            for _ in range(5):
                issued.append(str((await issue(pump.tenant, pump.device)).id))
                for asked in ((pump,), (twin,), (twin, pump)):  # again at once, and nobody drains meanwhile
                    answers = await asyncio.gather(*(each.commands(wait=0) for each in asked))
                    given += [said["id"] for each in answers if each.content for said in each.json()["commands"]]
            assert given == issued
    assert len(Line(postgres).stored(pump.tenant)) == 5


@pytest.mark.parametrize("failpoint", ["before_commit", "after_commit_before_ack"])
async def test_a_death_around_the_commit_loses_and_doubles_nothing(
    postgres: Postgres, tenant: Tenant, tmp_path: Path, failpoint: str
) -> None:
    process = IngestProcess(postgres.url("ingest"), tmp_path / "ingest.log")
    await process.start(failpoint)
    try:
        device = await caller(process, tenant)
        with pytest.raises(httpx.TransportError):
            await device.post("telemetry", FLAT, headers=KEY)
        assert await process.ended() == -signal.SIGKILL
        was_stored = bool(Line(postgres).stored(tenant))
        await process.start()
        answer = await device.post("telemetry", FLAT, headers=KEY)
        await device.client.aclose()
    finally:
        await process.stop(signal.SIGKILL)
    assert was_stored is (failpoint == "after_commit_before_ack")
    assert (answer.status_code, answer.json()["status"]) == (200, "duplicate" if was_stored else "stored")
    assert len(Line(postgres).stored(tenant)) == 1
    assert Line(postgres).counts(tenant)[str(device.device.id)] == [1 + was_stored, 1, int(was_stored), 0, 0, 0]


async def test_a_key_is_forgotten_after_a_day(postgres: Postgres, tenant: Tenant) -> None:
    device, known = decision(tenant, await tenant.device()), firsts(postgres)
    first = await known.first_ms(device, "one", b"said")
    assert await known.first_ms(device, "one", b"said") == first
    with pytest.raises(Unkeyed, match="reused"):
        await known.first_ms(device, "one", b"something else")
    await Line(postgres).change("UPDATE idempotency SET created_at = created_at - interval '25 hours'")
    assert first <= await known.first_ms(device, "one", b"something else") <= now_ms()
    await known.close()


async def test_keys_are_bounded_by_device_and_hour(
    postgres: Postgres, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    noon = now_ms() // 3_600_000 * 3_600_000
    monkeypatch.setattr("ingest.idempotency.now_ms", lambda: noon)  # the hour does not turn meanwhile
    known = firsts(postgres, per_hour=2)
    device, other = [decision(tenant, await tenant.device()) for _ in range(2)]
    await asyncio.gather(*(known.first_ms(device, key, b"said") for key in ("one", "two")))
    with pytest.raises(Unkeyed, match="too_many"):
        await known.first_ms(device, "three", b"said")
    await known.first_ms(other, "one", b"said")
    await known.close()


class Counted:
    """Knows each key since an hour, and counts how often it is asked."""

    asked = 0

    async def first_ms(self, device: Decision, key: str, said: bytes) -> int:
        self.asked += 1
        return now_ms() - 3_600_000


async def keyed(taking: Messages, device: Decision) -> int:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"temperature":1}'}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"idempotency-key", b"one")]}
    exchange = Exchange(scope, receive, None)  # type: ignore[arg-type]  # nothing is sent
    return (await taking.take(exchange, device, "up/telemetry")).status


async def test_above_the_quota_no_key_is_kept(postgres: Postgres, tenant: Tenant) -> None:
    device, keys, refused = decision(tenant, await tenant.device()), Counted(), list[str]()
    async with running_line(postgres) as line:
        pipeline = Pipeline(line.directory, line.writer, Quota(per_second=0.001, burst=2))
        taking = Messages(pipeline, keys, lambda _, why: refused.append(why))
        assert [await keyed(taking, device) for _ in range(4)] == [200, 200, 429, 429]
    assert (keys.asked, refused) == (2, ["request", "request"])


async def test_a_repeat_waits_for_the_database_as_long_as_any_message(
    postgres: Postgres, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = decision(tenant, await tenant.device())
    async with running_line(postgres) as line:
        tried, failures = line.writer._try, [OSError("away")]

        async def fails_once(*each: Any) -> Any:
            if failures:
                raise failures.pop()
            return await tried(*each)

        monkeypatch.setattr(line.writer, "_try", fails_once)
        assert await keyed(Messages(line.pipeline, Counted(), lambda *_: None), device) == 200
        [(_, at, _, _)] = line.stored(tenant)
    assert failures == []
    assert now_ms() - at > 3_500_000, "it is stamped as the first one was"


async def test_keys_of_people_are_none_of_ingests_business(postgres: Postgres, tenant: Tenant) -> None:
    device, line = await tenant.device(), Line(postgres)
    insert = "INSERT INTO idempotency (tenant_id, principal_id, key, request_sha256) VALUES (%s, %s, 'one', '')"
    person = tenant.principal().id
    for principal in (device.id, person):
        await line.change(insert, tenant.id, principal)
    database = Database(postgres.url("ingest"))
    async with database.transaction(rollback=True) as connection:
        await statements.enter(connection, {tenant.id})
        changed = await connection.execute(
            "UPDATE idempotency SET request_sha256 = 'mine' WHERE tenant_id = %s RETURNING principal_id", (tenant.id,)
        )
        assert await changed.fetchall() == [(device.id,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(insert, (tenant.id, uuid4()))
    await database.drop()


async def test_while_the_database_is_away_nothing_is_taken_under_a_key(postgres: Postgres, tenant: Tenant) -> None:
    device = decision(tenant, await tenant.device())
    known = FirstReceipts(Database(postgres.url("ingest").replace(f":{postgres.port}/", ":1/")))
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(Unkeyed, match="unavailable"):
            await known.first_ms(device, "one", b"said")
    await known.close()


async def test_a_key_is_found_by_itself_among_all_that_its_tenant_has_used(postgres: Postgres, tenant: Tenant) -> None:
    pump = await tenant.device()
    used = "SELECT %s, %s, n::text, sha256(n::text::bytea) FROM generate_series(1, 10000) n"
    with psycopg.connect(postgres.url("superuser")) as connection:
        connection.execute(
            f"INSERT INTO idempotency (tenant_id, principal_id, key, request_sha256) {used}", [tenant.id, pump.id]
        )
        connection.execute("SET LOCAL ROLE tidegate_ingest")
        connection.execute(statements.ENTER, [f"{{{tenant.id}}}"])
        asked = [tenant.id] * 3, [pump.id] * 3, ["7", "70", "none"]
        plan = [row[0] for row in connection.execute("EXPLAIN " + FIND, asked)]  # type: ignore[operator]
    assert [line for line in plan if "Index Cond" in line and "principal_id =" in line and "key =" in line], plan
