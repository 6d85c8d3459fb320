"""A logged-in client may send any packets in any order: it is answered or closed, and nothing of ours breaks."""

from __future__ import annotations

import asyncio
import logging
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.adapters.base import Verdict
from ingest.adapters.mqtt.codec import Decoder
from ingest.adapters.mqtt.connection import Connection
from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.endpoint import MqttEndpoint
from ingest.adapters.mqtt.packets import (
    Connack,
    Connect,
    Packet,
    Puback,
    Publish,
    Pubrec,
    Pubrel,
    Subscribe,
    Subscription,
)
from tests.ingest.adapters.mqtt.memory import MemoryAuthorizer, MemoryPresence, MemoryUplink, device_id
from tests.ingest.adapters.mqtt.strategies import levels, packets, payloads

HOME = "t/acme/d/pump-7/"


class MemoryTransport(asyncio.Transport):
    """A transport without a socket: keeps what was written, and what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.is_over = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: Any) -> None:
        assert not self.is_over, "written behind the end"
        self.written += data

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.is_over = True

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        self.is_over = True

    def get_write_buffer_size(self) -> int:
        return 0


@cache
def mine(level: int) -> st.SearchStrategy[Packet]:
    """Packets a device may well send, so that sessions live longer than one packet."""
    ids = st.integers(1, 60)
    return st.one_of(
        st.builds(Publish, st.just(HOME + "up/telemetry"), payloads, st.integers(1, 2), packet_id=ids),
        st.builds(Publish, st.just(HOME + "up/telemetry"), payloads),
        st.builds(Puback, ids),
        st.builds(Pubrel, ids),
        st.builds(Subscribe, ids, st.just((Subscription(HOME + "down/#", 1),))),
        packets(level),
    )


async def play(level: int, sent: list[Packet], verdicts: list[Verdict], cuts: list[int]) -> tuple[MemoryUplink, bytes]:
    """Log in, send everything in pieces with verdicts coming in between, hang up; what the uplink and the wire saw."""
    uplink, presence = MemoryUplink(holding=True), MemoryPresence()
    endpoint = MqttEndpoint(MemoryAuthorizer(), uplink, presence)
    await endpoint.start("127.0.0.1", 0)
    connection, transport = Connection(endpoint), MemoryTransport()
    connection.connection_made(transport)
    connection.data_received(encode(Connect(level, "x", username="acme/d/pump-7", password=b"token"), level))
    await asyncio.sleep(0)
    stream = b"".join(encode(packet, level) for packet in sent)
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        connection.data_received(stream[start:end])
        endpoint.send(device_id("acme/d/pump-7"), "down/cmd/1", b"x")
        uplink.decide(1, verdicts.pop() if verdicts else Verdict.STORED)
        await asyncio.sleep(0)
    uplink.decide()
    await asyncio.sleep(0)
    connection.connection_lost(None)
    uplink.decide()
    await asyncio.sleep(0)
    assert endpoint.undecided == 0
    assert endpoint.live == endpoint.connections == endpoint.unauthenticated == 0
    assert presence.heard[0][0] == "connected"
    assert len(presence.heard) == 2
    await endpoint.stop()
    return uplink, bytes(transport.written)


@settings(deadline=None)
@given(levels, st.data())
def test_any_packets_in_any_order_are_answered_or_end_the_connection(level: int, data: st.DataObject) -> None:
    sent = data.draw(st.lists(mine(level), max_size=12))
    size = sum(len(encode(packet, level)) for packet in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=8)))
    verdicts = data.draw(st.lists(st.sampled_from(Verdict), max_size=8))
    errors: list[str] = []
    watch = logging.Handler(logging.ERROR)
    watch.emit = lambda record: errors.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("ingest.adapters.mqtt")
    log.addHandler(watch)
    try:
        uplink, written = asyncio.run(play(level, sent, verdicts, cuts))
    finally:
        log.removeHandler(watch)
    assert errors == []
    decoder = Decoder(1024 * 1024, level)
    decoder.feed(written)
    answers = []
    while (packet := decoder.next_packet()) is not None:
        answers.append(packet)
    assert isinstance(answers[0], Connack)
    promised = [answer.packet_id for answer in answers if isinstance(answer, Puback) and answer.code == 0]
    taken = [message.packet_id for message in uplink.messages if message.qos == 1]
    remaining = iter(taken)
    assert all(packet_id in remaining for packet_id in promised), "a receipt without its message, or out of order"
    recorded = {answer.packet_id for answer in answers if isinstance(answer, Pubrec) and answer.code == 0}
    assert recorded <= {message.packet_id for message in uplink.messages if message.qos == 2}


@pytest.mark.parametrize("verdict", list(Verdict))
async def test_a_verdict_told_twice_is_taken_once(verdict: Verdict) -> None:
    uplink = MemoryUplink(holding=True)
    endpoint = MqttEndpoint(MemoryAuthorizer(), uplink, MemoryPresence())
    await endpoint.start("127.0.0.1", 0)
    connection, transport = Connection(endpoint), MemoryTransport()
    connection.connection_made(transport)
    connection.data_received(encode(Connect(4, "x", username="acme/d/pump-7", password=b"token"), 4))
    await asyncio.sleep(0)
    connection.data_received(encode(Publish(HOME + "up/telemetry", b"", 1, packet_id=5), 4))
    (_, done), *_ = uplink.undecided
    done(verdict)
    done(Verdict.STORED)
    await asyncio.sleep(0)
    assert endpoint.undecided == 0
    assert bytes(transport.written[4:]) == (b"\x40\x02\x00\x05" if verdict <= Verdict.REJECTED else b"")
    connection.connection_lost(None)
    await endpoint.stop()
