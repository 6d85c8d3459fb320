"""What each request is answered with, in blocks or whole, and what a device hears that observes."""

import asyncio
import os
from collections.abc import AsyncIterator
from uuid import UUID

import aiocoap
import cbor2
import orjson
import pytest
from aiocoap.numbers.codes import Code
from aiocoap.optiontypes import BlockOption

from ingest.adapters.base import Decision, RefusalReason, Verdict
from ingest.adapters.coap.blocks import Assemblies
from ingest.adapters.http.room import Room
from schema.wire.coap import CBOR, SENML_JSON
from schema.wire.payloads import MAX_PAYLOAD_BYTES, Reason
from tests.ingest.adapters.coap.peer import House, Peer, open_house, peer
from tests.ingest.adapters.mqtt.memory import device_id, until
from tests.support.patience import PATIENCE_S

PUMP = device_id("acme/d/pump-7")


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house() as made:
        yield made


@pytest.fixture
async def device(house: House) -> AsyncIterator[Peer]:
    async with peer(house.port) as made:
        yield made


async def test_each_verdict_has_its_code_and_says_when_to_come_again(house: House, device: Peer) -> None:
    told = []
    for house.uplink.verdict in Verdict:
        answer = await device.post()
        told.append((answer.code.dotted, answer.opt.max_age))
        assert answer.code.is_successful() or answer.payload.decode().endswith(".")
    house.uplink.bound = 0
    full = await device.post()
    assert told == [("2.04", None), ("2.04", None), ("4.22", None), ("4.03", None), ("4.29", 1), ("5.03", 5)]
    assert (full.code.dotted, full.opt.max_age) == ("5.03", 1)
    assert house.refused == [], "the uplink counts what it was given, and nobody what may be sent again"


async def test_who_is_refused_hears_why(house: House, device: Peer) -> None:
    reasons: dict[RefusalReason, tuple[str, int | None]] = {
        "bad_credentials": ("4.01", None),
        "revoked": ("4.01", None),
        "suspended": ("4.03", None),
        "throttled": ("4.29", 60),
        "unavailable": ("5.03", 5),
    }
    for reason, told in reasons.items():
        house.identifier.refused[reason] = reason
        answer = await device.post(token=reason)
        assert (answer.code.dotted, answer.opt.max_age) == told
        assert answer.payload
    assert (await device.post(token=None)).code.dotted == "4.01"
    another = await device.post(token="pump-8")
    assert (another.code.dotted, house.refused) == ("4.03", [("pump-8", "device")])
    assert house.uplink.messages == []


async def test_where_others_may_listen_no_token_is_taken() -> None:
    async with open_house(takes_tokens=False) as house, peer(house.port) as device:
        answer = await device.post()
        assert (answer.code.dotted, house.identifier.asked) == ("4.01", 0)
        assert b"in the clear" in answer.payload


async def test_what_is_asked_wrongly_is_told_so(house: House, device: Peer) -> None:
    wrong = {
        "4.04": [device.request("nothing"), device.request("telemetry/a/b"), device.request("events/a%b")],
        "4.05": [device.request(code=Code.DELETE), device.request(code=Code.GET), device.request("commands")],
        "4.02": [device.request(if_none_match=True), device.request(if_match=[b"x"])],
        "5.05": [device.request(proxy_scheme="coap"), device.request(proxy_uri="coap://example.com/")],
        "4.15": [device.request(content_format=0), device.request("events/x", content_format=SENML_JSON)],
        "4.06": [device.request(accept=0), device.request("commands", b"", code=Code.GET, accept=41)],
        "4.13": [device.request(size1=MAX_PAYLOAD_BYTES + 1, block1=(0, True, 2), payload=bytes(64))],
    }
    for code, requests in wrong.items():
        for request in requests:
            assert (await device.ask(request)).code.dotted == code, request
    assert house.uplink.messages == []


async def test_a_path_is_a_topic_and_put_is_as_good_as_post(house: House, device: Peer) -> None:
    for path in ("telemetry", "telemetry/fast", "events/door", "commands/c-1/ack", "commands/c-1/result"):
        for code in (Code.POST, Code.PUT):
            assert (await device.post(path, b"", code=code)).code is Code.CHANGED
    assert [message.topic for message in house.uplink.messages][::2] == [
        "up/telemetry",
        "up/telemetry/fast",
        "up/event/door",
        "up/cmd/c-1/ack",
        "up/cmd/c-1/result",
    ]
    assert {message.transport for message in house.uplink.messages} == {"coap"}


async def test_what_cannot_be_read_lies_in_the_inbox_as_it_came(house: House, device: Peer) -> None:
    answer = await device.post(payload=b"\xff\x00", content_format=CBOR)
    [(message, reason, _)] = house.uplink.rejected
    assert (answer.code.dotted, message.payload, reason) == ("4.22", b"\xff\x00", Reason.NOT_CBOR)
    house.uplink.verdict = Verdict.DUPLICATE
    told = await device.post(accept=CBOR)
    assert cbor2.loads(told.payload)["status"] == "duplicate"


# ── blocks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_long_message_comes_in_blocks_and_its_repeated_last_one_is_answered_again(
    house: House, device: Peer
) -> None:
    said = orjson.dumps({"values": {f"metric-{n}": n for n in range(20)}})
    parts = [said[at : at + 64] for at in range(0, len(said), 64)]
    for number, part in enumerate(parts):
        last = device.request(payload=part, block1=(number, number + 1 < len(parts), 2))
        answer = await device.ask(last)
        assert answer.code is (Code.CONTINUE if number + 1 < len(parts) else Code.CHANGED)
        assert (answer.opt.block1.block_number, answer.opt.block1.size_exponent) == (number, 2)
    assert (await device.ask(last)).code is Code.CHANGED
    assert house.uplink.payloads() == [said]


async def test_a_block_out_of_turn_or_of_another_size_begins_again(house: House, device: Peer) -> None:
    async def block(number: int, more: bool, size: int = 64, **options: int) -> str:
        answer = await device.post(payload=b" " * size, block1=(number, more, 2), **options)
        return str(answer.code.dotted)

    assert await block(1, True) == "4.08"
    assert [await block(0, True), await block(2, True), await block(1, False)] == ["2.31", "4.08", "4.08"]
    assert await block(0, True, 63) == "4.00"
    assert [await block(0, True), await block(1, False, 60, content_format=CBOR)] == ["2.31", "4.08"]
    assert [await block(0, True), await block(0, True), await block(1, False, 9)] == ["2.31", "2.31", "2.04"]
    assert house.uplink.payloads() == [b" " * 73]


async def test_a_message_without_end_is_cut_off_and_what_it_took_is_free_again(house: House, device: Peer) -> None:
    codes = []
    for number in range(MAX_PAYLOAD_BYTES // 1024 + 1):
        answer = await device.post(payload=b" " * 1024, block1=(number, True, 6))
        codes.append(answer.code.dotted)
    assert codes == ["2.31"] * (MAX_PAYLOAD_BYTES // 1024) + ["4.13"]
    assert answer.opt.size1 == MAX_PAYLOAD_BYTES
    room = house.endpoint._messages._room
    assert (room._bytes, house.uplink.messages) == (0, [])


def test_what_one_tenant_leaves_unfinished_takes_no_other_s_place() -> None:
    assemblies, begun, ended = Assemblies(Room(), most=8), (0, True, 0), (1, False, 0)

    def add(tenant: int, device: int, block: tuple[int, bool, int], part: bytes) -> object:
        who = Decision(UUID(int=tenant), "", UUID(int=tenant * 100 + device), "", 0)
        return assemblies.add((tenant, device), who, BlockOption.BlockwiseTuple(*block), part, None)

    add(1, 0, begun, b"a" * 16)
    for each in range(20):
        add(2, each, begun, b"b" * 16)
    assert add(1, 0, ended, b"c") == b"a" * 16 + b"c"
    assert add(2, 19, ended, b"c") == b"b" * 16 + b"c"
    assert add(2, 0, ended, b"c") != b"b" * 16 + b"c"


async def test_messages_that_are_never_finished_take_a_bounded_place(house: House, device: Peer) -> None:
    house.endpoint._messages._assemblies = Assemblies(room := Room(), most=5)
    for n in range(30):
        answer = await device.post(f"telemetry/s{n}", bytes(1024), block1=(0, True, 6))
        assert answer.code is Code.CONTINUE
    assert room._bytes == 5 * 1024


# ── down ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def command(number: int, size: int = 0) -> bytes:
    return orjson.dumps({"id": f"c-{number}", "note": "x" * size})


async def observe(house: House, device: Peer, **options: int) -> None:
    answer = await device.post("commands", b"", code=Code.GET, observe=0, mark=b"ob", **options)
    assert (answer.code, answer.opt.observe) == (Code.CONTENT, 1)
    await until(lambda: house.asked)


async def test_what_comes_while_a_device_observes_is_a_notification_and_delivered_when_acknowledged(
    house: House, device: Peer
) -> None:
    await observe(house, device)
    assert house.asked == [PUMP]
    assert house.endpoint.observers.listens(PUMP, "down/cmd/c-1")
    first, second = (house.endpoint.observers.send(PUMP, "down/cmd/c", command(n)) for n in (1, 2))
    told = await device.hear()
    assert (told.token, told.opt.observe) == (b"ob", 2)
    assert [each["id"] for each in orjson.loads(told.payload)["commands"]] == ["c-1", "c-2"]
    third = house.endpoint.observers.send(PUMP, "down/cmd/c-3", command(3))
    assert await device.hears_nothing(), "one at a time"
    assert not first.done()
    device.acknowledge(told)
    assert await asyncio.wait_for(asyncio.gather(first, second), PATIENCE_S) == [True, True]
    told = await device.hear()
    assert (told.opt.observe, orjson.loads(told.payload)["commands"][0]["id"]) == (3, "c-3")
    device.acknowledge(told)
    assert await asyncio.wait_for(third, PATIENCE_S)


async def test_who_says_no_is_not_observing_any_more_and_what_was_sent_waits(house: House, device: Peer) -> None:
    await observe(house, device)
    sent = house.endpoint.observers.send(PUMP, "down/cmd/c-1", command(1))
    device.refuse(await device.hear())
    assert not await asyncio.wait_for(sent, PATIENCE_S)
    assert house.endpoint.observers.session(PUMP) is None
    await observe(house, device)
    answer = await device.post("commands", b"", code=Code.GET, observe=1)
    assert (answer.code, answer.opt.observe) == (Code.CONTENT, None)
    assert list(house.endpoint.observers.sessions()) == []


async def test_who_is_silent_is_not_observing_any_more() -> None:
    async with open_house(timeout_s=0.01, retransmits=2) as house, peer(house.port) as device:
        await observe(house, device)
        sent = house.endpoint.observers.send(PUMP, "down/cmd/c-1", command(1))
        assert not await asyncio.wait_for(sent, PATIENCE_S)
        assert house.endpoint.observers.session(PUMP) is None
        assert len({(await device.hear()).mid for _ in range(3)}) == 1


async def test_who_loses_its_rights_is_told_so_and_hears_nothing_more(house: House, device: Peer) -> None:
    await observe(house, device)
    house.endpoint.changed(PUMP)
    await until(lambda: house.identifier.asked == 2)
    assert house.endpoint.observers.session(PUMP) is not None, "nothing has changed for it"
    house.identifier.refused["pump-7"] = "suspended"
    house.endpoint.changed(PUMP)
    told = await device.hear()
    assert (told.token, told.code.dotted, told.opt.observe) == (b"ob", "4.03", None)
    device.acknowledge(told)
    assert house.endpoint.observers.session(PUMP) is None


async def test_whose_rights_cannot_be_asked_now_are_asked_again(
    house: House, device: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.adapters.coap.endpoint.LOOK_AGAIN_S", 0.01)
    await observe(house, device)
    house.identifier.refused["pump-7"] = "unavailable"
    house.endpoint.missed()
    await until(lambda: house.identifier.asked > 2)
    house.endpoint.missed()
    assert house.endpoint.observers.session(PUMP) is not None
    house.identifier.refused["pump-7"] = "revoked"
    assert (await device.hear()).code is Code.UNAUTHORIZED
    assert house.endpoint.observers.session(PUMP) is None
    await until(lambda: not house.endpoint._looks)


async def test_a_long_notification_is_fetched_in_blocks_and_delivered_with_the_last(house: House, device: Peer) -> None:
    await observe(house, device)
    sent = house.endpoint.observers.send(PUMP, "down/cmd/c-1", command(1, 2_500))
    told = await device.hear()
    device.acknowledge(told)
    body, number = told.payload, 0
    while told.opt.block2.more:
        assert not sent.done()
        number += 1
        told = await device.post("commands", b"", code=Code.GET, block2=(number, False, 6))
        body += told.payload
    assert await asyncio.wait_for(sent, PATIENCE_S)
    assert orjson.loads(body)["commands"][0]["id"] == "c-1"
    beyond = await device.post("commands", b"", code=Code.GET, block2=(number + 1, False, 6))
    assert beyond.code.dotted == "4.00"


async def test_a_question_is_answered_with_what_waits_at_once(house: House, device: Peer) -> None:
    nothing = await device.post("commands", b"", code=Code.GET, accept=CBOR)
    assert (nothing.opt.content_format, cbor2.loads(nothing.payload)) == (CBOR, {"commands": []})
    sent: list[asyncio.Future[bool]] = []
    house.polls._ask = lambda _: sent.append(house.polls.send(PUMP, "down/cmd/c-1", command(1)))
    told = await device.post("commands", b"", code=Code.GET)
    assert orjson.loads(told.payload)["commands"] == [orjson.loads(command(1))]
    assert await sent[0]


async def test_a_client_of_others_sends_reads_and_observes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "AIOCOAP_CLIENT_TRANSPORT", "simple6")
    client = await aiocoap.Context.create_client_context()
    home = f"coap://127.0.0.1:{house.port}/ingest/v1/pump-7"

    async def ask(code: Code, path: str, payload: bytes = b"", **options: int) -> aiocoap.Message:
        message = aiocoap.Message(code=code, uri=f"{home}/{path}?token=pump-7", payload=payload, **options)
        return await asyncio.wait_for(client.request(message).response, PATIENCE_S)

    try:
        said = orjson.dumps([{"values": {"t": n}} for n in range(300)])
        assert (await ask(Code.POST, "telemetry", said)).code is Code.CHANGED
        assert house.uplink.payloads() == [said], "in blocks"
        request = aiocoap.Message(code=Code.GET, uri=f"{home}/commands?token=pump-7", observe=0)
        asked = client.request(request)
        assert (await asyncio.wait_for(asked.response, PATIENCE_S)).payload == b'{"commands":[]}'
        sent = house.endpoint.observers.send(PUMP, "down/cmd/c-1", command(1, 3_000))
        notified = aiter(asked.observation)
        told = await asyncio.wait_for(anext(notified), PATIENCE_S)
        assert orjson.loads(told.payload)["commands"][0]["id"] == "c-1"
        assert await asyncio.wait_for(sent, PATIENCE_S)
        asked.observation.cancel()
    finally:
        await client.shutdown()
