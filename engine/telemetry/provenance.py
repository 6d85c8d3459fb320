"""How a reading came, in two bytes beside it (ADR 61).

By which transport, in which encoding, read by which decoder, and in which protocol a gateway had it from the machine.
"""

from dataclasses import dataclass

TRANSPORTS = ("mqtt", "http", "coap", "broker")
ENCODINGS = ("json", "cbor", "senml")
MACHINES = ("modbus", "opcua", "bacnet")
"""Numbers are places in these: what is new goes to the end, and nothing is ever taken out."""

_TRANSPORT_BITS, _ENCODING_BITS, _MACHINE_BITS = 4, 3, 4
_ENCODING_AT = _TRANSPORT_BITS
_MACHINE_AT = _ENCODING_AT + _ENCODING_BITS
_DECODER_AT = _MACHINE_AT + _MACHINE_BITS
MAX_DECODER = 15
PARTIAL = -0x8000
"""The sign of the smallint, whose other fifteen bits are in use: some metrics of the reading were left out (ADR 79)."""


@dataclass(frozen=True, slots=True)
class Source:
    """How one reading came. `via`: the protocol in which its gateway had it from the machine, as the gateway says."""

    transport: str
    encoding: str
    decoder: int
    via: str | None = None


def packed(transport: str, encoding: str, decoder: int, via: str | None = None) -> int:
    """The number that is stored: transport, encoding, machine's protocol, decoder, from the lowest bit up.

    A transport or protocol that has no number is 0, "not known"; raises ValueError for a decoder above 15.
    """
    if not 0 <= decoder <= MAX_DECODER:
        raise ValueError(f"There is no room for a decoder {decoder}: the most is {MAX_DECODER}.")
    return (
        _number(TRANSPORTS, transport)
        | _number(ENCODINGS, encoding) << _ENCODING_AT
        | _number(MACHINES, via) << _MACHINE_AT
        | decoder << _DECODER_AT
    )


def source_of(number: int | None) -> Source | None:
    """What a stored number says; None where there is none, as of readings stored before it was kept."""
    if number is None:
        return None
    transport = _word(TRANSPORTS, number & (1 << _TRANSPORT_BITS) - 1)
    encoding = _word(ENCODINGS, number >> _ENCODING_AT & (1 << _ENCODING_BITS) - 1)
    via = _word(MACHINES, number >> _MACHINE_AT & (1 << _MACHINE_BITS) - 1)
    return Source(transport or "unknown", encoding or "unknown", number >> _DECODER_AT & MAX_DECODER, via)


def _number(words: tuple[str, ...], word: str | None) -> int:
    return words.index(word) + 1 if word in words else 0


def _word(words: tuple[str, ...], number: int) -> str | None:
    """None for 0, and for a number that only a later version knows."""
    return words[number - 1] if 1 <= number <= len(words) else None
