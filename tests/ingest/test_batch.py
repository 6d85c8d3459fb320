"""Counting is exact whatever the database says of each row, and the journal holds what was stored and nothing else."""

from collections import Counter
from uuid import UUID

import orjson
from hypothesis import given
from hypothesis import strategies as st

from engine.ids import uuid7
from ingest.adapters.base import Verdict
from ingest.batch import Batch, Known, Parcel, Row
from ingest.errors import Rejection
from ingest.normaliser import ANYTHING
from ingest.rejected import KEPT_BYTES, Inbox
from schema.wire.payloads import Reason

TENANTS = [uuid7(), uuid7()]
DEVICES = [Known(tenant, uuid7(), ANYTHING) for tenant in TENANTS for _ in range(2)]
FATES = (Verdict.STORED, Verdict.DUPLICATE, Verdict.REJECTED, Verdict.NOT_AUTHORISED)

reading = st.tuples(st.integers(1, 3), st.integers(-2, 2), st.sampled_from([b'{"a":1}', b'{"a":2}']), st.just(b"raw"))
message = st.tuples(st.sampled_from(DEVICES), st.lists(reading, max_size=4), st.integers(0, 2))


def parcel(device: Known, readings: list[tuple[int, int, bytes, bytes]], bad: int) -> Parcel:
    made = Parcel(device, lambda _: None, 1_000_000, "up/telemetry", "mqtt", 10)
    made.readings = [Row(device, t, s, made.received_us, c, b"", made.source, raw) for t, s, c, raw in readings]
    made.rejections = [(Rejection(Reason.TYPE, "No."), b"raw")] * (bad if readings else max(1, bad))
    return made


@given(st.lists(message, min_size=1, max_size=8), st.data(), st.integers(0, 3))
def test_received_is_stored_and_duplicates_and_rejected_and_refused(
    messages: list[tuple[Known, list[tuple[int, int, bytes, bytes]], int]], data: st.DataObject, refused: int
) -> None:
    parcels = [parcel(*each) for each in messages]
    batch = Batch(parcels, [], {DEVICES[0]: refused} if refused else {})
    keys = [row.key for row in batch.rows]
    assert len(set(keys)) == len(keys)
    for row in batch.rows:
        batch.fates[id(row)] = data.draw(st.sampled_from(FATES))
    for row in batch.variants:
        batch.fates[id(row)] = data.draw(st.sampled_from((Verdict.DUPLICATE, Verdict.REJECTED)))
    outcome = batch.settle()
    received = sum(len(each.readings) + len(each.rejections) for each in parcels) + refused
    totals = [sum(counts[place] for counts in outcome.counts.values()) for place in range(6)]
    assert totals[0] == sum(totals[1:5]) == received - len(outcome.stored)
    assert len(outcome.stored) == sum(batch.fate_of(row) is Verdict.STORED for row in batch.rows)
    assert totals[1] == 0
    assert totals[3] == len(outcome.rejected)
    assert [each for each, _ in outcome.verdicts] == parcels


@given(st.lists(message, min_size=1, max_size=8))
def test_the_journal_tells_each_tenant_exactly_its_own(
    messages: list[tuple[Known, list[tuple[int, int, bytes, bytes]], int]],
) -> None:
    batch = Batch([parcel(*each) for each in messages], [(TENANTS[1], "device.connected", b"{}")], {})
    outcome = batch.settle()
    entries = list(outcome.journal())
    assert entries[0] == (TENANTS[1], "device.connected", b"{}")
    told: Counter[tuple[UUID, str, int, int]] = Counter()
    for tenant, kind, body in entries[1:]:
        assert kind == "telemetry"
        document = orjson.loads(body)
        assert next(iter(document)) == "b"
        told.update((tenant, row[0], row[1], row[2]) for row in document["r"])
        mine = {device.device_text for device in DEVICES if device.tenant_id == tenant}
        assert set(document["n"]) <= mine
        assert {row[0] for row in document["r"]} <= mine
    assert told == Counter((row.device.tenant_id, row.device.device_text, row.time_ms, row.seq) for row in batch.rows)
    assert len({tenant for tenant, _, _ in entries[1:]}) == len(entries) - 1


def test_arrivals_stand_before_the_readings_and_departures_after_them() -> None:
    said = [(TENANTS[0], kind, b"{}") for kind in ("device.connected", "device.disconnected", "device.connected")]
    batch = Batch([parcel(DEVICES[0], [], 1)], [*said, (TENANTS[0], "device.disconnected", b"{}")], {})
    kinds = [kind for _, kind, _ in batch.settle().journal()]
    assert kinds == [*(kind for _, kind, _ in said), "telemetry", "device.disconnected"]


def test_a_message_is_acknowledged_when_any_of_its_readings_is_kept() -> None:
    mixed = parcel(DEVICES[0], [(1, 1, b'{"a":1}', b"raw")], 1)
    rejected = parcel(DEVICES[0], [], 1)
    batch = Batch([mixed, rejected], [], {})
    assert [verdict for _, verdict in batch.settle().verdicts] == [Verdict.STORED, Verdict.REJECTED]
    batch.fates[id(batch.rows[0])] = Verdict.NOT_AUTHORISED
    assert [verdict for _, verdict in batch.settle().verdicts] == [Verdict.REJECTED, Verdict.REJECTED]


def test_a_discarded_row_takes_its_repeats_with_it_into_the_inbox() -> None:
    same = (1, 1, b'{"a":1}', b"raw")
    batch = Batch([parcel(DEVICES[0], [same, (2, 1, b'{"a":1}', b"raw")], 0), parcel(DEVICES[0], [same], 0)], [], {})
    batch.discard(batch.rows[0], Rejection(Reason.UNSTORABLE, "No."))
    outcome = batch.settle()
    assert outcome.counts[DEVICES[0]] == [2, 0, 0, 2, 0, 0]
    assert [row.time_ms for row in outcome.stored] == [2]
    assert {rejection.reason for _, rejection, _ in outcome.rejected} == {Reason.UNSTORABLE}


def test_the_inbox_keeps_a_bounded_part_of_the_bytes_and_the_hash_of_all() -> None:
    made = parcel(DEVICES[0], [], 1)
    made.rejections = [(Rejection(Reason.NOT_JSON, "No."), b"x" * 100_000)]
    [row] = Inbox().choose(Batch([made], [], {}).settle())
    assert (len(row.payload), row.size_bytes, len(row.sha256)) == (KEPT_BYTES, 100_000, 32)


def test_the_inbox_bound_is_per_device_and_begins_anew_each_hour() -> None:
    inbox = Inbox(kept_per_hour=2)

    def kept(device: Known, hour: int) -> int:
        made = parcel(device, [], 3)
        made.received_us = hour * 3_600_000_000 + 1
        rows = inbox.choose(Batch([made], [], {}).settle())
        inbox.confirm(rows)
        return sum(row.payload is not None for row in rows)

    assert [kept(DEVICES[0], 1), kept(DEVICES[0], 1), kept(DEVICES[1], 1), kept(DEVICES[0], 2)] == [2, 0, 2, 2]
