"""QoS 2 on the way up: a PUBREC after the verdict, one message whatever is repeated, and nothing kept for ever."""

from __future__ import annotations

import pytest

from ingest.adapters.base import Verdict
from ingest.adapters.mqtt.packets import (
    V5,
    V311,
    Disconnect,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
)
from ingest.adapters.mqtt.properties import Property
from ingest.adapters.mqtt.reasons import Reason
from tests.ingest.adapters.mqtt.conftest import OpenHouse
from tests.ingest.adapters.mqtt.memory import House, turns, until
from tests.ingest.adapters.mqtt.raw_client import RawClient

LEVELS = pytest.mark.parametrize("level", [V311, V5])


def repeat(client: RawClient, packet_id: int, payload: bytes = b"once") -> None:
    client.send(Publish(client.topic("up/telemetry"), payload, 2, dup=True, packet_id=packet_id))


async def answered(client: RawClient) -> None:
    """Everything sent so far has been looked at, and has had no other answer than this."""
    client.send(Pingreq())
    await client.expect(Pingresp)


@LEVELS
async def test_a_pubrec_comes_after_the_verdict_and_a_pubcomp_after_the_pubrel(house: House, level: int) -> None:
    house.uplink.holding = True
    async with await RawClient.login(house, level=level) as client:
        client.publish(b"once", qos=2)
        await until(lambda: house.uplink.undecided)
        await answered(client)
        house.uplink.decide()
        assert await client.expect(Pubrec) == Pubrec(1)
        client.send(Pubrel(1))
        assert await client.expect(Pubcomp) == Pubcomp(1)
    (message,) = house.uplink.messages
    assert (message.qos, message.packet_id, message.payload) == (2, 1, b"once")


@LEVELS
async def test_a_repeat_before_the_pubrel_is_the_same_message_and_after_it_another(house: House, level: int) -> None:
    house.uplink.holding = True
    async with await RawClient.login(house, level=level) as client:
        client.publish(b"once", qos=2)
        repeat(client, 1)  # before the verdict: one PUBREC answers both
        await until(lambda: house.uplink.undecided)
        await answered(client)
        house.uplink.decide()
        assert await client.expect(Pubrec) == Pubrec(1)
        repeat(client, 1)  # the PUBREC may have been lost
        assert await client.expect(Pubrec) == Pubrec(1)
        client.send(Pubrel(1))
        await client.expect(Pubcomp)
        house.uplink.holding = False
        repeat(client, 1)
        assert await client.expect(Pubrec) == Pubrec(1)
    assert house.uplink.payloads() == [b"once", b"once"]


@pytest.mark.parametrize(("level", "code"), [(V311, 0), (V5, Reason.PACKET_ID_NOT_FOUND)])
async def test_a_pubrel_for_what_an_earlier_connection_sent_is_answered_and_the_repeat_taken_anew(
    house: House, level: int, code: int
) -> None:
    async with await RawClient.login(house, level=level) as client:
        client.publish(b"once", qos=2)
        await client.expect(Pubrec)
    async with await RawClient.login(house, level=level) as again:
        again.send(Pubrel(1))
        assert await again.expect(Pubcomp) == Pubcomp(1, code)
        repeat(again, 1)  # marked, with its old id: the uplink and the store tell whether it is new
        await again.expect(Pubrec)
    assert [message.dup for message in house.uplink.messages] == [False, True]


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (Verdict.REJECTED, Reason.PAYLOAD_FORMAT_INVALID),
        (Verdict.NOT_AUTHORISED, Reason.NOT_AUTHORISED),
        (Verdict.QUOTA, Reason.QUOTA_EXCEEDED),
    ],
)
async def test_a_no_is_in_the_pubrec_of_5_0_and_frees_the_id(house: House, verdict: Verdict, reason: Reason) -> None:
    house.uplink.verdict = verdict
    async with await RawClient.login(house, level=V5) as client:
        client.publish(b"bad", qos=2)
        answer = await client.expect(Pubrec)
        assert (answer.packet_id, answer.code) == (1, reason)
        assert answer.properties[Property.REASON_STRING]
        house.uplink.verdict = Verdict.STORED
        client.send(Publish(client.topic("up/telemetry"), b"good", 2, packet_id=1))
        assert await client.expect(Pubrec) == Pubrec(1)
    assert house.uplink.payloads() == [b"bad", b"good"]


async def test_3_1_1_which_has_no_word_for_it_is_told_yes_when_a_message_is_rejected(house: House) -> None:
    house.uplink.verdict = Verdict.REJECTED
    async with await RawClient.login(house) as client:
        client.publish(b"bad", qos=2)
        assert await client.expect(Pubrec) == Pubrec(1)
        client.send(Pubrel(1))
        await client.expect(Pubcomp)


async def test_a_foreign_topic_is_refused_in_the_pubrec_of_5_0(house: House) -> None:
    async with await RawClient.login(house, level=V5) as client:
        client.publish(qos=2, topic="t/acme/d/other/up/telemetry")
        assert (await client.expect(Pubrec)).code == Reason.NOT_AUTHORISED
        client.publish(qos=2)
        assert await client.expect(Pubrec) == Pubrec(2)


@LEVELS
async def test_receipts_of_both_kinds_come_in_the_order_of_the_messages(house: House, level: int) -> None:
    house.uplink.holding = True
    async with await RawClient.login(house, level=level) as client:
        for qos in (1, 2, 1):
            client.publish(qos=qos)
        await until(lambda: len(house.uplink.undecided) == 3)
        house.uplink.undecided.reverse()
        house.uplink.decide()
        assert [await client.receive() for _ in range(3)] == [Puback(1), Pubrec(2), Puback(3)]


async def test_who_sends_more_than_our_receive_maximum_without_a_pubrel_is_told_so(open_house: OpenHouse) -> None:
    house = await open_house(in_flight=3)
    async with await RawClient.login(house, level=V5) as client:
        for packet_id in (1, 2, 3):
            client.publish(qos=2)
            assert await client.expect(Pubrec) == Pubrec(packet_id)
        client.send(Pubrel(2))
        await client.expect(Pubcomp)
        client.publish(qos=2)
        assert await client.expect(Pubrec) == Pubrec(4)
        client.publish(qos=2)
        assert (await client.expect(Disconnect)).code == Reason.RECEIVE_MAXIMUM_EXCEEDED
    assert len(house.uplink.messages) == 4


async def test_3_1_1_which_knows_no_receive_maximum_is_closed_at_a_bound_of_its_own(open_house: OpenHouse) -> None:
    house = await open_house(in_flight=2, unreleased=4)
    async with await RawClient.login(house) as client:
        for _ in range(5):
            client.publish(qos=2)
        assert [await client.expect(Pubrec) for _ in range(4)] == [Pubrec(number) for number in (1, 2, 3, 4)]
        assert await client.is_closed()
    assert len(house.uplink.messages) == 4


@LEVELS
async def test_a_pubrel_before_its_pubrec_breaks_the_protocol(house: House, level: int) -> None:
    house.uplink.holding = True
    async with await RawClient.login(house, level=level) as client:
        client.publish(qos=2)
        client.send(Pubrel(1))
        if level == V5:
            assert (await client.expect(Disconnect)).code == Reason.PROTOCOL_ERROR
        assert await client.is_closed()
    house.uplink.decide(verdict=Verdict.QUOTA)
    await turns()
    assert house.endpoint.undecided == 0


async def test_pubrels_for_nothing_cost_patience(open_house: OpenHouse) -> None:
    house = await open_house(control_burst=10)
    async with await RawClient.login(house, level=V5) as client:
        client.send(*(Pubrel(number) for number in range(1, 50)))
        answers = [await client.receive() for _ in range(11)]
        assert answers[:10] == [Pubcomp(number, Reason.PACKET_ID_NOT_FOUND) for number in range(1, 11)]
        assert isinstance(answers[10], Disconnect)
