"""The endpoint seen by clients nobody here wrote: paho-mqtt, mosquitto_pub and mosquitto_sub, in both versions."""

from __future__ import annotations

import asyncio
import ssl
import threading
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from ingest.adapters.base import Verdict
from tests.ingest.adapters.mqtt import certificate
from tests.ingest.adapters.mqtt.memory import House, device_id, until
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.slow
Version = MQTTProtocolVersion
VERSIONS = pytest.mark.parametrize("version", [Version.MQTTv311, Version.MQTTv5])
PUMP = device_id("acme/d/pump-7")
HOME = "t/acme/d/pump-7/"


class Paho:
    """paho-mqtt in its own thread, with what it heard."""

    def __init__(self, version: Version, password: str = "token", **options: Any) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=version, **options)
        self.client.username_pw_set("acme/d/pump-7", password)
        self.client.reconnect_delay_set(min_delay=1, max_delay=1)
        self.connects: list[Any] = []
        self.disconnects: list[Any] = []
        self.messages: list[tuple[str, bytes, int]] = []
        self.receipts: list[tuple[int, Any]] = []
        self.grants: list[Any] = []
        self.connected = threading.Event()
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = lambda *a: self.disconnects.append(a[3])
        self.client.on_message = lambda *a: self.messages.append((a[2].topic, a[2].payload, a[2].qos))
        self.client.on_publish = lambda *a: self.receipts.append((a[2], a[3]))
        self.client.on_subscribe = lambda *a: self.grants.append(a[3])

    def _on_connect(self, *arguments: Any) -> None:
        self.connects.append(arguments[3])
        self.connected.set()

    async def start(self, port: int) -> None:
        await asyncio.to_thread(self.client.connect, "127.0.0.1", port, 30)
        self.client.loop_start()
        assert await asyncio.to_thread(self.connected.wait, 10)

    async def stop(self) -> None:
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)


@VERSIONS
async def test_paho_publishes_and_hears_its_receipts_only_after_the_verdicts(house: House, version: Version) -> None:
    house.uplink.holding = True
    client = Paho(version)
    await client.start(house.port)
    for number in range(15):
        client.client.publish(HOME + "up/telemetry", str(number), qos=1)
    await until(lambda: len(house.uplink.undecided) == 15)
    assert client.receipts == []
    house.uplink.decide()
    await until(lambda: len(client.receipts) == 15)
    assert house.uplink.payloads() == [str(number).encode() for number in range(15)]
    await client.stop()
    await until(lambda: house.presence.reasons("pump-7") == ["connected", "client"])


@VERSIONS
async def test_paho_subscribes_and_acknowledges_what_it_is_sent(house: House, version: Version) -> None:
    client = Paho(version)
    await client.start(house.port)
    client.client.subscribe([(HOME + "down/#", 1), ("t/acme/d/other/down/#", 1)])
    await until(lambda: client.grants)
    assert [grant.is_failure for grant in client.grants[0]] == [False, True]
    assert await asyncio.wait_for(house.endpoint.send(PUMP, "down/cmd/1", b"open"), PATIENCE_S) is True
    assert client.messages == [(HOME + "down/cmd/1", b"open", 1)]
    await client.stop()


@VERSIONS
async def test_paho_is_told_that_its_password_is_wrong(house: House, version: Version) -> None:
    client = Paho(version, password="guess")
    await client.start(house.port)
    assert client.connects[0].is_failure
    assert "authorized" in str(client.connects[0]) or "password" in str(client.connects[0])
    await client.stop()


async def test_paho_hears_why_a_message_was_rejected(house: House) -> None:
    house.uplink.verdict = Verdict.REJECTED
    client = Paho(Version.MQTTv5)
    await client.start(house.port)
    client.client.publish(HOME + "up/telemetry", b"not json", qos=1)
    await until(lambda: client.receipts)
    assert str(client.receipts[0][1]) == "Payload format invalid"
    await client.stop()


@VERSIONS
async def test_paho_repeats_what_had_no_receipt_when_the_store_was_away(house: House, version: Version) -> None:
    house.uplink.verdict = Verdict.UNAVAILABLE
    client = Paho(version)
    await client.start(house.port)
    client.client.publish(HOME + "up/telemetry", b"precious", qos=1)
    await until(lambda: "unavailable" in house.presence.reasons("pump-7"))
    assert client.receipts == []
    house.uplink.verdict = Verdict.STORED
    await until(lambda: len(client.receipts) == 1)
    assert house.uplink.messages[-1].payload == b"precious"
    assert house.uplink.messages[-1].dup
    await client.stop()


@VERSIONS
async def test_paho_leaves_its_will_when_its_process_dies(house: House, version: Version) -> None:
    client = Paho(version)
    client.client.will_set(HOME + "up/status", b"gone", qos=1)
    await client.start(house.port)
    tcp = client.client.socket()
    assert tcp is not None
    await asyncio.to_thread(client.client.loop_stop)  # the thread is gone, the socket is closed by the "kernel"
    tcp.close()
    await until(lambda: house.uplink.messages)
    assert (house.uplink.messages[0].topic, house.uplink.messages[0].payload) == ("up/status", b"gone")


async def test_paho_speaks_tls(house: House, tmp_path: Path) -> None:
    pem = certificate.make(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(pem)
    port = await house.endpoint.start("127.0.0.1", 0, ssl=server)
    assert port != house.port
    client = Paho(Version.MQTTv5)
    client.client.tls_set_context(ssl.create_default_context(cafile=str(pem)))
    await client.start(port)
    for number in range(300):
        client.client.publish(HOME + "up/telemetry", bytes(1000) + str(number).encode(), qos=1)
    await until(lambda: len(client.receipts) == 300)
    assert house.endpoint.cut(PUMP)
    await until(lambda: client.disconnects)
    assert str(client.disconnects[0]) == "Administrative action"
    await client.stop()


async def run(*command: str) -> tuple[int, str]:
    """A program's exit code and what it said, within ten seconds."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    except TimeoutError:
        process.kill()
        raise
    return process.returncode or 0, said.decode()


def mosquitto(program: str, house: House, version: str, *more: str) -> list[str]:
    return [program, "-h", "127.0.0.1", "-p", str(house.port), "-V", version, "-u", "acme/d/pump-7", *more]


MOSQUITTO = pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])


@pytest.mark.engines
@MOSQUITTO
async def test_mosquitto_pub_delivers_a_line_or_many(house: House, version: str) -> None:
    line = ["-P", "token", "-q", "1", "-t", HOME + "up/telemetry", "-m", '{"temperature": 21.5}']
    assert await run(*mosquitto("mosquitto_pub", house, version, *line)) == (0, "")
    assert house.uplink.payloads() == [b'{"temperature": 21.5}']
    many = ["-P", "token", "-q", "2", "-t", HOME + "up/telemetry", "-m", "x", "--repeat", "50"]
    assert await run(*mosquitto("mosquitto_pub", house, version, *many)) == (0, "")
    assert [message.qos for message in house.uplink.messages] == [1] + [2] * 50


@pytest.mark.engines
@MOSQUITTO
async def test_mosquitto_pub_says_that_the_password_is_wrong(house: House, version: str) -> None:
    wrong = ["-P", "guess", "-q", "1", "-t", HOME + "up/telemetry", "-m", "x"]
    code, said = await run(*mosquitto("mosquitto_pub", house, version, *wrong))
    assert code != 0
    assert {"mqttv311": "not authorised", "mqttv5": "Bad User Name or Password"}[version] in said
    assert house.uplink.messages == []


@pytest.mark.engines
@MOSQUITTO
async def test_mosquitto_sub_receives_a_command(house: House, version: str) -> None:
    command = mosquitto(
        "mosquitto_sub", house, version, "-P", "token", "-q", "1", "-t", HOME + "down/#", "-C", "1", "-v"
    )
    listening = asyncio.create_task(run(*command))
    await until(lambda: house.ready)
    assert await asyncio.wait_for(house.endpoint.send(PUMP, "down/cmd/7", b"open"), PATIENCE_S) is True
    assert await listening == (0, f"{HOME}down/cmd/7 open\n")
