"""Topics by number: a 5.0 client names each once, within what we hold for it, and never another connection's."""

from __future__ import annotations

import pytest

from ingest.adapters.mqtt.packets import V5, Disconnect, Publish
from ingest.adapters.mqtt.properties import Property
from ingest.adapters.mqtt.reasons import Reason
from tests.ingest.adapters.mqtt.conftest import OpenHouse
from tests.ingest.adapters.mqtt.memory import House
from tests.ingest.adapters.mqtt.raw_client import RawClient


def by_alias(client: RawClient, alias: int, tail: str = "", qos: int = 1) -> None:
    """Publish by number, and name the topic too if a tail is given."""
    topic = client.topic(tail) if tail else ""
    client.last_id += 1
    client.send(Publish(topic, b"x", qos, packet_id=client.last_id, properties={Property.TOPIC_ALIAS: alias}))


async def ends_with(client: RawClient, reason: Reason) -> None:
    answer = await client.expect(Disconnect)
    assert answer.code == reason
    assert len(answer.properties[Property.REASON_STRING]) > 20
    assert await client.is_closed()


async def test_a_topic_is_named_once_and_then_meant_by_its_number(house: House) -> None:
    async with await RawClient.login(house, level=V5) as client:
        by_alias(client, 1, "up/telemetry")
        by_alias(client, 16, "up/event/door")
        for alias in (1, 16, 1):
            by_alias(client, alias)
        by_alias(client, 1, "up/telemetry/motor")  # from here on it means this one
        by_alias(client, 1)
        client.publish()  # a full name beside
        assert await client.pubacks(8) == list(range(1, 9))
    told = [message.topic.removeprefix("up/") for message in house.uplink.messages]
    assert told == [
        "telemetry",
        "event/door",
        "telemetry",
        "event/door",
        "telemetry",
        "telemetry/motor",
        "telemetry/motor",
        "telemetry",
    ]


@pytest.mark.parametrize("alias", [0, 17, 65_535])
async def test_a_number_that_was_not_offered_ends_the_connection(house: House, alias: int) -> None:
    async with await RawClient.login(house, level=V5) as client:
        by_alias(client, alias, "up/telemetry")
        await ends_with(client, Reason.TOPIC_ALIAS_INVALID)
    assert house.uplink.messages == []


async def test_a_number_without_a_topic_is_a_protocol_error_and_another_connections_counts_for_nothing(
    house: House,
) -> None:
    async with await RawClient.login(house, level=V5) as client:
        by_alias(client, 1, "up/telemetry")
        await client.pubacks(1)
        async with await RawClient.login(house, level=V5) as again:
            by_alias(again, 1)
            await ends_with(again, Reason.PROTOCOL_ERROR)
    assert len(house.uplink.messages) == 1


async def test_a_number_gives_no_right_to_another_devices_topic(house: House) -> None:
    async with await RawClient.login(house, "pump-8", level=V5) as client:
        client.send(
            Publish("t/acme/d/pump-7/up/telemetry", b"x", packet_id=None, properties={Property.TOPIC_ALIAS: 1}),
            Publish("", b"x", packet_id=None, properties={Property.TOPIC_ALIAS: 1}),
        )
        by_alias(client, 2, "up/telemetry")
        await client.pubacks(1)
    assert house.refused == [("pump-8", "topic")] * 2
    assert len(house.uplink.messages) == 1


async def test_the_topics_behind_all_numbers_are_bounded_together(open_house: OpenHouse) -> None:
    house = await open_house(topic_alias_chars=100)
    async with await RawClient.login(house, level=V5) as client:
        for tail in ("up/telemetry", "up/telemetry/another", "up/telemetry"):  # one takes the other's place
            by_alias(client, 1, tail)
            by_alias(client, 2, "up/telemetry")
        await client.pubacks(6)
        by_alias(client, 3, "up/telemetry/" + "x" * 40)
        await ends_with(client, Reason.QUOTA_EXCEEDED)
