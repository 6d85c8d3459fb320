"""The connection to a real Mosquitto: what is acknowledged when, and what a break makes of it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.settings import Settings
from ingest.adapters.broker import client as broker_client
from ingest.adapters.broker.address import of_settings
from ingest.adapters.broker.client import MAX_PACKET_BYTES, Address, Delivery, PahoClient
from ingest.adapters.mqtt.codec import Decoder
from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.packets import V5, Connack, Connect, Suback, Subscribe
from ingest.adapters.mqtt.reasons import Reason
from tests.ingest.adapters.mqtt.memory import until
from tests.support.mosquitto import PASSWORD, Mosquitto, broker_device, mosquitto
from tests.support.patience import PATIENCE_S

TOPIC = "t/acme/d/pump-7/up/telemetry"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with mosquitto(tmp_path) as started:
        yield started


def client(broker: Mosquitto, most: int = 1_000, password: str = PASSWORD) -> tuple[PahoClient, list[Delivery]]:
    """A client that has begun to connect, and what it takes."""
    made, taken = PahoClient(Address("127.0.0.1", broker.port, "ingest-1", "ingest", password), most), list[Delivery]()
    made._paho.reconnect_delay_set(1, 1)
    made.start("$share/g/t/+/d/+/up/#", taken.append)
    return made, taken


async def test_what_was_not_acknowledged_comes_again_and_an_old_connection_s_acknowledgement_counts_for_nothing(
    broker: Mosquitto,
) -> None:
    made, taken = client(broker)
    async with broker_device(broker, "pump") as device:
        await until(broker.shares)
        device.publish(TOPIC, b"1")
        device.publish(TOPIC, b"2")
        await until(lambda: len(taken) == 2)
        made.acknowledge(taken[0])
        for each in taken:
            made.done(each)
        await asyncio.to_thread(device.publish(TOPIC, b"3").wait_for_publish, PATIENCE_S)
        await until(lambda: len(taken) == 3)
        await broker.stop()
        await until(lambda: not made.is_connected)
        await broker.start()
        await until(lambda: len(taken) == 5)
        assert sorted((each.payload, each.is_repeat) for each in taken[3:]) == [(b"2", True), (b"3", True)]
        made.acknowledge(taken[1])
        assert taken[1].connection != taken[3].connection
        for each in taken[3:]:
            made.acknowledge(each)
        device.publish(TOPIC, b"4")
        await until(lambda: taken[-1].payload == b"4")
    await made.stop()
    assert not made.is_alive


async def test_beyond_the_bound_nothing_more_is_taken_until_something_is_done(broker: Mosquitto) -> None:
    made, taken = client(broker, most=5)
    async with broker_device(broker, "pump") as device:
        await until(broker.shares)
        for n in range(12):
            device.publish(TOPIC, b"%d" % n)
        await until(lambda: len(taken) == 5)
        await asyncio.sleep(0.2)
        assert len(taken) == 5
        seen = 0
        while seen < 12:
            await until(lambda: len(taken) > seen)  # noqa: B023  # it is asked at once
            made.acknowledge(taken[seen])
            made.done(taken[seen])
            seen += 1
        assert [each.payload for each in taken] == [b"%d" % n for n in range(12)]
    await made.stop()


async def test_a_broker_that_knows_of_no_subscriber_has_delivered_nothing(broker: Mosquitto) -> None:
    made, _ = client(broker)
    assert not await made.publish("t/acme/d/pump-7/down/cmd/1", b"x"), "there is no connection yet"
    await until(lambda: made.is_connected)
    assert not await asyncio.wait_for(made.publish("t/acme/d/pump-7/down/cmd/1", b"x"), PATIENCE_S)
    async with broker_device(broker, "pump") as device:
        device.subscribe("t/acme/d/pump-7/down/#")
        async with asyncio.timeout(PATIENCE_S):
            while not await made.publish("t/acme/d/pump-7/down/cmd/1", b"y"):
                await asyncio.sleep(0.02)
        await until(lambda: (("t/acme/d/pump-7/down/cmd/1", b"y")) in device.heard)
    await made.stop()


async def test_a_broker_that_does_not_let_us_in_is_told_of_and_tried_again(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ingest.adapters.broker.client")
    made, _ = client(broker, password="wrong")
    await until(lambda: [record.message for record in caplog.records].count("broker.refused") >= 2)
    assert made.is_alive
    assert not made.is_connected
    assert PASSWORD not in caplog.text
    assert "wrong" not in caplog.text
    await made.stop()


async def test_a_subscription_that_was_refused_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As EMQX and HiveMQ refuse one, until somebody has given us the right; Mosquitto says yes, and sends nothing."""
    monkeypatch.setattr(broker_client, "SUBSCRIBE_AGAIN_S", 0.05)
    codes, asked = [Reason.NOT_AUTHORISED, Reason.NOT_AUTHORISED, 1], list[str]()

    async def refuses_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = Decoder(MAX_PACKET_BYTES)
        while data := await reader.read(4_096):
            decoder.feed(data)
            while (packet := decoder.next_packet()) is not None:
                if isinstance(packet, Connect):
                    writer.write(encode(Connack(False, 0), V5))
                elif isinstance(packet, Subscribe):
                    asked.append(packet.subscriptions[0].filter)
                    writer.write(encode(Suback(packet.packet_id, (codes[len(asked) - 1],)), V5))
        writer.close()

    server = await asyncio.start_server(refuses_twice, "127.0.0.1", 0)
    async with server:
        made = PahoClient(Address("127.0.0.1", server.sockets[0].getsockname()[1], "ingest-1"))
        made.start("$share/g/t/+/d/+/up/#", [].append)
        await until(lambda: len(asked) == 3)
        await asyncio.sleep(0.2)
        await made.stop()
    assert asked == ["$share/g/t/+/d/+/up/#"] * 3


async def test_over_tls_both_sides_are_known_by_their_certificates(tmp_path: Path) -> None:
    async with mosquitto(tmp_path, has_tls=True) as broker, broker_device(broker, "pump") as device:
        url = f"mqtts://127.0.0.1:{broker.tls_port}"
        by_system = Settings(
            broker_url=url,
            broker_client_id="ingest-1",
            broker_cert=tmp_path / "client.pem",
            broker_key=tmp_path / "client.key",
        )
        made = PahoClient(of_settings(replace(by_system, broker_ca=tmp_path / "ca.pem")))
        nobody = PahoClient(of_settings(Settings(broker_url=url, broker_ca=tmp_path / "ca.pem", broker_client_id="n")))
        stranger, taken = PahoClient(of_settings(replace(by_system, broker_client_id="s"))), list[Delivery]()
        strangers: list[Delivery] = []
        for each, hears in ((made, taken), (nobody, strangers), (stranger, strangers)):
            each.start("$share/g/t/+/d/+/up/#", hears.append)
        await until(broker.shares)
        for n in range(10):
            device.publish(TOPIC, str(n).encode())
        await until(lambda: len(taken) == 10)
        answer = made.publish("t/acme/d/pump-7/down/cmd/1", b"{}")
        assert await asyncio.wait_for(answer, PATIENCE_S) is False, "nobody listens there"
        assert (nobody.is_connected, stranger.is_connected, strangers) == (False, False, [])
        assert broker.shares() == 1
        for each in (made, nobody, stranger):
            await each.stop()


async def test_what_is_larger_than_any_message_may_be_the_broker_does_not_send(broker: Mosquitto) -> None:
    made, taken = client(broker)
    async with broker_device(broker, "pump") as device:
        await until(broker.shares)
        device.publish(TOPIC, b"before")
        device.publish(TOPIC, bytes(MAX_PACKET_BYTES + 1))
        device.publish(TOPIC, b"after")
        await until(lambda: len(taken) == 2)
    assert [each.payload for each in taken] == [b"before", b"after"]
    assert {each.connection for each in taken} == {taken[0].connection}
    await made.stop()
