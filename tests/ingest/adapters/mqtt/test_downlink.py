"""What devices are sent: only what they subscribed of their own, acknowledged or honestly not delivered."""

from __future__ import annotations

import pytest

from ingest.adapters.mqtt.packets import (
    V5,
    V311,
    Disconnect,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Subscribe,
    Unsuback,
    Unsubscribe,
)
from ingest.adapters.mqtt.packets import Subscription as Wanted
from ingest.adapters.mqtt.properties import Property
from ingest.adapters.mqtt.reasons import Reason
from tests.ingest.adapters.mqtt.conftest import OpenHouse
from tests.ingest.adapters.mqtt.memory import House, device_id, turns, until
from tests.ingest.adapters.mqtt.raw_client import RawClient

LEVELS = pytest.mark.parametrize("level", [V311, V5])
PUMP = device_id("acme/d/pump-7")


@LEVELS
async def test_a_command_is_delivered_when_the_device_has_acknowledged_it(house: House, level: int) -> None:
    async with await RawClient.login(house, level=level) as client:
        assert await client.subscribe() == (1,)
        assert house.ready == ["pump-7"]
        answer = house.endpoint.send(PUMP, "down/cmd/1", b"open")
        command = await client.expect(Publish)
        assert (command.topic, command.payload, command.qos) == ("t/acme/d/pump-7/down/cmd/1", b"open", 1)
        assert not answer.done()
        assert command.packet_id is not None
        client.send(Puback(command.packet_id))
        assert await answer is True
    assert house.endpoint.counters.messages_out == 1


@LEVELS
async def test_with_qos_0_a_command_is_delivered_when_it_is_written(house: House, level: int) -> None:
    async with await RawClient.login(house, level=level) as client:
        assert await client.subscribe(qos=0) == (0,)
        assert await house.endpoint.send(PUMP, "down/cmd/1", b"open") is True
        assert (await client.expect(Publish)).qos == 0


async def test_a_refusal_of_the_device_is_no_delivery(house: House) -> None:
    async with await RawClient.login(house, level=V5) as client:
        await client.subscribe()
        answer = house.endpoint.send(PUMP, "down/cmd/1", b"open")
        command = await client.expect(Publish)
        assert command.packet_id is not None
        client.send(Puback(command.packet_id, Reason.IMPLEMENTATION_ERROR))
        assert await answer is False


@pytest.mark.parametrize(
    ("topic_filter", "is_granted"),
    [
        ("t/acme/d/pump-7/down/#", True),
        ("t/acme/d/pump-7/down/cmd/+", True),
        ("t/acme/d/pump-7/down/+/1", True),
        ("t/acme/d/pump-7/down/ota", True),
        ("t/acme/d/pump-7/#", False),
        ("t/acme/d/pump-7/+/#", False),
        ("t/acme/d/pump-7/up/#", False),
        ("t/acme/d/+/down/#", False),
        ("t/acme/d/other/down/#", False),
        ("t/acme/d/pump-8/down/#", False),
        ("t/acne/d/pump-7/down/#", False),
        ("t/rival/d/pump-7/down/#", False),
        ("t/acme/d/pump-7/down", False),
        ("#", False),
        ("$SYS/#", False),
        ("$share/g/t/acme/d/pump-7/down/#", False),
        ("t/acme/d/pump-7/down/cmd+", False),
        ("t/acme/d/pump-7/down/#/x", False),
    ],
)
async def test_a_device_subscribes_its_own_down_topics_only(house: House, topic_filter: str, is_granted: bool) -> None:
    async with await RawClient.login(house, level=V311) as old:
        assert await old.subscribe(topic_filter) == ((1,) if is_granted else (0x80,))
    async with await RawClient.login(house, level=V5) as new:
        (code,) = await new.subscribe(topic_filter)
        assert (code == 1) if is_granted else (code >= 0x80)
    assert house.ready == (["pump-7"] * 2 if is_granted else [])


async def test_each_filter_has_its_own_answer(house: House) -> None:
    async with await RawClient.login(house, level=V5) as client:
        codes = await client.subscribe(
            client.topic("down/ota"), "t/acme/d/other/down/#", "$share/g/x", client.topic("down/a#"), qos=2
        )
        assert codes == (
            1,  # no more than QoS 1 is granted
            Reason.NOT_AUTHORISED,
            Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
            Reason.TOPIC_FILTER_INVALID,
        )


async def test_only_so_many_subscriptions_are_kept(open_house: OpenHouse) -> None:
    house = await open_house(max_subscriptions=2)
    async with await RawClient.login(house, level=V5) as client:
        topics = [client.topic(f"down/cmd/{n}") for n in range(3)]
        assert await client.subscribe(*topics) == (1, 1, Reason.QUOTA_EXCEEDED)
        assert await client.subscribe(topics[0]) == (1,)  # the same one again takes no place


async def test_subscription_identifiers_are_refused_as_announced(house: House) -> None:
    async with await RawClient.login(house, level=V5) as client:
        wanted = (Wanted(client.topic("down/#"), 1),)
        client.send(Subscribe(1, wanted, {Property.SUBSCRIPTION_IDENTIFIER: 5}))
        assert (await client.expect(Disconnect)).code == Reason.SUBSCRIPTION_IDS_NOT_SUPPORTED


async def test_what_was_not_subscribed_or_no_longer_is_is_not_sent(house: House) -> None:
    async with await RawClient.login(house, level=V5) as client:
        assert await house.endpoint.send(PUMP, "down/cmd/1", b"early") is False
        await client.subscribe(client.topic("down/cmd/+"))
        assert await house.endpoint.send(PUMP, "down/ota", b"other") is False
        assert await house.endpoint.send(PUMP, "down/cmd/1/2", b"deeper") is False
        client.send(Unsubscribe(5, (client.topic("down/cmd/+"), client.topic("down/never"))))
        assert (await client.expect(Unsuback)).codes == (Reason.SUCCESS, Reason.NO_SUBSCRIPTION_EXISTED)
        assert await house.endpoint.send(PUMP, "down/cmd/1", b"late") is False
        client.send(Pingreq())
        await client.expect(Pingresp)


async def test_nothing_is_delivered_to_a_device_that_is_not_here(house: House) -> None:
    assert await house.endpoint.send(PUMP, "down/cmd/1", b"open") is False


async def test_what_a_device_did_not_acknowledge_before_it_left_was_not_delivered(house: House) -> None:
    async with await RawClient.login(house) as client:
        await client.subscribe()
        answer = house.endpoint.send(PUMP, "down/cmd/1", b"open")
        await client.expect(Publish)
    assert await answer is False


async def test_no_more_are_in_flight_than_the_client_takes_and_the_rest_waits_its_turn(open_house: OpenHouse) -> None:
    house = await open_house(outbound_queue=3)
    async with await RawClient.login(house, level=V5, properties={Property.RECEIVE_MAXIMUM: 2}) as client:
        await client.subscribe()
        answers = [house.endpoint.send(PUMP, f"down/cmd/{n}", b"x") for n in range(6)]
        assert await answers[5] is False  # two in flight, three wait, the sixth has no place
        first, second = await client.expect(Publish), await client.expect(Publish)
        client.send(Pingreq())
        await client.expect(Pingresp)
        for command in (first, second):
            client.send(Puback(command.packet_id or 0))
        rest = []
        for _ in range(3):
            rest.append(await client.expect(Publish))
            client.send(Puback(rest[-1].packet_id or 0))
        assert [command.topic[-1] for command in (first, second, *rest)] == list("01234")
        assert [await answer for answer in answers[:5]] == [True] * 5


async def test_a_message_longer_than_the_client_takes_is_not_sent(house: House) -> None:
    async with await RawClient.login(house, level=V5, properties={Property.MAXIMUM_PACKET_SIZE: 200}) as client:
        await client.subscribe()
        assert await house.endpoint.send(PUMP, "down/cmd/1", bytes(300)) is False
        answer = house.endpoint.send(PUMP, "down/cmd/1", b"short")
        command = await client.expect(Publish)
        client.send(Puback(command.packet_id or 0))
        assert await answer is True


async def test_a_puback_for_nothing_is_forgiven_but_a_flood_of_them_is_not(open_house: OpenHouse) -> None:
    house = await open_house(control_burst=10)
    async with await RawClient.login(house, level=V5) as client:
        client.send(Puback(77), Pingreq())
        await client.expect(Pingresp)
        client.send(*[Puback(77)] * 30)
        assert (await client.expect(Disconnect)).code == Reason.MESSAGE_RATE_TOO_HIGH


async def test_a_slow_reader_is_closed_and_holds_up_nobody(open_house: OpenHouse) -> None:
    house = await open_house(slow_reader_s=0.1, outbound_in_flight=64)
    async with await RawClient.login(house, "pump-7") as slow, await RawClient.login(house, "pump-8") as neighbour:
        await slow.subscribe()
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        answers = [house.endpoint.send(PUMP, "down/cmd/1", bytes(200_000)) for _ in range(64)]
        assert any(answer.done() for answer in answers)  # no endless buffer: beyond it the answer is no
        neighbour.publish()
        assert await neighbour.pubacks(1) == [1]
        await until(lambda: house.presence.reasons("pump-7") == ["connected", "slow"])
        assert not any([await answer for answer in answers])
        neighbour.publish()
        assert await neighbour.pubacks(1) == [2]
    await turns()
