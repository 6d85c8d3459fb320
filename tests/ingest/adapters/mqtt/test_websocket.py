"""MQTT in WebSockets: the same connection within, and whatever is wrong with its envelope costs its sender only."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from ingest.adapters.mqtt.codec import Decoder
from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.endpoint import MqttEndpoint
from ingest.adapters.mqtt.packets import (
    V5,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Subscription,
)
from ingest.adapters.mqtt.reasons import Reason
from ingest.adapters.mqtt.websocket import WebSocket
from tests.ingest.adapters.mqtt import certificate, test_visit
from tests.ingest.adapters.mqtt.conftest import OpenHouse
from tests.ingest.adapters.mqtt.memory import (
    House,
    MemoryAuthorizer,
    MemoryPresence,
    MemoryUplink,
    device_id,
    turns,
    until,
)
from tests.ingest.adapters.mqtt.test_connection import MemoryTransport
from tests.support.patience import PATIENCE_S

MQTT = [Subprotocol("mqtt")]
PUMP = device_id("acme/d/pump-7")
TOPIC = "t/acme/d/pump-7/up/telemetry"
CLOSING = Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True)
HELLO = encode(Connect(V5, "tester", username="acme/d/pump-7", password=b"token"), V5)


class Client:
    """A WebSocket that sends frames as a test says, and shows the packets that come back."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._decoder = Decoder(1024 * 1024, V5)

    async def receive(self) -> Packet | None:
        """The next packet; None when the server has closed."""
        async with asyncio.timeout(PATIENCE_S):
            while (packet := self._decoder.next_packet()) is None:
                try:
                    data = await self.socket.recv()
                except ConnectionClosed:
                    return None
                assert isinstance(data, bytes)
                self._decoder.feed(data)
            return packet

    async def close_code(self) -> int | None:
        """Wait for the server to close; with what code."""
        while await self.receive() is not None:
            pass
        await asyncio.wait_for(self.socket.wait_closed(), PATIENCE_S)
        return self.socket.close_code


@asynccontextmanager
async def dial(house: House, path: str = "/mqtt", **options: Any) -> AsyncIterator[Client]:
    port = await house.endpoint.start("127.0.0.1", 0, in_websockets=True)
    chosen = {"subprotocols": MQTT, "compression": "deflate", "open_timeout": PATIENCE_S, **options}
    async with connect(f"ws://127.0.0.1:{port}{path}", **chosen) as socket:
        yield Client(socket)


@asynccontextmanager
async def login(house: House) -> AsyncIterator[Client]:
    async with dial(house) as client:
        await client.socket.send(HELLO)
        assert isinstance(await client.receive(), Connack)
        yield client


def publish(number: int, payload: bytes = b"x") -> bytes:
    return encode(Publish(TOPIC, payload, 1, packet_id=number), V5)


async def test_frames_and_packets_begin_and_end_where_they_like(house: House) -> None:
    async with login(house) as client:
        assert client.socket.subprotocol == "mqtt"
        assert client.socket.protocol.extensions == [], "nothing is compressed"
        stream = b"".join(publish(number, bytes(300)) for number in range(1, 21))
        await client.socket.send(stream[:1000])
        await client.socket.send([stream[at : at + 7] for at in range(1000, 1700, 7)])  # one message in many frames
        await client.socket.send(b"")
        for at in range(1700, len(stream), 400):
            await client.socket.send(stream[at : at + 400])
        assert [await client.receive() for _ in range(20)] == [Puback(number) for number in range(1, 21)]
        assert house.endpoint.cut(PUMP)
        ended = await client.receive()
        assert isinstance(ended, Disconnect)
        assert ended.code == Reason.ADMINISTRATIVE_ACTION
        assert await client.close_code() == 1000
    await until(lambda: not house.endpoint.connections)


async def test_a_text_frame_ends_the_connection(house: House) -> None:
    async with login(house) as client:
        await client.socket.send("text")
        await client.socket.send(publish(1))
        assert await client.close_code() == 1003
    await until(lambda: house.presence.reasons("pump-7") == ["connected", "protocol_error"])
    assert house.uplink.messages == []


@pytest.mark.parametrize("is_clean", [True, False])
async def test_who_closes_without_a_disconnect_is_gone_without_a_word(house: House, is_clean: bool) -> None:
    async with login(house) as client:
        if is_clean:
            await client.socket.close()
        else:
            client.socket.transport.write_eof()
    await until(lambda: house.presence.reasons("pump-7") == ["connected", "network"])
    await until(lambda: not house.endpoint.connections)


@pytest.mark.parametrize("closing", [b"", CLOSING], ids=["by itself", "after a close frame"])
async def test_what_comes_before_the_end_counts_though_all_comes_at_once(house: House, closing: bytes) -> None:
    async with login(house) as client:
        last = encode(Publish(TOPIC, b"last"), V5) + encode(Disconnect(), V5)
        frames = (Frame(Opcode.BINARY, part).serialize(mask=True) for part in (last[:9], last[9:-1], last[-1:]))
        client.socket.transport.write(b"".join(frames) + closing)
        assert await client.close_code() == 1000
    assert house.uplink.payloads() == [b"last"]
    assert house.presence.reasons("pump-7") == ["connected", "client"]


async def test_a_frame_above_the_longest_packet_is_refused_and_before_the_login_one_above_a_connect(
    open_house: OpenHouse,
) -> None:
    house = await open_house(max_packet_bytes=5_000, connect_packet_bytes=500)
    async with login(house) as client:
        await client.socket.send(publish(1, bytes(4_000)))
        assert await client.receive() == Puback(1)
        await client.socket.send(bytes(5_001))
        assert await client.close_code() == 1009
    async with dial(house) as stranger:
        await stranger.socket.send(bytes(4_000))
        assert await stranger.close_code() == 1009


async def test_a_long_message_right_behind_the_connect_waits_for_the_login_and_is_taken(open_house: OpenHouse) -> None:
    house = await open_house(connect_packet_bytes=500)
    house.authorizer.gate = asyncio.Event()
    async with dial(house) as client:
        await client.socket.send(HELLO)
        await client.socket.send(publish(1, bytes(200_000)))
        await until(lambda: house.authorizer.asked == 1)
        await turns()
        house.authorizer.gate.set()
        assert isinstance(await client.receive(), Connack)
        assert await client.receive() == Puback(1)
    assert house.uplink.payloads() == [bytes(200_000)]


async def test_of_a_long_frame_before_the_login_no_more_is_kept_than_of_a_connect(open_house: OpenHouse) -> None:
    house = await open_house(connect_packet_bytes=500)
    house.authorizer.gate = asyncio.Event()
    long = Frame(Opcode.BINARY, publish(1, bytes(100_000))).serialize(mask=True)
    async with greeted(house) as (socket, peer):
        assert hand(socket, long) <= 2048
        assert peer.is_over
    async with greeted(house) as (socket, peer):
        hand(socket, pieces(HELLO, 500) + long[:400])
        assert peer.pauses == 0
        hand(socket, long[400:800])
        assert peer.pauses == 1
        house.authorizer.gate.set()
        await until(lambda: house.endpoint.live == 1)
        hand(socket, long[800:])
        await until(lambda: len(house.uplink.messages) == 1)


@pytest.mark.parametrize(("size", "is_taken"), [(60_000, True), (70_000, False)])
async def test_a_newcomers_frame_may_be_as_long_as_its_packet(house: House, size: int, is_taken: bool) -> None:
    door = test_visit.opened(house)
    async with dial(house) as client:
        await client.socket.send(encode(Connect(V5, "tester", username=test_visit.NAME, password=b"token"), V5))
        assert isinstance(await client.receive(), Connack)
        await client.socket.send(encode(Subscribe(1, (Subscription(test_visit.RESPONSE, 1),)), V5))
        assert isinstance(await client.receive(), Suback)
        asked = Publish(test_visit.REQUEST, bytes(size), 1, packet_id=1)
        await client.socket.send(encode(asked, V5))
        if is_taken:
            await until(lambda: door.said)
        else:
            assert await client.close_code() == 1009
    assert [len(said) for _, said in door.said] == ([size] if is_taken else [])


async def test_pings_of_the_envelope_are_answered_and_a_flood_of_them_is_not(open_house: OpenHouse) -> None:
    house = await open_house(control_burst=10)
    async with login(house) as client:
        await asyncio.wait_for(await client.socket.ping(b"there?"), PATIENCE_S)
        await client.socket.send(encode(Pingreq(), V5))
        assert isinstance(await client.receive(), Pingresp)
        for _ in range(60):
            await client.socket.ping()
        assert await client.close_code() == 1008


async def test_time_pays_for_pings_of_the_envelope_though_no_packet_comes(open_house: OpenHouse) -> None:
    house = await open_house(control_burst=3, control_per_s=1e6)
    async with login(house) as client:
        for _ in range(20):
            await asyncio.wait_for(await client.socket.ping(), PATIENCE_S)


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [("/", {}, 101), ("/mqtt?x=1", {}, 101), ("/graphql", {}, 404), ("/mqtt", {"subprotocols": None}, 400)],
)
async def test_only_mqtt_at_its_path_is_let_in(house: House, path: str, options: dict[str, Any], status: int) -> None:
    answered = 101
    try:
        async with dial(house, path, **options):
            pass
    except InvalidStatus as refusal:
        answered = refusal.response.status_code
    assert answered == status
    await until(lambda: not house.endpoint.connections)
    assert house.endpoint.unauthenticated == 0


async def test_a_handshake_that_is_too_long_or_too_slow_is_cut_off(open_house: OpenHouse) -> None:
    house = await open_house(handshake_bytes=2_000, connect_timeout_s=0.3)
    with pytest.raises((InvalidHandshake, ConnectionError, EOFError)):
        async with dial(house, additional_headers={f"X-{number}": "x" * 100 for number in range(30)}):
            raise AssertionError("let in")
    port = await house.endpoint.start("127.0.0.1", 0, in_websockets=True)
    for beginning in (b"", b"GET /mqtt HTTP/1.1\r\nHost: x\r\n", b"\x10\x0c\x00\x04MQTT\n\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(beginning)
        await asyncio.wait_for(reader.read(), PATIENCE_S)  # until it is closed
        writer.close()
    await until(lambda: not house.endpoint.connections)


async def test_backpressure_reaches_through_the_envelope(open_house: OpenHouse) -> None:
    house = await open_house(in_flight=4)
    house.uplink.holding = True
    async with login(house) as client:
        await client.socket.send(b"".join(publish(number) for number in range(1, 11)))
        await until(lambda: len(house.uplink.messages) == 4)
        house.uplink.holding = False
        house.uplink.decide()
        assert [await client.receive() for _ in range(10)] == [Puback(number) for number in range(1, 11)]


REQUEST = (
    b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)


def hand(socket: WebSocket, data: bytes) -> int:
    """Give these bytes to a socket as the loop would, until it wants no more; how many it took while it listened."""
    taken = 0
    while taken < len(data) and not socket._envelope.is_finished:
        room = memoryview(socket.get_buffer(-1))
        piece = data[taken : taken + len(room)]
        room[: len(piece)] = piece
        socket.buffer_updated(len(piece))
        taken += len(piece)
    return taken


async def play(steps: list[bytes | str]) -> MemoryTransport:
    """Everything that a peer and our own side may do, in any order, on a socket that shows a write behind its end."""
    endpoint = MqttEndpoint(MemoryAuthorizer(), MemoryUplink(), MemoryPresence())
    await endpoint.start("127.0.0.1", 0)
    socket, transport = WebSocket(endpoint), MemoryTransport()
    socket.connection_made(transport)
    for step in steps:
        if isinstance(step, bytes):
            hand(socket, step)
        elif step == "eof":
            socket.eof_received()
        elif step == "close":
            socket._connection.close("keep_alive", Reason.KEEP_ALIVE_TIMEOUT)
        else:
            endpoint.send(PUMP, "down/cmd/1", b"x")
        await asyncio.sleep(0)
    socket.connection_lost(None)
    assert endpoint.live == endpoint.connections == endpoint.unauthenticated == 0
    await endpoint.stop()
    return transport


frames = st.builds(
    lambda opcode, data, fin: Frame(opcode, data, fin or opcode >= Opcode.CLOSE).serialize(mask=True),
    st.sampled_from([Opcode.BINARY, Opcode.BINARY, Opcode.CONT, Opcode.TEXT, Opcode.PING, Opcode.PONG]),
    st.sampled_from([HELLO, publish(1), publish(2)[:9], encode(Disconnect(), V5)]) | st.binary(max_size=20),
    st.booleans(),
)
reads = st.lists(frames | st.just(CLOSING), min_size=1, max_size=4).map(b"".join)


@settings(deadline=None)
@given(
    st.booleans(),
    st.lists(reads | st.binary(max_size=30) | st.sampled_from([REQUEST, "eof", "close", "send"]), max_size=10),
)
def test_any_frames_in_any_order_are_answered_or_end_the_connection(is_greeted: bool, steps: list[bytes | str]) -> None:
    errors: list[str] = []
    watch = logging.Handler(logging.ERROR)
    watch.emit = lambda record: errors.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("ingest.adapters.mqtt")
    log.addHandler(watch)
    try:
        transport = asyncio.run(play([REQUEST, *steps] if is_greeted else steps))
    finally:
        log.removeHandler(watch)
    assert errors == []
    assert transport.written.startswith(b"HTTP/1.1 101 ") or not is_greeted


class Peer(MemoryTransport):
    """Counts how often it was read no more for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses = 0

    def pause_reading(self) -> None:
        self.pauses += 1


@asynccontextmanager
async def greeted(house: House) -> AsyncIterator[tuple[WebSocket, Peer]]:
    socket, peer = WebSocket(house.endpoint), Peer()
    socket.connection_made(peer)
    hand(socket, REQUEST)
    assert peer.written.startswith(b"HTTP/1.1 101 ")
    try:
        yield socket, peer
    finally:
        socket.connection_lost(None)


def pieces(data: bytes, size: int = 1) -> bytes:
    """These bytes in frames of `size`."""
    parts = (data[at : at + size] for at in range(0, len(data), size))
    return b"".join(Frame(Opcode.BINARY, part).serialize(mask=True) for part in parts)


EMPTY = Frame(Opcode.BINARY, b"").serialize(mask=True)


@pytest.mark.parametrize(
    "frame",
    [EMPTY, Frame(Opcode.CONT, b"").serialize(mask=True), pieces(b"\x10")],
    ids=["empty", "empty and going on", "a byte"],  # their masks are drawn anew in each process
)
async def test_a_strangers_flood_of_tiny_frames_is_cut_before_it_costs(house: House, frame: bytes) -> None:
    async with greeted(house) as (socket, peer):
        first = Frame(Opcode.BINARY, HELLO[:1], fin=frame[0] != Opcode.CONT).serialize(mask=True)
        assert hand(socket, first + frame * 40_000) <= 2048
        assert peer.is_over


async def test_a_device_may_send_each_byte_in_a_frame_of_its_own_but_no_flood_of_empty_ones(
    open_house: OpenHouse,
) -> None:
    house = await open_house(in_flight=1_000)
    async with greeted(house) as (socket, peer):
        hand(socket, pieces(HELLO))
        await until(lambda: house.endpoint.live == 1)
        hand(socket, b"".join(pieces(publish(number)) for number in range(1, 51)))
        await until(lambda: len(house.uplink.messages) == 50)
        assert hand(socket, EMPTY * 40_000) <= 8 * 1024
        assert peer.is_over


async def test_many_tiny_frames_in_one_read_leave_the_others_their_turn(house: House) -> None:
    async with greeted(house) as (socket, peer):
        hand(socket, pieces(HELLO))
        await until(lambda: house.endpoint.live == 1)
        pauses = peer.pauses
        hand(socket, pieces(publish(1, bytes(200))))
        assert peer.pauses == pauses, "a few are no reason"
        many = pieces(publish(2, bytes(600)))
        hand(socket, many)
        assert peer.pauses == pauses + 1
        await until(lambda: not socket._connection._holds)
        await until(lambda: len(house.uplink.messages) == 2)


async def test_a_handshake_that_is_finished_after_its_time_is_not_answered() -> None:
    transport = await play([REQUEST[:60], "close", REQUEST[60:], "eof"])
    assert transport.written == b""


@pytest.mark.slow
@pytest.mark.parametrize("version", [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5])
@pytest.mark.parametrize("is_secure", [False, True])
async def test_paho_delivers_with_every_qos_and_is_sent_to(
    house: House, tmp_path: Path, version: MQTTProtocolVersion, is_secure: bool
) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=version, transport="websockets")
    client.username_pw_set("acme/d/pump-7", "token")
    context = None
    if is_secure:
        pem = certificate.make(tmp_path)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pem)
        client.tls_set_context(ssl.create_default_context(cafile=str(pem)))
    port = await house.endpoint.start("127.0.0.1", 0, context, in_websockets=True)
    receipts: list[int] = []
    heard: list[bytes] = []
    client.on_connect = lambda *_: client.subscribe("t/acme/d/pump-7/down/#", 1)  # type: ignore[assignment]
    client.on_publish = lambda *said: receipts.append(said[2])
    client.on_message = lambda *said: heard.append(said[2].payload)
    await asyncio.to_thread(client.connect, "127.0.0.1", port, 30)
    client.loop_start()
    try:
        await until(lambda: house.ready)
        for number in range(90):
            client.publish(TOPIC, bytes(1_000) + str(number).encode(), qos=number % 3)
        await until(lambda: len(receipts) == 90)
        assert len(house.uplink.messages) == 90
        assert await asyncio.wait_for(house.endpoint.send(PUMP, "down/cmd/1", b"open"), PATIENCE_S) is True
        assert heard == [b"open"]
        client.disconnect()
        await until(lambda: house.presence.reasons("pump-7") == ["connected", "client"])
    finally:
        await asyncio.to_thread(client.loop_stop)
