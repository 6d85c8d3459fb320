"""What the writer promises: stored once, counted exactly, one poison row harms nobody, a restart loses nothing."""

import asyncio
import random
import re
import time
from typing import Any

import orjson
import psycopg
import pytest
from psycopg import sql

from engine.clock import from_ms
from engine.telemetry import service as telemetry
from engine.telemetry.provenance import Source, source_of
from infra.local.postgres import Postgres
from ingest import arrays, aside, decode, statements
from ingest.adapters.base import Verdict
from ingest.batch import NOT_KEPT
from ingest.database import connect
from ingest.rejected import Inbox
from ingest.writer import pause_s
from tests.support.behind import change
from tests.support.line import Line, running_line
from tests.support.patience import PATIENCE_S
from tests.support.proxy import proxy_to
from tests.support.tenant import Tenant


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def all_of(*told: "asyncio.Future[Verdict]") -> list[Verdict]:
    return await asyncio.wait_for(asyncio.gather(*told), PATIENCE_S)


def assert_exact(line: Line, tenant: Tenant, received: int) -> None:
    """D3: received = stored + duplicates + rejected + refused, and each number is what the tables hold."""
    counts = line.counts(tenant)
    for numbers in counts.values():
        assert numbers[0] == sum(numbers[1:5])
    total = [sum(column) for column in zip(*counts.values(), strict=True)]
    assert total[0] == received
    assert total[1] == len(line.stored(tenant))
    whole = "SELECT count(*) FROM rejected WHERE tenant_id = %s AND rest_seq IS NULL"
    assert [(total[3] - total[5],)] == line.look(whole, tenant.id)


async def test_a_message_is_stored_as_sent_and_its_tenant_is_woken(postgres: Postgres, tenant: Tenant) -> None:
    device = await tenant.device()
    at = now_ms()
    async with running_line(postgres) as line:
        payload = {"time": at, "seq": 7, "values": {"temperature": 4.5, "door_open": False, "extra": {"a": [1]}}}
        assert await line.send(tenant, device, payload) is Verdict.STORED
        assert line.stored(tenant) == [(device.id, at, 7, payload["values"])]
        assert line.woken == [tenant.id]
    *_, (kind, body) = line.journal(tenant)
    [[device_id, time_ms, seq, received_ms, values]] = body["r"]
    assert (kind, device_id, time_ms, seq, values) == ("telemetry", str(device.id), at, 7, payload["values"])
    assert abs(received_ms - at) < 60_000
    assert body["n"] == {}


async def test_a_reading_without_time_has_the_time_of_its_receipt(postgres: Postgres, tenant: Tenant) -> None:
    device = await tenant.device()
    async with running_line(postgres) as line:
        at = time.time()
        assert await line.send(tenant, device, {"temperature": 4}, at=at) is Verdict.STORED
        assert int(at * 1000) in [row[1] for row in line.stored(tenant)]


async def test_the_same_message_again_is_a_duplicate_whether_in_one_batch_or_later(
    postgres: Postgres, tenant: Tenant
) -> None:
    device = await tenant.device()
    payload = {"time": now_ms(), "values": {"temperature": 4, "humidity": 40}}
    reordered = {"time": payload["time"], "values": {"humidity": 40, "temperature": 4}}
    async with running_line(postgres) as line:
        first = await all_of(*(line.send(tenant, device, p) for p in (payload, reordered, payload)))
        assert first == [Verdict.STORED, Verdict.DUPLICATE, Verdict.DUPLICATE]
        assert await line.send(tenant, device, reordered) is Verdict.DUPLICATE
        assert len(line.stored(tenant)) == 1
        assert_exact(line, tenant, 4)


async def test_two_different_messages_of_one_millisecond_are_both_stored(postgres: Postgres, tenant: Tenant) -> None:
    device = await tenant.device()
    at = now_ms()
    async with running_line(postgres) as line:
        told = [line.send(tenant, device, {"time": at, "values": {"temperature": n}}) for n in (1, 2)]
        assert await all_of(*told) == [Verdict.STORED, Verdict.STORED]
        assert len(line.stored(tenant)) == 2


async def test_the_same_time_and_seq_with_other_values_is_a_conflict(postgres: Postgres, tenant: Tenant) -> None:
    device = await tenant.device()
    at = now_ms()

    def message(value: float) -> dict[str, Any]:
        return {"time": at, "seq": "boot/1", "values": {"temperature": value}}

    async with running_line(postgres) as line:
        together = await all_of(*(line.send(tenant, device, message(v)) for v in (1, 2, 1)))
        assert together == [Verdict.STORED, Verdict.REJECTED, Verdict.DUPLICATE]
        later = await all_of(*(line.send(tenant, device, message(v)) for v in (3, 1)))
        assert later == [Verdict.REJECTED, Verdict.DUPLICATE]
        assert [orjson.loads(row[3]) for row in line.inbox(tenant)] == [message(2), message(3)]
        assert {row[1] for row in line.inbox(tenant)} == {"CONFLICT"}
        assert_exact(line, tenant, 5)


async def test_one_bad_reading_in_a_list_goes_to_the_inbox_alone(postgres: Postgres, tenant: Tenant) -> None:
    device = await tenant.device()
    at = now_ms()
    good = [{"time": at + n, "values": {"temperature": n}} for n in range(3)]
    bad = {"time": at, "values": {"temperature": "warm"}}
    async with running_line(postgres) as line:
        assert await line.send(tenant, device, [*good, bad]) is Verdict.STORED
        assert await line.send(tenant, device, bad) is Verdict.REJECTED
        assert len(line.stored(tenant)) == 3
        [(_, reason, message, payload), _] = line.inbox(tenant)
        assert (reason, orjson.loads(payload)) == ("TYPE", bad)
        assert "number" in message
        assert_exact(line, tenant, 5)


async def test_what_cannot_be_decoded_lies_in_the_inbox_byte_for_byte(postgres: Postgres, tenant: Tenant) -> None:
    device = await tenant.device()
    async with running_line(postgres) as line:
        assert await line.send(tenant, device, b'{"a": \xff\x00}') is Verdict.REJECTED
        assert await line.send(tenant, device, {"a": 1}, topic="up/status") is Verdict.REJECTED
        assert [(row[1], row[3]) for row in line.inbox(tenant)] == [
            ("NOT_JSON", b'{"a": \xff\x00}'),
            ("TOPIC", b'{"a":1}'),
        ]


async def test_beyond_its_bound_the_inbox_counts_and_does_not_keep(postgres: Postgres, tenant: Tenant) -> None:
    device = await tenant.device()
    async with running_line(postgres, inbox=Inbox(kept_per_hour=3)) as line:
        for _ in range(2):
            assert await all_of(*(line.send(tenant, device, b"?") for _ in range(4))) == [Verdict.REJECTED] * 4
        assert len(line.inbox(tenant)) == 3
        assert line.counts(tenant)[str(device.id)][NOT_KEPT] == 5
        assert_exact(line, tenant, 8)


async def test_a_device_that_was_decommissioned_is_refused_and_counted(postgres: Postgres, tenant: Tenant) -> None:
    gone, alive = await tenant.device(), await tenant.device()
    async with running_line(postgres) as line:
        assert await line.send(tenant, gone, {"temperature": 1}) is Verdict.STORED
        await line.change("UPDATE devices SET status = 'decommissioned' WHERE id = %s", gone.id)
        told = await all_of(line.send(tenant, gone, {"temperature": 2}), line.send(tenant, alive, {"temperature": 2}))
        assert told == [Verdict.NOT_AUTHORISED, Verdict.STORED]
        assert line.counts(tenant)[str(gone.id)] == [2, 1, 0, 0, 1, 0]
        assert_exact(line, tenant, 3)


async def test_a_device_nobody_knows_is_refused(postgres: Postgres, tenant: Tenant, neighbour: Tenant) -> None:
    device = await tenant.device()
    async with running_line(postgres) as line:
        # The neighbour's name on this device: the directory, as that tenant, sees no such device.
        assert await line.send(neighbour, device, {"temperature": 2}) is Verdict.NOT_AUTHORISED
        assert line.stored(tenant) == []
        assert line.stored(neighbour) == []


async def test_the_database_refuses_a_row_of_a_tenant_that_is_not_in_the_batch(
    postgres: Postgres, tenant: Tenant, neighbour: Tenant
) -> None:
    device = await tenant.device()
    connection = await connect(postgres.url("ingest"), 5)
    try:
        await statements.enter(connection, {neighbour.id})
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(
                "INSERT INTO telemetry (tenant_id, device_id, time, seq, received_at, values)"
                " VALUES (%s, %s, now(), 1, now(), '{}')",
                [tenant.id, device.id],
            )
        await connection.execute("ROLLBACK")
        await statements.enter(connection, {neighbour.id})
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await statements.append(connection, [(tenant.id, "telemetry", b"{}")])
    finally:
        await connection.close()


async def test_many_tenants_share_a_transaction_and_each_gets_its_own_journal_row(
    postgres: Postgres, tenant: Tenant, neighbour: Tenant
) -> None:
    mine, theirs = await tenant.device(), await neighbour.device()
    async with running_line(postgres) as line:
        await all_of(line.send(tenant, mine, {"temperature": 1}), line.send(neighbour, theirs, {"temperature": 2}))
        told = [line.send(tenant, mine, {"temperature": 3}), line.send(neighbour, theirs, {"temperature": 4})]
        assert await all_of(*told) == [Verdict.STORED] * 2
        for who, device in ((tenant, mine), (neighbour, theirs)):
            assert_exact(line, who, 2)
            assert {row[0] for kind, body in line.journal(who) for row in body.get("r", [])} == {str(device.id)}


async def test_any_mix_of_good_repeated_bad_and_poisoned_messages_is_counted_exactly(
    postgres: Postgres, tenant: Tenant
) -> None:
    """Poison is what passes decoding and breaks in the database: here one message in seven, by a planted constraint."""
    chance = random.Random(20_261_121)
    devices = [await tenant.device() for _ in range(5)]
    at = now_ms()
    payloads: list[object] = []
    for n in range(400):
        payloads.append(
            chance.choice(
                [
                    {"time": at - n, "seq": n, "values": {"temperature": n / 10}},
                    {"time": at - n // 40, "seq": n % 3, "values": {"temperature": chance.randint(1, 2)}},
                    {"time": at - n // 20, "values": {"temperature": 1}},
                    {"time": at, "values": {"temperature": "warm"}},
                    [{"time": at - n, "values": {"humidity": h}} for h in (10, 20, 120)],
                    b"\x00",
                    {"time": at - n, "seq": n, "values": {"poison": 1}},
                    {"time": at - n, "seq": n, "values": {"poison": 1, "temperature": "warm"}},
                    {"time": at - n // 20, "seq": n % 4, "values": {"flow": n % 2, "temperature": 1_000 + n % 2}},
                    {"time": at - n // 20, "values": {"flow": 1, "temperature": 1_000 + n % 3}},
                ]
            )
        )
    readings = sum(len(p) if isinstance(p, list) else 1 for p in payloads)
    async with running_line(postgres, max_rows=150) as line:
        try:
            await line.change("ALTER TABLE telemetry ADD CONSTRAINT no_poison CHECK (NOT values ? 'poison') NOT VALID")
            told = await all_of(*(line.send(tenant, chance.choice(devices), payload) for payload in payloads))
        finally:
            await line.change("ALTER TABLE telemetry DROP CONSTRAINT IF EXISTS no_poison")
        for payload, verdict in zip(payloads, told, strict=True):
            if isinstance(payload, dict) and "poison" in payload["values"]:
                assert verdict is Verdict.REJECTED
            if isinstance(payload, list):
                assert verdict in (Verdict.STORED, Verdict.DUPLICATE)
        assert set(told) == {Verdict.STORED, Verdict.DUPLICATE, Verdict.REJECTED}
        assert {row[1] for row in line.inbox(tenant)} >= {"UNSTORABLE", "TYPE", "RANGE", "NOT_JSON", "CONFLICT"}
        assert_exact(line, tenant, readings)
        # Of each reading that was stored in part the inbox tells once, however often it came.
        told_of = "SELECT device_id, rest_time, rest_seq FROM rejected WHERE tenant_id = %s AND rest_seq IS NOT NULL"
        marked = (
            "SELECT device_id, time, seq FROM telemetry WHERE tenant_id = %s AND source < 0 AND quality IS NOT NULL"
        )
        assert sorted(line.look(told_of, tenant.id)) == sorted(line.look(marked, tenant.id)) != []
        journalled = sorted(
            (row[0], row[1], row[2]) for kind, body in line.journal(tenant) for row in body.get("r", [])
        )
        assert journalled == sorted((str(d), t, s) for d, t, s, _ in line.stored(tenant))


async def test_a_missing_partition_is_made_and_only_what_can_have_none_is_rejected(
    postgres: Postgres, tenant: Tenant
) -> None:
    device = await tenant.device()
    at = now_ms() - 40 * 86_400_000
    day = from_ms(at).strftime("%Y%m%d")
    async with running_line(postgres) as line:
        await change(postgres, sql.SQL("DROP TABLE {}").format(sql.Identifier(f"telemetry_{day}")))
        assert await line.send(tenant, device, {"time": at, "values": {"temperature": 1}}) is Verdict.STORED
        # Received half a year ago by a clock that went wrong: inside its own window, outside the database's.
        then = time.time() - 180 * 86_400
        stray = line.send(tenant, device, {"temperature": 2}, at=then)
        good = line.send(tenant, device, {"temperature": 3})
        assert await all_of(stray, good) == [Verdict.REJECTED, Verdict.STORED]
        assert [row[1] for row in line.inbox(tenant)] == ["UNSTORABLE"]
        assert_exact(line, tenant, 3)


async def test_a_database_restart_in_the_middle_loses_and_doubles_nothing(postgres: Postgres, tenant: Tenant) -> None:
    devices = [await tenant.device() for _ in range(4)]
    at = now_ms()
    async with running_line(postgres, patience_s=60) as line:
        sender = asyncio.create_task(_send_steadily(line, tenant, devices, at))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(postgres.stop)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(postgres.start)
        told = await asyncio.wait_for(sender, PATIENCE_S)
        assert set(told) == {Verdict.STORED}
        assert_exact(line, tenant, len(told))


async def _send_steadily(line: Line, tenant: Tenant, devices: list[Any], at: int) -> list[Verdict]:
    told = []
    for n in range(600):
        told.append(line.send(tenant, devices[n % 4], {"time": at - n, "seq": n, "values": {"temperature": 1}}))
        await asyncio.sleep(0.002)
    return await asyncio.gather(*told)


async def test_a_commit_whose_answer_was_lost_is_recognised_and_not_counted_twice(
    postgres: Postgres, tenant: Tenant
) -> None:
    device = await tenant.device()
    known, new = ({"time": now_ms() - n, "values": {"temperature": n}} for n in (41, 42))
    async with proxy_to(postgres.port) as proxy, running_line(postgres, port=proxy.port) as line:
        await line.send(tenant, device, known)
        for payload, request, verdict in (
            ({"temperature": 43}, b'"temperature":43', Verdict.STORED),  # all at once: the call is the commit
            (b"?", b"NOT_JSON", Verdict.REJECTED),
            ([known, new], b"COMMIT", Verdict.STORED),  # step by step, because of the repeat
        ):
            proxy.lose_answer_to(request)
            lost = proxy.lost
            assert await asyncio.wait_for(line.send(tenant, device, payload), PATIENCE_S) is verdict
            assert proxy.lost == lost + 1
        assert line.counts(tenant)[str(device.id)] == [5, 3, 1, 1, 0, 0]
        assert_exact(line, tenant, 5)


async def test_a_lost_answer_before_the_commit_is_simply_tried_again(postgres: Postgres, tenant: Tenant) -> None:
    device = await tenant.device()
    known, new = ({"time": now_ms() - n, "values": {"temperature": n}} for n in (41, 42))
    async with proxy_to(postgres.port) as proxy, running_line(postgres, port=proxy.port) as line:
        await line.send(tenant, device, known)
        proxy.lose_answer_to(b"INSERT INTO telemetry")
        assert await asyncio.wait_for(line.send(tenant, device, [known, new]), PATIENCE_S) is Verdict.STORED
        assert proxy.lost == 1
        assert_exact(line, tenant, 3)


async def test_a_silent_database_gives_the_messages_back_and_takes_their_repeats(
    postgres: Postgres, tenant: Tenant
) -> None:
    device = await tenant.device()
    payload = {"time": now_ms(), "values": {"temperature": 1}}
    async with (
        proxy_to(postgres.port) as proxy,
        running_line(postgres, port=proxy.port, timeout_s=1, patience_s=1.5) as line,
    ):
        assert await line.send(tenant, device, {"temperature": 0}) is Verdict.STORED
        proxy.fall_silent()
        told = await all_of(*(line.send(tenant, device, payload) for _ in range(3)))
        assert told == [Verdict.UNAVAILABLE] * 3
        assert line.writer.waiting == 0
        proxy.speak_again()
        # What lay on the way may have arrived and been committed after all: then the repeat is a duplicate.
        again = await asyncio.wait_for(line.send(tenant, device, payload), PATIENCE_S)
        assert again in (Verdict.STORED, Verdict.DUPLICATE)
        assert len(line.stored(tenant)) == 2
        assert_exact(line, tenant, line.counts(tenant)[str(device.id)][0])


async def test_an_event_that_was_given_back_and_was_committed_after_all_is_not_stored_a_second_time(
    postgres: Postgres, tenant: Tenant
) -> None:
    device = await tenant.device()

    async def tell(line: Line, *, dup: bool = False) -> Verdict:
        told = line.send(tenant, device, {"door": 2}, topic="up/event/door", packet_id=7, dup=dup)
        return await asyncio.wait_for(told, PATIENCE_S)

    async with proxy_to(postgres.port) as proxy, running_line(postgres, port=proxy.port, patience_s=0) as line:
        proxy.lose_answer_to(b'"door":2')
        assert await tell(line) is Verdict.UNAVAILABLE
        assert proxy.lost == 1
        assert await tell(line, dup=True) is Verdict.DUPLICATE
        stored = line.look("SELECT count(*) FROM journal WHERE tenant_id = %s AND kind = 'device.event'", tenant.id)
        assert stored == [(1,)]


async def test_what_comes_alone_is_written_at_once_and_what_comes_in_a_stream_shares_a_transaction(
    postgres: Postgres, tenant: Tenant
) -> None:
    device = await tenant.device()
    at = now_ms()
    async with running_line(postgres, pace_s=2.0) as line:
        assert await line.send(tenant, device, {"time": at, "values": {"temperature": 1}}) is Verdict.STORED
        told = []
        for n in range(1, 4):
            told.append(line.send(tenant, device, {"time": at + n, "values": {"temperature": 1}}))
            await asyncio.sleep(0.01)
        assert not any(verdict.done() for verdict in told)
        assert await all_of(*told) == [Verdict.STORED] * 3
    assert [len(body["r"]) for kind, body in line.journal(tenant) if kind == "telemetry"] == [1, 3]


async def test_a_full_batch_does_not_wait_for_the_pace(postgres: Postgres, tenant: Tenant) -> None:
    device = await tenant.device()
    at = now_ms()
    async with running_line(postgres, pace_s=600.0, max_rows=5) as line:
        assert await line.send(tenant, device, {"time": at - 1, "values": {"temperature": 1}}) is Verdict.STORED
        told = [line.send(tenant, device, {"time": at + n, "values": {"temperature": 1}}) for n in range(5)]
        assert await all_of(*told) == [Verdict.STORED] * 5


async def test_a_thousand_readings_wait_for_no_more(postgres: Postgres, tenant: Tenant) -> None:
    device = await tenant.device()
    at = now_ms()
    async with running_line(postgres, pace_s=600.0) as line:
        assert await line.send(tenant, device, {"time": at, "values": {"temperature": 1}}) is Verdict.STORED
        readings = [{"time": at - n, "values": {"temperature": 1}} for n in range(1, 1_001)]
        told = [line.send(tenant, device, readings[n : n + 500]) for n in (0, 500)]
        assert await all_of(*told) == [Verdict.STORED] * 2


def test_the_more_has_come_the_longer_a_transaction_waits_for_more_but_never_long() -> None:
    assert [round(pause_s(0.02, rows), 3) for rows in (0, 10, 100, 150, 3_000)] == [0.02, 0.022, 0.04, 0.05, 0.05]


async def test_quality_and_source_lie_beside_the_values_and_another_quality_is_no_repeat(
    postgres: Postgres, tenant: Tenant
) -> None:
    device, at_ms = await tenant.device(), now_ms()
    said = {"time": at_ms, "values": {"a": 1, "b": None}, "quality": {"a": "uncertain", "b": "bad"}}
    good = {"time": at_ms, "values": {"a": 1}}
    numbered = [{**each, "seq": 7} for each in (said, good)]
    empty = {"time": at_ms, "values": {"b": None}, "quality": {"b": "bad"}, "via": "opcua"}
    async with running_line(postgres) as line:
        told = [await line.send(tenant, device, each) for each in (said, good, *numbered, empty)]
        again = [await line.send(tenant, device, each) for each in (said, good, *numbered, empty)]
        shuffled = await line.send(tenant, device, {**said, "quality": {"b": "bad", "a": "uncertain"}, "via": "modbus"})
    assert [verdict.name for verdict in told] == ["STORED", "STORED", "STORED", "REJECTED", "STORED"]
    assert [verdict.name for verdict in again] == ["DUPLICATE", "DUPLICATE", "DUPLICATE", "REJECTED", "DUPLICATE"]
    assert shuffled is Verdict.DUPLICATE
    rows = line.look(
        "SELECT values, quality, source FROM telemetry WHERE device_id = %s ORDER BY received_at", device.id
    )
    marks = {"a": "uncertain", "b": "bad"}
    assert [row[:2] for row in rows] == [({"a": 1}, marks), ({"a": 1}, None), ({"a": 1}, marks), ({}, {"b": "bad"})]
    sources = [source_of(row[2]) for row in rows]
    assert sources == [Source("mqtt", "json", decode.VERSION)] * 3 + [Source("mqtt", "json", decode.VERSION, "opcua")]
    doubts = [body["q"] for kind, body in line.journal(tenant) if kind == "telemetry" and "q" in body]
    assert doubts == [{"0": marks}, {"0": marks}, {"0": {"b": "bad"}}]
    start, end = from_ms(at_ms), from_ms(at_ms + 1)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        a = await telemetry.series(tx, device.id, "a", start, end, with_source=True)
        b = await telemetry.series(tx, device.id, "b", start, end)
    assert (a.times, a.values, sorted(map(str, a.quality)), a.bad) == (
        [at_ms] * 3,
        [1, 1, 1],
        ["None", "uncertain", "uncertain"],
        [],
    )
    assert [source_of(number) for number in a.sources] == [Source("mqtt", "json", decode.VERSION)] * 3
    assert all(abs(received - at_ms) < 60_000 for received in a.received)
    assert (b.times, b.bad, b.sources) == ([], [at_ms] * 3, ())


async def test_a_batch_finds_its_devices_by_their_primary_key(postgres: Postgres, tenant: Tenant) -> None:
    """With the status inside the look-up an index on it looked as good to the planner: every row read the fleet."""
    device = await tenant.device()
    one = arrays.wire(device.id.bytes)
    columns = (
        arrays.uuids([arrays.wire(tenant.id.bytes)]),
        arrays.uuids([one]),
        arrays.timestamps([now_ms() * 1000]),
        arrays.bigints([1]),
        arrays.timestamps([now_ms() * 1000]),
        arrays.jsonbs([b"{}"]),
        arrays.smallints([aside.wire("mqtt", "json")]),
        None,
    )
    connection = await connect(postgres.url("ingest"), 5)
    try:
        plan = await (await connection.execute(f"EXPLAIN {statements.STORE}", columns)).fetchall()
        ours = "SELECT prosrc FROM pg_proc WHERE proname = 'ingest' AND pronargs = 13"
        [function] = await (await connection.execute(ours)).fetchall()
    finally:
        await connection.close()
    text = "\n".join(line for (line,) in plan)
    assert "Index Scan using devices_pkey on devices" in text
    # and the function that does it all at once asks in the same words
    look_up = statements.STORE[statements.STORE.index("CROSS JOIN") : statements.STORE.index("ON CONFLICT")]
    assert " ".join(look_up.split()) in " ".join(re.sub(r"--.*", "", function[0]).split())


async def test_what_is_no_reading_fills_the_house_too(postgres: Postgres, tenant: Tenant) -> None:
    """Events and answers may be empty: neither readings nor bytes would ever count them."""
    device = await tenant.device()
    async with running_line(postgres, pace_s=600.0, max_waiting=3) as line:
        assert await line.send(tenant, device, {"temperature": 4}) is Verdict.STORED
        told = [line.send(tenant, device, b"", topic="up/event/door") for _ in range(3)]
        assert line.writer.waiting == 3
        assert line.pipeline.is_full
    assert await all_of(*told) == [Verdict.STORED] * 3
    assert line.writer.waiting == 0
