"""What devices publish: the receipt comes after the verdict, in order, and nobody's excess is another's trouble."""

from __future__ import annotations

import asyncio

import pytest

from ingest.adapters.base import Verdict
from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.packets import V5, V311, Connack, Disconnect, Pingreq, Pingresp, Puback, Publish
from ingest.adapters.mqtt.properties import NONE, Property
from ingest.adapters.mqtt.reasons import Reason
from tests.ingest.adapters.mqtt.conftest import OpenHouse
from tests.ingest.adapters.mqtt.memory import House, turns, until
from tests.ingest.adapters.mqtt.raw_client import RawClient

LEVELS = pytest.mark.parametrize("level", [V311, V5])


@LEVELS
async def test_a_message_reaches_the_uplink_as_it_was_sent(house: House, level: int) -> None:
    async with await RawClient.login(house, "pump-7", level) as client:
        client.publish(b"\x00any bytes\xff", topic=client.topic("up/telemetry/motor"), dup=True)
        assert await client.pubacks(1) == [1]
    (message,) = house.uplink.messages
    assert (message.device.tenant, message.device.device) == ("acme", "pump-7")
    assert (message.topic, message.payload, message.qos) == ("up/telemetry/motor", b"\x00any bytes\xff", 1)
    assert (message.packet_id, message.dup, message.transport) == (1, True, "mqtt")


@LEVELS
async def test_no_receipt_comes_before_the_verdict(house: House, level: int) -> None:
    house.uplink.holding = True
    async with await RawClient.login(house, level=level) as client:
        client.publish()
        await until(lambda: house.uplink.undecided)
        client.send(Pingreq())  # an answer to what came later shows that the first has none yet
        await client.expect(Pingresp)
        house.uplink.decide()
        assert await client.pubacks(1) == [1]


@LEVELS
async def test_receipts_come_in_the_order_of_the_messages_whatever_the_order_of_verdicts(
    house: House, level: int
) -> None:
    house.uplink.holding = True
    async with await RawClient.login(house, level=level) as client:
        for _ in range(5):
            client.publish()
        await until(lambda: len(house.uplink.undecided) == 5)
        house.uplink.undecided.reverse()
        house.uplink.decide(4)
        await turns()
        client.send(Pingreq())
        await client.expect(Pingresp)
        house.uplink.decide()
        assert await client.pubacks(5) == [1, 2, 3, 4, 5]


async def test_the_receipts_of_one_commit_are_one_piece_on_the_wire(house: House) -> None:
    house.uplink.holding = True
    async with await RawClient.login(house) as client:
        for _ in range(50):
            client.publish()
        await until(lambda: len(house.uplink.undecided) == 50)
        house.uplink.decide()
        assert await client.reader.read(10_000) == b"".join(encode(Puback(n), V311) for n in range(1, 51))


@pytest.mark.parametrize("verdict", [Verdict.STORED, Verdict.DUPLICATE, Verdict.REJECTED])
async def test_what_is_safe_in_the_store_or_the_inbox_has_its_receipt_in_3_1_1(house: House, verdict: Verdict) -> None:
    house.uplink.verdict = verdict
    async with await RawClient.login(house) as client:
        client.publish()
        assert await client.pubacks(1) == [1]
    assert house.endpoint.counters.acknowledged == 1


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (Verdict.STORED, Reason.SUCCESS),
        (Verdict.DUPLICATE, Reason.SUCCESS),
        (Verdict.REJECTED, Reason.PAYLOAD_FORMAT_INVALID),
        (Verdict.NOT_AUTHORISED, Reason.NOT_AUTHORISED),
        (Verdict.QUOTA, Reason.QUOTA_EXCEEDED),
    ],
)
async def test_each_verdict_has_its_reason_and_its_words_in_5_0(house: House, verdict: Verdict, reason: Reason) -> None:
    house.uplink.verdict = verdict
    async with await RawClient.login(house, level=V5) as client:
        for packet_id in (1, 2):  # the connection goes on
            client.publish()
            answer = await client.expect(Puback)
            assert (answer.packet_id, answer.code) == (packet_id, reason)
            assert (Property.REASON_STRING in answer.properties) == (reason >= 0x80)
    assert house.endpoint.counters.refused == (2 if verdict >= Verdict.NOT_AUTHORISED else 0)


@pytest.mark.parametrize("wish", [{Property.REQUEST_PROBLEM_INFORMATION: 0}, {Property.MAXIMUM_PACKET_SIZE: 64}])
async def test_a_client_that_wants_no_words_or_has_no_room_for_them_gets_none(
    house: House, wish: dict[int, int]
) -> None:
    house.uplink.verdict = Verdict.REJECTED
    async with await RawClient.login(house, level=V5, properties=wish) as client:
        client.publish()
        answer = await client.expect(Puback)
        assert (answer.code, answer.properties) == (Reason.PAYLOAD_FORMAT_INVALID, NONE)


@LEVELS
async def test_when_the_store_is_away_the_client_is_closed_to_repeat_what_has_no_receipt(
    house: House, level: int
) -> None:
    house.uplink.holding = True
    async with await RawClient.login(house, level=level) as client:
        for _ in range(4):
            client.publish()
        await until(lambda: len(house.uplink.undecided) == 4)
        house.uplink.decide(2)
        house.uplink.decide(1, Verdict.UNAVAILABLE)
        house.uplink.decide(1)
        assert await client.pubacks(2) == [1, 2]
        if level == V5:
            assert (await client.expect(Disconnect)).code == Reason.IMPLEMENTATION_ERROR
        assert await client.is_closed()
    assert house.presence.reasons("pump-7") == ["connected", "unavailable"]


async def test_above_its_quota_a_3_1_1_client_is_paused_then_closed_without_a_receipt(open_house: OpenHouse) -> None:
    house = await open_house(quota_pause_s=0.2)
    house.uplink.verdict = Verdict.QUOTA
    async with await RawClient.login(house) as client:
        client.publish(b"first")
        await until(lambda: house.endpoint.counters.refused)
        await turns()
        client.publish(b"second")
        assert await client.is_closed()
    assert house.uplink.payloads() == [b"first"]
    assert house.presence.reasons("pump-7") == ["connected", "quota"]


async def test_a_3_1_1_client_that_lost_its_rights_is_closed_without_a_receipt(house: House) -> None:
    house.uplink.verdict = Verdict.NOT_AUTHORISED
    async with await RawClient.login(house) as client:
        client.publish()
        assert await client.is_closed()
    assert house.presence.reasons("pump-7") == ["connected", "revoked"]


@pytest.mark.parametrize("verdict", list(Verdict))
async def test_qos_0_is_never_answered_and_ends_nothing(house: House, verdict: Verdict) -> None:
    house.uplink.verdict = verdict
    async with await RawClient.login(house) as client:
        client.publish(qos=0)
        await until(lambda: house.uplink.messages)
        await turns()
        client.send(Pingreq())
        await client.expect(Pingresp)
    assert house.endpoint.counters.messages_in == 1
    assert house.endpoint.undecided == 0


FOREIGN = [
    "t/acme/d/other/up/telemetry",
    "t/acme/d/pump-8/up/telemetry",
    "t/acne/d/pump-7/up/telemetry",
    "t/acme/d/pump-77/up/telemetry",
    "t/acme/d/pump-7/down/cmd/1",
    "t/acme/d/pump-7/up/",
    "t/acme/d/pump-7/up",
    "up/telemetry",
    "T/acme/d/pump-7/up/telemetry",
    "/t/acme/d/pump-7/up/telemetry",
    "$SYS/broker",
]


@pytest.mark.parametrize("topic", FOREIGN)
async def test_a_foreign_topic_closes_3_1_1_which_has_no_word_for_it(house: House, topic: str) -> None:
    async with await RawClient.login(house) as client:
        client.publish(topic=topic)
        assert await client.is_closed()
    assert house.uplink.messages == []
    assert house.refused == [("pump-7", "topic")]


@pytest.mark.parametrize("topic", FOREIGN)
async def test_a_foreign_topic_is_answered_in_5_0_and_the_device_goes_on(house: House, topic: str) -> None:
    house.uplink.holding = True
    async with await RawClient.login(house, level=V5) as client:
        client.publish(b"before")
        client.publish(b"foreign", topic=topic)
        client.publish(b"after")
        await until(lambda: len(house.uplink.undecided) == 2)
        house.uplink.decide()
        answers = [await client.expect(Puback) for _ in range(3)]
        assert [(answer.packet_id, answer.code) for answer in answers] == [(1, 0), (2, Reason.NOT_AUTHORISED), (3, 0)]
        assert "up/" in answers[1].properties[Property.REASON_STRING]
    assert house.uplink.payloads() == [b"before", b"after"]
    assert house.refused == [("pump-7", "topic")]


@LEVELS
async def test_a_foreign_topic_without_promise_is_counted_and_dropped(house: House, level: int) -> None:
    async with await RawClient.login(house, level=level) as client:
        client.publish(qos=0, topic=FOREIGN[0])
        client.publish(b"mine")
        assert await client.pubacks(1) == [1]
    assert house.uplink.payloads() == [b"mine"]
    assert house.endpoint.counters.refused == 1


async def test_a_flood_of_foreign_topics_ends_the_flooder(open_house: OpenHouse) -> None:
    house = await open_house(control_burst=10)
    async with await RawClient.login(house, level=V5) as client:
        for _ in range(50):
            client.publish(qos=0, topic=FOREIGN[0])
        assert (await client.expect(Disconnect)).code == Reason.MESSAGE_RATE_TOO_HIGH
    assert 10 < house.endpoint.counters.refused < 20


async def test_what_was_not_offered_is_refused_with_its_reason(house: House) -> None:
    async with await RawClient.login(house, level=V5) as client:
        client.publish(properties={Property.SUBSCRIPTION_IDENTIFIER: (7,)})
        answer = await client.expect(Disconnect)
        assert answer.code == Reason.PROTOCOL_ERROR
        assert len(answer.properties[Property.REASON_STRING]) > 20


async def test_user_properties_and_the_like_are_taken_and_ignored(house: House) -> None:
    properties = {
        Property.USER_PROPERTY: (("a", "b"), ("a", "c")),
        Property.RESPONSE_TOPIC: "t/rival/d/x/up/telemetry",
        Property.CORRELATION_DATA: b"\x00\xff",
        Property.MESSAGE_EXPIRY_INTERVAL: 0,
        Property.CONTENT_TYPE: "application/json",
        Property.PAYLOAD_FORMAT_INDICATOR: 1,
    }
    async with await RawClient.login(house, level=V5) as client:
        client.publish(b"x", properties=properties, retain=True)
        assert await client.pubacks(1) == [1]
    assert house.uplink.payloads() == [b"x"]


async def test_a_client_with_too_much_undecided_is_not_read_until_verdicts_come(open_house: OpenHouse) -> None:
    house = await open_house(in_flight=4)
    house.uplink.holding = True
    async with await RawClient.login(house, "pump-7") as eager, await RawClient.login(house, "pump-8") as calm:
        for _ in range(10):
            eager.publish()
        await until(lambda: len(house.uplink.messages) == 4)
        calm.publish()
        await until(lambda: len(house.uplink.messages) == 5)
        assert [message.device.device for message in house.uplink.messages] == ["pump-7"] * 4 + ["pump-8"]
        house.uplink.holding = False
        house.uplink.decide()
        assert await eager.pubacks(10) == list(range(1, 11))
        assert await calm.pubacks(1) == [1]


async def test_long_messages_count_by_their_bytes(open_house: OpenHouse) -> None:
    house = await open_house(in_flight_bytes=1000)
    house.uplink.holding = True
    async with await RawClient.login(house) as client:
        for _ in range(3):
            client.publish(bytes(600))
        await until(lambda: len(house.uplink.messages) == 2)
        await turns()
        assert len(house.uplink.messages) == 2
        house.uplink.holding = False
        house.uplink.decide()
        assert await client.pubacks(3) == [1, 2, 3]


async def test_a_full_uplink_stops_the_reading_of_all_and_all_read_on_when_it_has_room(open_house: OpenHouse) -> None:
    house = await open_house()
    house.uplink.holding, house.uplink.bound = True, 3
    clients = [await RawClient.login(house, f"pump-{n}") for n in range(4)]
    for client in clients:
        for _ in range(5):
            client.publish()
    await until(lambda: house.uplink.is_full)
    await turns()
    assert len(house.uplink.messages) == 3
    while len(house.uplink.messages) < 20 or house.uplink.undecided:
        house.uplink.decide(2)
        await turns(2)
        assert len(house.uplink.undecided) <= 3
    told = [message.device.device for message in house.uplink.messages]
    assert all(len(set(told[at : at + 9])) > 1 for at in range(0, 12)), "one of them was served alone for long"
    for client in clients:
        assert await client.pubacks(5) == [1, 2, 3, 4, 5]
        client.hang_up()


async def test_a_packet_above_the_maximum_ends_its_sender_with_words_that_arrive(open_house: OpenHouse) -> None:
    house = await open_house(max_packet_bytes=1000)
    async with await RawClient.login(house, level=V5) as client, await RawClient.login(house, "pump-8") as neighbour:
        client.publish(bytes(900))
        assert await client.pubacks(1) == [1]
        client.publish(bytes(5_000_000))
        answer = await client.expect(Disconnect)
        assert answer.code == Reason.PACKET_TOO_LARGE
        assert "1000" in answer.properties[Property.REASON_STRING]
        assert await client.is_closed()
        neighbour.publish()
        assert await neighbour.pubacks(1) == [1]
    assert house.presence.reasons("pump-7") == ["connected", "protocol_error"]


async def test_a_verdict_for_a_client_that_has_left_is_forgotten(house: House) -> None:
    house.uplink.holding = True
    async with await RawClient.login(house) as client:
        client.publish()
        await until(lambda: house.uplink.undecided)
    await until(lambda: not house.endpoint.live)
    house.uplink.decide()
    await turns()
    assert house.endpoint.undecided == 0
    assert house.endpoint.counters.acknowledged == 0


async def test_a_client_may_send_everything_it_has_and_then_leave(house: House) -> None:
    async with await RawClient.dial(house) as client:
        message = Publish(client.topic("up/telemetry"), b"x", 1, packet_id=1)
        client.send(client.hello(), message, Disconnect())
        assert await client.receive() == Connack(False, 0)
        await until(lambda: house.presence.reasons("pump-7") == ["connected", "client"])
    assert house.uplink.payloads() == [b"x"]


async def test_a_fault_of_ours_costs_one_connection_only(house: House) -> None:
    async with await RawClient.login(house) as unlucky, await RawClient.login(house, "pump-8") as lucky:

        def fail(*_: object) -> None:
            raise RuntimeError("planted")

        submit, house.uplink.submit = house.uplink.submit, fail  # type: ignore[method-assign, assignment]
        unlucky.publish()
        assert await unlucky.is_closed()
        house.uplink.submit = submit  # type: ignore[method-assign]
        lucky.publish()
        assert await lucky.pubacks(1) == [1]
    await asyncio.sleep(0)
