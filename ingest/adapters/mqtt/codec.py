"""Bytes in, packets out, at any split of the stream and without I/O: MQTT's framing with a fast path for PUBLISH."""

from __future__ import annotations

from typing import Final, cast

from ingest.adapters.mqtt.decode import check_topic, decode
from ingest.adapters.mqtt.fields import text_of
from ingest.adapters.mqtt.packets import V5, V311, Connect, Packet, Publish
from ingest.adapters.mqtt.properties import Properties, Property
from ingest.adapters.mqtt.reasons import ProtocolError, Reason, malformed

_ALIAS_ALONE: Final = bytes((3, Property.TOPIC_ALIAS))
"""How the properties of a PUBLISH begin that has its topic's alias and nothing else."""


class Decoder:
    """Takes the stream as it comes (`feed`) and gives one packet after the other (`next_packet`).

    The caller may stop pulling at any time: what was fed and not pulled waits here. After a `ProtocolError` the stream
    has lost its frame and every further pull raises the same error. A CONNECT sets `level` for all that follows.
    """

    __slots__ = ("_at", "_data", "_error", "_partial", "_topic", "_topic_raw", "_wanted", "level", "max_packet_bytes")

    def __init__(self, max_packet_bytes: int, level: int = V311) -> None:
        self.level = level
        self.max_packet_bytes = max_packet_bytes
        self._data = b""
        self._at = 0
        self._partial: bytearray | None = None  # an incomplete packet, grown without copying it again for each piece
        self._wanted = 0  # length that _partial must reach before it is worth another look
        self._error: ProtocolError | None = None
        self._topic_raw: bytes | None = None
        self._topic = ""

    @property
    def buffered_bytes(self) -> int:
        """What was fed and not yet pulled."""
        return len(self._data) - self._at + len(self._partial or b"")

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        partial = self._partial
        if self._error is not None:
            return
        if partial is not None:
            partial += data
            if len(partial) < self._wanted:
                return
            self._data, self._at, self._partial = bytes(partial), 0, None
        elif self._at == len(self._data):
            self._data, self._at = data, 0
        else:
            self._data, self._at = self._data[self._at :] + data, 0

    def next_packet(self) -> Packet | None:
        """The next complete packet, or None until more is fed; `ProtocolError` where the stream is not MQTT."""
        data, at = self._data, self._at
        left = len(data) - at
        if left < 2:
            if self._error is not None:
                raise self._error
            if left:
                self._wait(2)
            return None
        body = at + 2
        length = data[at + 1]
        if length > 0x7F:
            found = self._long_length()
            if found is None:
                return None
            body, length = found
        if body - at + length > self.max_packet_bytes:
            self._fail(ProtocolError(Reason.PACKET_TOO_LARGE, f"a packet may have {self.max_packet_bytes} bytes"))
        end = body + length
        if end > len(data):
            self._wait(end - at)
            return None
        if end == len(data):
            self._data, self._at = b"", 0  # an idle connection holds no old packets
        else:
            self._at = end
        header = data[at]
        try:
            if 0x30 <= header <= 0x33:
                return self._publish(data, header, body, end)
            packet = decode(header, data[body:end], self.level)
        except ProtocolError as error:
            self._fail(error)
        if type(packet) is Connect:
            self.level = packet.level
        return packet

    def _publish(self, data: bytes, header: int, at: int, end: int) -> Publish:
        """The fast path: a first PUBLISH with QoS 0 or 1, in 5.0 without properties."""
        if end - at < 2:
            raise malformed("a field ends behind its packet")
        payload = after = at + 2 + (data[at] << 8 | data[at + 1])
        packet_id = None
        if header > 0x31:
            payload += 2
            if payload <= end:
                packet_id = data[after] << 8 | data[after + 1]
        if self.level == V5:
            if payload >= end or data[payload] != 0:
                return self._with_properties(data, header, at, payload, end, packet_id)
            payload += 1
        if payload > end:
            raise malformed("a field ends behind its packet")
        if packet_id == 0:
            raise malformed("a packet identifier must not be 0")
        raw = data[at + 2 : after]
        if raw != self._topic_raw:
            self._set_topic(raw)
        return Publish(self._topic, data[payload:end], header >> 1 & 1, header & 1 == 1, False, packet_id)

    def _with_properties(
        self, data: bytes, header: int, at: int, found: int, end: int, packet_id: int | None
    ) -> Publish:
        """The same for 5.0's short form: an empty topic and its alias as the only property; else the long way."""
        if data[at : at + 2] != b"\0\0" or data[found : found + 2] != _ALIAS_ALONE or found + 4 > end or packet_id == 0:
            return cast(Publish, decode(header, data[at:end], V5))
        properties: Properties = {Property.TOPIC_ALIAS: data[found + 2] << 8 | data[found + 3]}
        return Publish("", data[found + 4 : end], header >> 1 & 1, header & 1 == 1, False, packet_id, properties)

    def _set_topic(self, raw: bytes) -> None:
        """Devices publish to one topic again and again: check and decode it once."""
        topic = text_of(raw)
        check_topic(topic)
        self._topic, self._topic_raw = topic, raw

    def _long_length(self) -> tuple[int, int] | None:
        """Where the body begins and how long it is, when the remaining length has more than one byte."""
        data, at = self._data, self._at
        value = 0
        for index in range(4):
            if at + 1 + index >= len(data):
                self._wait(len(data) - at + 1)
                return None
            byte = data[at + 1 + index]
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                if byte == 0:
                    self._fail(malformed("a variable-length integer is longer than it needs to be"))
                return at + 2 + index, value
        self._fail(malformed("a variable-length integer has more than four bytes"))
        return None

    def _wait(self, size: int) -> None:
        """Keep the incomplete packet aside until it has at least `size` bytes."""
        self._partial = bytearray(memoryview(self._data)[self._at :])
        self._wanted = size
        self._data, self._at = b"", 0

    def _fail(self, error: ProtocolError) -> None:
        self._error = error
        self._data, self._at, self._partial = b"", 0, None
        raise error
