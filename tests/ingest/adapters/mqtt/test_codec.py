"""The codec holds for every packet, every split of the stream and every byte that is not MQTT."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.adapters.mqtt.codec import Decoder
from ingest.adapters.mqtt.decode import decode
from ingest.adapters.mqtt.encode import encode
from ingest.adapters.mqtt.packets import V5, V311, Connect, Packet, Pingreq, Puback, Publish, Subscribe, Subscription
from ingest.adapters.mqtt.properties import Property
from ingest.adapters.mqtt.reasons import ProtocolError, Reason
from tests.ingest.adapters.mqtt.strategies import levels, packets_with_level, streams_with_level

MIB = 1024 * 1024
TELEMETRY = Publish("t/acme/d/pump-7/up/telemetry", b'{"temperature": 4.5}', 1, packet_id=7)


def pull(decoder: Decoder) -> list[Packet]:
    found = []
    while (packet := decoder.next_packet()) is not None:
        found.append(packet)
    return found


def read(data: bytes, level: int = V311, size: int = MIB) -> list[Packet]:
    decoder = Decoder(size, level)
    decoder.feed(data)
    return pull(decoder)


@given(packets_with_level)
def test_a_packet_comes_back_from_its_bytes_as_it_was(case: tuple[int, Packet]) -> None:
    level, packet = case
    assert read(encode(packet, level), level) == [packet]


@given(streams_with_level, st.data())
def test_any_split_of_the_stream_gives_the_same_packets(case: tuple[int, list[Packet]], data: st.DataObject) -> None:
    level, sent = case
    # a CONNECT carries its own level: here all of them have the stream's
    stream = b"".join(encode(packet, level) for packet in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    pulls_late = data.draw(st.booleans())
    decoder, found = Decoder(MIB, level), []
    for piece in pieces:
        decoder.feed(piece)
        if not pulls_late:
            found += pull(decoder)
    assert found + pull(decoder) == sent


@given(levels, st.binary(max_size=200), st.lists(st.integers(1, 40), max_size=5))
def test_any_bytes_raise_nothing_but_protocol_errors(level: int, data: bytes, sizes: list[int]) -> None:
    decoder, at = Decoder(64, level), 0
    with contextlib.suppress(ProtocolError):
        for size in [*sizes, len(data)]:
            decoder.feed(data[at : at + size])
            at += size
            pull(decoder)
    assert decoder.buffered_bytes <= len(data)


@given(levels, st.integers(0, 255), st.binary(max_size=60))
@example(V5, 0x40, b"\0\x01\0\x01")
def test_any_frame_raises_nothing_but_protocol_errors_and_what_it_says_can_be_said_again(
    level: int, header: int, body: bytes
) -> None:
    try:
        packet = decode(header, body, level)
    except ProtocolError:
        return
    again = packet.level if isinstance(packet, Connect) else level
    assert read(encode(packet, again), again) == [packet]


@given(packets_with_level, st.data())
def test_a_flipped_byte_in_a_packet_raises_nothing_but_protocol_errors(
    case: tuple[int, Packet], data: st.DataObject
) -> None:
    level, packet = case
    raw = bytearray(encode(packet, level))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    decoder = Decoder(MIB, level)
    decoder.feed(bytes(raw))
    faults = []
    for _ in range(2):
        try:
            pull(decoder)
        except ProtocolError as error:
            faults.append(error)
    assert not faults or faults[0] is faults[1]


@given(packets_with_level)
def test_a_packet_cut_short_is_waited_for_and_never_guessed(case: tuple[int, Packet]) -> None:
    level, packet = case
    raw = encode(packet, level)
    decoder = Decoder(MIB, level)
    decoder.feed(raw[:-1])
    assert decoder.next_packet() is None
    decoder.feed(raw[-1:])
    assert decoder.next_packet() == packet


@given(st.sampled_from([V311, V5]), st.binary(max_size=30), st.binary(max_size=30))
def test_the_fast_path_for_publish_agrees_with_the_slow_one(level: int, body: bytes, tail: bytes) -> None:
    for header in (0x30, 0x31, 0x32, 0x33):
        outcomes: list[object] = []
        decoder = Decoder(MIB, level)
        decoder.feed(bytes((header, len(body))) + body + tail)
        for way in (decoder.next_packet, lambda header=header: decode(header, body, level)):
            try:
                outcomes.append(way())
            except ProtocolError:
                outcomes.append(ProtocolError)
        assert outcomes[0] == outcomes[1]


def test_a_connect_sets_the_level_of_what_follows() -> None:
    stream = encode(Connect(V5, "pump-7"), V5) + encode(Puback(9, Reason.NOT_AUTHORISED), V5)
    assert read(stream, V311) == [Connect(V5, "pump-7"), Puback(9, Reason.NOT_AUTHORISED)]


def test_the_packets_before_a_fault_are_given_and_the_fault_stays() -> None:
    decoder = Decoder(MIB)
    decoder.feed(encode(TELEMETRY, V311) + b"\x00\x00" + encode(TELEMETRY, V311))
    assert decoder.next_packet() == TELEMETRY
    for _ in range(2):
        with pytest.raises(ProtocolError, match="packet type 0"):
            decoder.next_packet()
    decoder.feed(encode(TELEMETRY, V311))
    with pytest.raises(ProtocolError, match="packet type 0"):
        decoder.next_packet()


def test_a_packet_above_the_maximum_is_refused_by_its_header_alone() -> None:
    long = Publish("t/a/d/b/up/telemetry", b"x" * 300, 1, packet_id=1)
    raw = encode(long, V311)
    assert read(raw, size=len(raw)) == [long]
    with pytest.raises(ProtocolError) as caught:
        read(raw[:3], size=len(raw) - 1)
    assert caught.value.reason is Reason.PACKET_TOO_LARGE


def test_a_long_packet_in_single_bytes_is_kept_once() -> None:
    long = Publish("t/a/d/b/up/telemetry", bytes(200_000), 1, packet_id=1)
    decoder = Decoder(MIB)
    for byte in encode(long, V311):
        decoder.feed(bytes((byte,)))
        if decoder.buffered_bytes < 200_000:
            assert decoder.next_packet() is None
    assert decoder.next_packet() == long
    assert decoder.next_packet() is None
    assert decoder.buffered_bytes == 0


@pytest.mark.parametrize(
    ("data", "level", "reason"),
    [
        pytest.param("c10000", V311, Reason.MALFORMED_PACKET, id="header flags of a PINGREQ"),
        pytest.param("c08000", V311, Reason.MALFORMED_PACKET, id="remaining length longer than needed"),
        pytest.param("30ffffffff01", V311, Reason.MALFORMED_PACKET, id="remaining length of five bytes"),
        pytest.param("3600 0161 0001", V311, Reason.MALFORMED_PACKET, id="QoS 3"),
        pytest.param("3803000161", V311, Reason.MALFORMED_PACKET, id="repeated QoS 0"),
        pytest.param("30020000", V311, Reason.TOPIC_NAME_INVALID, id="empty topic"),
        pytest.param("300300012b", V311, Reason.TOPIC_NAME_INVALID, id="wildcard in a topic"),
        pytest.param("3003000100", V311, Reason.MALFORMED_PACKET, id="U+0000 in a topic"),
        pytest.param("30050003eda080", V311, Reason.MALFORMED_PACKET, id="surrogate in a topic"),
        pytest.param("32050001610000", V311, Reason.MALFORMED_PACKET, id="packet id 0"),
        pytest.param("3002ffff", V311, Reason.MALFORMED_PACKET, id="topic behind its packet"),
        pytest.param("82020001", V311, Reason.PROTOCOL_ERROR, id="SUBSCRIBE without filter"),
        pytest.param("8206000100016103", V311, Reason.PROTOCOL_ERROR, id="subscription to QoS 3"),
        pytest.param("8206000100016180", V311, Reason.MALFORMED_PACKET, id="reserved subscription options"),
        pytest.param("80060001000161 00", V311, Reason.MALFORMED_PACKET, id="flags of a SUBSCRIBE"),
        pytest.param("a2020001", V311, Reason.PROTOCOL_ERROR, id="UNSUBSCRIBE without filter"),
        pytest.param("40030001 00", V311, Reason.MALFORMED_PACKET, id="PUBACK too long for 3.1.1"),
        pytest.param("f000", V311, Reason.MALFORMED_PACKET, id="AUTH in 3.1.1"),
        pytest.param("100c00044d5154540403003c0000", V311, Reason.MALFORMED_PACKET, id="reserved CONNECT flag"),
        pytest.param("100c00044d5154540440003c0000", V311, Reason.MALFORMED_PACKET, id="password without username"),
        pytest.param("100c00044d515454041a003c0000", V311, Reason.MALFORMED_PACKET, id="will QoS without will"),
        pytest.param("100c00044d5154540602003c0000", V311, Reason.UNSUPPORTED_PROTOCOL_VERSION, id="level 6"),
        pytest.param("100e 0006 4d5149736470 03 02 003c 0000", V311, 0x84, id="MQTT 3.1"),
        pytest.param("100c000448545450 0402003c0000", V311, Reason.MALFORMED_PACKET, id="not MQTT"),
        pytest.param("30 05 000161 05 01", V5, Reason.MALFORMED_PACKET, id="property block behind its packet"),
        pytest.param("30060001610211 00", V5, Reason.MALFORMED_PACKET, id="foreign property"),
        pytest.param("3008000161040101 0101", V5, Reason.PROTOCOL_ERROR, id="property twice"),
        pytest.param("300600016102 0102", V5, Reason.PROTOCOL_ERROR, id="flag that is neither 0 nor 1"),
    ],
)
def test_a_violation_has_its_reason(data: str, level: int, reason: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(bytes.fromhex(data), level)
    assert caught.value.reason == reason


def test_a_topic_may_be_empty_only_with_an_alias() -> None:
    aliased = Publish("", b"x", properties={Property.TOPIC_ALIAS: 1})
    assert read(encode(aliased, V5), V5) == [aliased]
    with pytest.raises(ProtocolError) as caught:
        read(encode(Publish("", b"x"), V5), V5)
    assert caught.value.reason is Reason.TOPIC_NAME_INVALID


@pytest.mark.parametrize(
    ("packet", "level"),
    [
        (Publish("a\0b", b""), V311),
        (Publish("a" * 65_536, b""), V311),
        (Publish("a", b"", 1, packet_id=None), V311),
        (Publish("a", b"", 1, packet_id=65_536), V311),
        (Publish("a", b"", properties={Property.CONTENT_TYPE: "x"}), V311),
        (Publish("a", b"", properties={Property.RECEIVE_MAXIMUM: 1}), V5),
        (Publish("a", b"x" * 268_435_455), V311),
        (Subscribe(0, (Subscription("a"),)), V311),
    ],
)
def test_what_mqtt_cannot_carry_is_not_encoded(packet: Packet, level: int) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        encode(packet, level)


def test_pings_are_two_bytes() -> None:
    assert encode(Pingreq(), V311) == b"\xc0\x00"
