"""A newcomer on its connection: what it may do, which is little, and what becomes of whoever tries more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.provisioning.model import Visitor
from ingest.adapters.base import RefusalReason, Refused, Reply
from ingest.adapters.mqtt.packets import V5, V311, Connack, Disconnect, Pingreq, Pingresp, Puback, Publish, Will
from ingest.adapters.mqtt.properties import Property
from ingest.adapters.mqtt.reasons import Reason
from tests.ingest.adapters.mqtt.conftest import OpenHouse
from tests.ingest.adapters.mqtt.memory import House, turns, until
from tests.ingest.adapters.mqtt.raw_client import RawClient

LEVELS = pytest.mark.parametrize("level", [V311, V5])
REQUEST, RESPONSE = "t/acme/provision/up/request", "t/acme/provision/down/response"
NAME = "acme/provision"


@dataclass
class MemoryDoorway:
    """Knows one key, of acme; answers as it is told, and remembers what was said."""

    reply: Reply = field(default_factory=lambda: Reply(201, b'{"status":"admitted"}'))
    refusal: RefusalReason | None = None
    fault: Exception | None = None
    gate: asyncio.Event | None = None
    greeted: list[Visitor] = field(default_factory=list)
    said: list[tuple[Visitor, bytes]] = field(default_factory=list)

    async def greet(self, visitor: Visitor) -> str:
        self.greeted.append(visitor)
        if self.fault is not None:
            raise self.fault
        if self.refusal is not None or visitor.key != "token":
            raise Refused(self.refusal or "bad_credentials")
        return "acme"

    async def introduce(self, visitor: Visitor, said: bytes) -> Reply:
        self.said.append((visitor, said))
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return self.reply


@pytest.fixture
def door(house: House) -> MemoryDoorway:
    return opened(house)


def opened(house: House) -> MemoryDoorway:
    """The doorway of a house."""
    door = MemoryDoorway()
    house.endpoint.doorway = door
    return door


async def visit(house: House, level: int = V5, **connect: Any) -> RawClient:
    """A newcomer that was let in."""
    return await RawClient.login(house, level=level, username=NAME, **connect)


async def fails(client: RawClient, reason: Reason) -> None:
    """The connection ends: in 5.0 for this reason, in 3.1.1 without a word."""
    if client.level == V5:
        assert (await client.expect(Disconnect)).code == reason
    assert await client.is_closed()


@LEVELS
async def test_a_newcomer_asks_once_hears_the_answer_and_is_put_out(open_house: OpenHouse, level: int) -> None:
    house = await open_house(last_words_s=0.05)
    door = opened(house)
    async with await visit(house, level) as client:
        assert await client.subscribe(RESPONSE) == (1,)
        asked = client.publish(b'{"device":"pump-7"}', topic=REQUEST)
        answer = await client.expect(Publish)
        assert (answer.topic, answer.payload, answer.qos) == (RESPONSE, door.reply.body, 1)
        assert await client.pubacks(1) == [asked]
        await fails(client, Reason.ADMINISTRATIVE_ACTION)
    assert door.said == [(Visitor("127.0.0.1", "token"), b'{"device":"pump-7"}')]
    await until(lambda: not house.endpoint.connections)
    assert (house.uplink.messages, house.presence.heard, house.endpoint.live) == ([], [], 0)
    assert house.endpoint.counters.messages_in == 0


async def test_whoever_acknowledges_the_answer_need_not_wait(house: House, door: MemoryDoorway) -> None:
    async with await visit(house) as client:
        await client.subscribe("t/acme/provision/down/#")
        client.publish(topic=REQUEST)
        answer = await client.expect(Publish)
        await client.expect(Puback)
        client.send(Puback(answer.packet_id or 0))
        await fails(client, Reason.ADMINISTRATIVE_ACTION)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (202, Reason.SUCCESS),
        (403, Reason.NOT_AUTHORISED),
        (409, Reason.NOT_AUTHORISED),
        (422, Reason.PAYLOAD_FORMAT_INVALID),
        (413, Reason.PACKET_TOO_LARGE),
        (429, Reason.QUOTA_EXCEEDED),
    ],
)
async def test_the_receipt_says_what_the_answer_says(
    house: House, door: MemoryDoorway, status: int, code: Reason
) -> None:
    door.reply = Reply(status, b"{}")
    for level, said in ((V5, code), (V311, 0)):
        async with await visit(house, level) as client:
            await client.subscribe(RESPONSE, qos=0)
            client.publish(topic=REQUEST)
            assert (await client.expect(Publish)).qos == 0
            assert (await client.expect(Puback)).code == said


@LEVELS
async def test_what_may_be_repeated_has_no_receipt(house: House, door: MemoryDoorway, level: int) -> None:
    door.reply = Reply(503, b'{"status":503}')
    async with await visit(house, level) as client:
        await client.subscribe(RESPONSE)
        client.publish(topic=REQUEST)
        assert (await client.expect(Publish)).payload == b'{"status":503}'
        await fails(client, Reason.ADMINISTRATIVE_ACTION)


async def test_a_request_of_mqtt_5_names_its_answer(house: House, door: MemoryDoorway) -> None:
    given = {Property.RESPONSE_TOPIC: RESPONSE, Property.CORRELATION_DATA: b"7"}
    async with await visit(house) as client:
        await client.subscribe(RESPONSE)
        client.publish(topic=REQUEST, properties=given)
        assert (await client.expect(Publish)).properties == {Property.CORRELATION_DATA: b"7"}
    async with await visit(house) as client:
        await client.subscribe(RESPONSE)
        client.publish(topic=REQUEST, properties={Property.RESPONSE_TOPIC: "t/rival/d/x/down/y"})
        await fails(client, Reason.NOT_AUTHORISED)
    assert len(door.said) == 1


@LEVELS
@pytest.mark.parametrize(
    "wishes",
    [
        {"password": b"guess"},
        {"password": b""},
        {"password": b"\xff\xfe"},
        {"password": "Schlüssel".encode()},
        {"password": b"tok\nen"},
        {"password": b"k" * 257},
        {"username": "rival/provision"},
    ],
    ids=repr,
)
async def test_without_a_way_in_of_the_tenant_that_it_names_nobody_is_let_in(
    house: House, door: MemoryDoorway, level: int, wishes: dict[str, Any]
) -> None:
    async with await RawClient.dial(house, level=level) as client:
        answer = await client.connect(**{"username": NAME, **wishes})
        assert answer is not None
        assert answer.code == (Reason.BAD_USERNAME_OR_PASSWORD if level == V5 else 5)
        assert await client.is_closed()
    assert house.authorizer.asked == 0


@pytest.mark.parametrize(
    ("refusal", "code_311", "reason_5"),
    [("throttled", 3, Reason.SERVER_BUSY), ("unavailable", 3, Reason.SERVER_UNAVAILABLE)],
)
async def test_a_newcomer_that_has_to_come_again_is_told_so(
    house: House, door: MemoryDoorway, refusal: RefusalReason, code_311: int, reason_5: Reason
) -> None:
    door.refusal = refusal
    for level, code in ((V311, code_311), (V5, reason_5)):
        async with await RawClient.dial(house, level=level) as client:
            answer = await client.connect(username=NAME)
            assert answer is not None
            assert answer.code == code


async def test_a_doorway_that_fails_costs_nobody_else_anything(house: House, door: MemoryDoorway) -> None:
    async with await visit(house) as client, await RawClient.login(house) as device:
        await client.subscribe(RESPONSE)
        door.fault = RuntimeError("broken")
        client.publish(topic=REQUEST)
        await fails(client, Reason.UNSPECIFIED_ERROR)
        async with await RawClient.dial(house) as second:
            assert await second.connect(username=NAME) == Connack(False, 3)
        device.publish()
        assert await device.pubacks(1)


@LEVELS
@pytest.mark.parametrize(
    "topic",
    [RESPONSE, "t/acme/d/pump-7/up/telemetry", "t/rival/provision/up/request", REQUEST + "/x", "$SYS/x"],
)
async def test_it_publishes_nowhere_else(house: House, door: MemoryDoorway, level: int, topic: str) -> None:
    async with await visit(house, level) as client:
        await client.subscribe(RESPONSE)
        client.publish(topic=topic)
        await fails(client, Reason.NOT_AUTHORISED)
    assert (door.said, house.uplink.messages) == ([], [])


@LEVELS
async def test_it_subscribes_nothing_else(house: House, door: MemoryDoorway, level: int) -> None:
    no = Reason.NOT_AUTHORISED if level == V5 else 0x80
    foreign = ["#", "t/#", "t/+/provision/down/response", "t/acme/d/pump-7/down/#", REQUEST, "t/acme/provision/#"]
    foreign += ["t/rival/provision/down/response", "$share/g/" + RESPONSE, RESPONSE + "/x"]
    async with await visit(house, level) as client:
        assert await client.subscribe(*foreign) == (no,) * len(foreign)
        invalid = Reason.TOPIC_FILTER_INVALID if level == V5 else 0x80
        assert await client.subscribe("t/acme/provision/down/#/x", "t/acme/provision/down/x#") == (invalid,) * 2
        assert await client.subscribe(RESPONSE, "t/acme/provision/down/#", "t/acme/provision/down/+") == (1, 1, 1)


async def test_what_would_be_lost_is_not_even_asked_for(house: House, door: MemoryDoorway) -> None:
    async with await visit(house) as client:
        client.publish(topic=REQUEST)
        ended = await client.expect(Disconnect)
        assert ended.code == Reason.PROTOCOL_ERROR
        assert "Subscribe" in ended.properties[Property.REASON_STRING]
    assert door.said == []


@LEVELS
async def test_one_connection_asks_once_however_fast(house: House, door: MemoryDoorway, level: int) -> None:
    door.gate = asyncio.Event()
    async with await visit(house, level) as client:
        await client.subscribe(RESPONSE)
        for _ in range(5):
            client.publish(topic=REQUEST)
        await until(lambda: door.said)
        await turns()
        assert len(door.said) == 1
        door.gate.set()
        assert isinstance(await client.receive(), Publish)
        assert isinstance(await client.receive(), Puback)
        await fails(client, Reason.PROTOCOL_ERROR)
    assert len(door.said) == 1


async def test_who_leaves_while_it_is_asked_for_harms_nobody(house: House, door: MemoryDoorway) -> None:
    door.gate = asyncio.Event()
    client = await visit(house)
    await client.subscribe(RESPONSE)
    client.publish(topic=REQUEST)
    await until(lambda: door.said)
    client.hang_up()
    await until(lambda: not house.endpoint.connections)
    door.gate.set()
    await turns()
    assert house.endpoint.unauthenticated == 0


@LEVELS
async def test_it_leaves_no_will_sends_nothing_twice_and_nothing_longer(
    house: House, door: MemoryDoorway, level: int
) -> None:
    async with await RawClient.dial(house, level=level) as client:
        answer = await client.connect(username=NAME, will=Will("t/acme/d/pump-7/up/status", b"gone"))
        assert answer is not None
        assert answer.code == (Reason.NOT_AUTHORISED if level == V5 else 5)
    async with await visit(house, level) as client:
        await client.subscribe(RESPONSE)
        client.publish(qos=2, topic=REQUEST)
        await fails(client, Reason.QOS_NOT_SUPPORTED)
    async with await visit(house, level) as client:
        await client.subscribe(RESPONSE)
        client.publish(b" " * 70_000, topic=REQUEST)
        await fails(client, Reason.PACKET_TOO_LARGE)
    async with await visit(house, level) as client:
        client.send(client.hello(username=NAME))
        await fails(client, Reason.PROTOCOL_ERROR)
    assert (door.said, house.uplink.messages) == ([], [])


async def test_it_may_ping_and_say_goodbye(house: House, door: MemoryDoorway) -> None:
    async with await visit(house) as client:
        client.send(Pingreq())
        assert isinstance(await client.receive(), Pingresp)
        client.send(Disconnect())
        assert await client.is_closed()
    await until(lambda: not house.endpoint.connections)


async def test_its_time_is_short(open_house: OpenHouse) -> None:
    house = await open_house(visit_s=0.2)
    opened(house)
    async with await visit(house, V5) as client, await RawClient.login(house) as device:
        assert (await client.expect(Disconnect)).code == Reason.MAXIMUM_CONNECT_TIME
        device.publish()
        assert await device.pubacks(1), "devices stay"


async def test_only_so_many_come_at_the_same_time(open_house: OpenHouse) -> None:
    house = await open_house(max_visits=2)
    opened(house)
    first, second = await visit(house), await visit(house)
    async with await RawClient.dial(house) as third:
        assert await third.connect(username=NAME) == Connack(False, 3)
    first.hang_up()
    await until(lambda: house.endpoint.connections == 1)
    async with await visit(house):
        assert house.endpoint.live == 0
    second.hang_up()


async def test_where_there_is_no_doorway_a_newcomer_is_a_stranger(house: House) -> None:
    async with await RawClient.dial(house) as client:
        assert await client.connect(username=NAME) == Connack(False, 5)
