"""MQTT's primitive fields: integers, variable-length integers, binary data and text, read and written."""

from __future__ import annotations

from ingest.adapters.mqtt.reasons import malformed

MAX_VARINT = 268_435_455
"""The largest variable-length integer: four bytes of seven bits (section 1.5.5 of MQTT 5.0)."""


class Fields:
    """A cursor over one packet's body; every read checks the end and raises `ProtocolError` beyond it."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self._data = data
        self._at = start
        self._end = len(data) if end is None else end

    @property
    def is_at_end(self) -> bool:
        """Nothing is left to read."""
        return self._at >= self._end

    def finish(self) -> None:
        """Insist that everything was read."""
        if self._at != self._end:
            raise malformed("the packet is longer than its fields")

    def _take(self, size: int) -> int:
        start = self._at
        if start + size > self._end:
            raise malformed("a field ends behind its packet")
        self._at = start + size
        return start

    def u8(self) -> int:
        """One byte."""
        return self._data[self._take(1)]

    def u16(self) -> int:
        """Two bytes, big endian."""
        at = self._take(2)
        return self._data[at] << 8 | self._data[at + 1]

    def u32(self) -> int:
        """Four bytes, big endian."""
        at = self._take(4)
        return int.from_bytes(self._data[at : at + 4], "big")

    def varint(self) -> int:
        """A variable-length integer of one to four bytes, in its shortest form."""
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    raise malformed("a variable-length integer is longer than it needs to be")
                return value
            shift += 7
            if shift > 21:
                raise malformed("a variable-length integer has more than four bytes")

    def binary(self) -> bytes:
        """Binary data behind its two-byte length."""
        size = self.u16()
        at = self._take(size)
        return self._data[at : at + size]

    def text(self) -> str:
        """UTF-8 text behind its two-byte length; U+0000 and surrogates are refused (section 1.5.4)."""
        return text_of(self.binary())

    def packet_id(self) -> int:
        """A packet identifier, which is never 0."""
        value = self.u16()
        if value == 0:
            raise malformed("a packet identifier must not be 0")
        return value

    def rest(self) -> bytes:
        """Everything up to the end."""
        start, self._at = self._at, self._end
        return self._data[start : self._end]

    def part(self, size: int) -> Fields:
        """A cursor over the next `size` bytes, which are thereby read here."""
        at = self._take(size)
        return Fields(self._data, at, at + size)


def text_of(raw: bytes) -> str:
    """UTF-8 bytes as text, without U+0000."""
    try:
        value = str(raw, "utf-8")
    except UnicodeDecodeError:
        raise malformed("text is not UTF-8") from None
    if "\0" in value:
        raise malformed("text must not hold U+0000")
    return value


def varint(value: int) -> bytes:
    """A variable-length integer in its shortest form; `ValueError` beyond `MAX_VARINT`."""
    if not 0 <= value <= MAX_VARINT:
        raise ValueError(f"{value} does not fit into a variable-length integer")
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def binary(value: bytes) -> bytes:
    """Binary data with its length before it; `ValueError` beyond 65,535 bytes."""
    if len(value) > 0xFFFF:
        raise ValueError("binary data and text hold at most 65,535 bytes")
    return len(value).to_bytes(2, "big") + value


def text(value: str) -> bytes:
    """Text with its length before it; `ValueError` for U+0000, surrogates and more than 65,535 bytes."""
    if "\0" in value:
        raise ValueError("text must not hold U+0000")
    return binary(value.encode())
