"""What devices post over HTTP: stored before it is answered, counted to the message, explained where it is not."""

import asyncio
import gzip
import zlib

import orjson
import pytest

from engine.clock import now_ms
from infra.bench import http as bench
from infra.bench.clients import Identity
from infra.local.postgres import Postgres
from schema.wire import asyncapi, topics
from schema.wire import http as wire
from schema.wire.payloads import MAX_PAYLOAD_BYTES
from tests.ingest.adapters.http.caller import Caller
from tests.support.line import Line
from tests.support.patience import PATIENCE_S


def test_whatever_may_be_published_may_be_posted() -> None:
    # those keep a connection: MQTT alone
    of_gateways = {name for name in topics.UP if name.startswith(("child_", "points_"))}
    assert set(wire.UP_PATHS) == {name for name in asyncapi.SERVED if name in topics.UP} - of_gateways
    assert wire.up_tail("telemetry/raw") == "up/telemetry/raw"
    assert wire.up_tail("events/door") == "up/event/door"
    assert wire.up_tail("commands/7/ack") == "up/cmd/7/ack"
    for none in ("telemetry/", "telemetry/a/b", "events", "commands/7", "status", "child/a/telemetry", "telemetry\n"):
        assert wire.up_tail(none) is None


async def test_one_reading_a_list_and_a_flat_object_are_stored_when_they_are_answered(
    pump: Caller, postgres: Postgres
) -> None:
    at = now_ms()
    answer = await pump.post("telemetry", {"time": at, "seq": 1, "values": {"temperature": 4.5}})
    assert (answer.status_code, answer.json()["status"]) == (200, "stored")
    assert answer.headers["cache-control"] == "no-store"
    await pump.post("telemetry", [{"time": at + n, "values": {"temperature": n}} for n in (1, 2)])
    await pump.post("telemetry/raw", {"temperature": 5})
    stored = Line(postgres).stored(pump.tenant)
    assert [values["temperature"] for *_, values in stored] == [4.5, 1, 2, 5]
    assert [time - at for _, time, _, _ in stored][:3] == [0, 1, 2]


async def test_gzip_is_unpacked_and_nothing_else_is_guessed(pump: Caller, postgres: Postgres) -> None:
    said = orjson.dumps({"temperature": 7})
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert (await pump.post("telemetry", content=gzip.compress(said), headers=packed)).status_code == 200
    assert [values for *_, values in Line(postgres).stored(pump.tenant)] == [{"temperature": 7}]
    for body in (said, gzip.compress(said)[:-3], gzip.compress(said) * 2, zlib.compress(said), b""):
        answer = await pump.post("telemetry", content=body, headers=packed)
        assert (answer.status_code, answer.json()["code"]) == (400, "NOT_GZIP")
    same = await pump.post("telemetry", content=gzip.compress(said), headers=packed | {"Content-Encoding": "X-GZip"})
    assert same.status_code == 200, "its older name (RFC 9110, section 8.4.1.3)"
    brotli = await pump.post("telemetry", content=said, headers=packed | {"Content-Encoding": "br"})
    assert brotli.status_code == 415
    form = await pump.post("telemetry", content=said, headers={"Content-Type": "application/cbor"})
    assert form.status_code == 415
    bare = await pump.post("telemetry", content=said)
    assert bare.status_code == 200, "who says nothing of the type means JSON"


async def test_each_reading_that_is_not_stored_is_told_with_its_place_and_reason(pump: Caller) -> None:
    at = now_ms()
    good = {"time": at, "seq": 1, "values": {"temperature": 1}}
    await pump.post("telemetry", good)
    bad = {"time": at + 1, "values": {"temperature": "hot"}}
    conflicting = {"time": at, "seq": 1, "values": {"temperature": 2}}
    fresh = {"time": at + 2, "values": {"temperature": 3}}
    answer = await pump.post("telemetry", [bad, good, conflicting, bad, fresh])
    told = answer.json()
    assert (answer.status_code, told["status"], told["duplicates"], told["rejected"]) == (200, "stored", 1, 3)
    assert {(each["reading"], each["reason"]) for each in told["reasons"]} == {
        (0, "TYPE"),
        (2, "CONFLICT"),
        (3, "TYPE"),
    }
    assert "the profile says number" in told["reasons"][-1]["detail"]
    assert "left_out" not in told
    partly = {"time": at + 3, "values": {"temperature": "hot", "flow": 1, "\n": 2}}
    answer = await pump.post("telemetry", [good, partly, partly, bad])
    told = answer.json()
    assert (answer.status_code, told["status"], told["duplicates"], told["rejected"]) == (200, "stored", 2, 1)
    assert [(each["reading"], each["metric"], each["reason"]) for each in told["left_out"]] == [
        (1, "temperature", "TYPE"),
        (1, "\n", "METRIC_KEY"),
    ]
    answer = await pump.post("telemetry", partly | {"time": at + 4})
    assert (answer.status_code, answer.json()["status"], answer.json()["left_out"][0]["reading"]) == (200, "stored", 0)
    assert "the profile says number" in answer.json()["left_out"][0]["detail"]


async def test_a_reading_too_deep_to_be_written_again_is_told_like_any_other(pump: Caller) -> None:
    deep = b'{"values":{"a":' + b'{"a":' * 300 + b"1" + b"}" * 302
    answer = await pump.post("telemetry", content=b'[{"values":{"temperature":1}},%b]' % deep)
    assert (answer.status_code, answer.json()["rejected"]) == (200, 1)
    assert [(each["reading"], each["reason"]) for each in answer.json()["reasons"]] == [(1, "TOO_DEEP")]
    assert (await pump.post("telemetry", {"temperature": 1})).status_code == 200


async def test_where_nothing_could_be_stored_the_answer_is_a_problem_and_the_inbox_has_it(
    pump: Caller, postgres: Postgres
) -> None:
    answer = await pump.post("telemetry", content=b"{broken")
    told = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert (told["type"], told["rejected"]) == ("/problems/rejected", 1)
    assert [(each["reading"], each["reason"]) for each in told["reasons"]] == [(0, "NOT_JSON")]
    [(device, reason, _, payload)] = Line(postgres).inbox(pump.tenant)
    assert (device, reason, bytes(payload)) == (pump.device.id, "NOT_JSON", b"{broken")
    many = await pump.post("telemetry", [{"values": {"temperature": "x"}}] * 30)
    assert (many.status_code, many.json()["rejected"], len(many.json()["reasons"])) == (422, 30, 20)


async def test_received_is_stored_and_duplicates_and_rejected_and_refused_to_the_message(
    pump: Caller, postgres: Postgres
) -> None:
    at, line = now_ms(), Line(postgres)
    good = {"time": at, "seq": 1, "values": {"temperature": 1}}
    await pump.post("telemetry", good)
    await pump.post("telemetry", good)
    await pump.post("telemetry", [good, {"values": {"temperature": "hot"}}, {"time": at, "values": {"temperature": 3}}])
    await pump.post("telemetry", content=b"\xff")
    refused = [
        await pump.post("telemetry", content=b"x", headers={"Content-Encoding": "gzip"}),
        await pump.post("telemetry", content=b" " * (MAX_PAYLOAD_BYTES + 1)),
        await pump.post("telemetry", content=b"x", headers={"Content-Type": "text/plain"}),
        await pump.post("telemetry", {"temperature": 1}, headers={"Idempotency-Key": "k" * 65}),
        await pump.client.post("/ingest/v1/another/telemetry", json={"temperature": 1}, headers=pump.bearer),
    ]
    assert [each.status_code for each in refused] == [400, 413, 415, 400, 403]
    async with asyncio.timeout(PATIENCE_S):
        while (counts := line.counts(pump.tenant)[str(pump.device.id)])[4] < len(refused):
            await asyncio.sleep(0.05)
    assert counts == [11, 2, 2, 2, 5, 0]
    assert counts[0] == len(line.stored(pump.tenant)) + 2 + len(line.inbox(pump.tenant)) + len(refused)


async def test_events_are_told_and_a_repeat_of_one_is_known(pump: Caller, postgres: Postgres) -> None:
    line = Line(postgres)
    timed = {"time": now_ms() - 5_000, "by": "key"}
    answers = [
        await pump.post("events/door", timed),
        await pump.post("events/door", timed),
        await pump.post("events/door", headers={"Idempotency-Key": "one"}),
        await pump.post("events/door", headers={"Idempotency-Key": "one"}),
        await pump.post("events/door"),
    ]
    assert [each.json()["status"] for each in answers] == ["stored", "duplicate", "stored", "duplicate", "stored"]
    assert len([kind for kind, _ in line.journal(pump.tenant) if kind == "device.event"]) == 3
    assert (await pump.post("events/door", [1])).status_code == 422


@pytest.mark.parametrize("path", ["status", "telemetry/a/b", "shadow/reported", "", "events/"])
async def test_what_nothing_takes_is_not_found(pump: Caller, path: str) -> None:
    answer = await pump.post(path, {"temperature": 1})
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


async def test_a_wrong_method_is_told_the_right_one(pump: Caller) -> None:
    for method, path, allowed in (
        ("GET", "telemetry", "POST"),
        ("PUT", "events/door", "POST"),
        ("POST", "commands", "GET"),
    ):
        answer = await pump.client.request(method, f"/ingest/v1/{pump.device.key}/{path}", headers=pump.bearer)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


async def test_no_session_begins_and_an_mqtt_session_goes_on(pump: Caller, postgres: Postgres) -> None:
    await pump.post("telemetry", {"temperature": 1})
    epochs = Line(postgres).look("SELECT session_epoch FROM presence WHERE device_id = %s", pump.device.id)
    assert epochs == [(0,)]
    assert "device.connected" not in [kind for kind, _ in Line(postgres).journal(pump.tenant)]


@pytest.mark.parametrize("course", bench.COURSES, ids=lambda course: course.name)
async def test_what_the_bench_sends_is_stored_each_time(pump: Caller, postgres: Postgres, course: bench.Course) -> None:
    sender = Identity(pump.tenant.key, pump.device.key, pump.token)
    times = await bench.run(pump.process.http_port, [sender], course, 0.1)
    assert len(Line(postgres).stored(pump.tenant)) == len(times) * course.readings > 0
