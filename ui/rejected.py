"""Why a message was not accepted and what to do about it, in words; and what it carried, readable."""

import json
import re

# A reason of the wire: what happened, and what the person who looks after the device can do.
REASONS: dict[str, tuple[str, str]] = {
    "TOPIC": ("Sent to a place that takes no telemetry", "Let the device publish to t/…/d/…/up/telemetry."),
    "PAYLOAD_TOO_LARGE": ("The message is too large", "Let the device send fewer readings in one message."),
    "NOT_JSON": ("The message is not JSON", "Let the device send JSON text, for example {“temperature”: 4.2}."),
    "SHAPE": ("The message is JSON, but not in a known form", "Let the device send an object of values."),
    "TOO_MANY_READINGS": ("Too many readings in one message", "Let the device split them over several messages."),
    "TOO_MANY_METRICS": ("Too many values in one reading", "Let the device split them over several readings."),
    "EMPTY": ("There is no value in it", "Let the device send at least one value."),
    "METRIC_KEY": ("A value has a name that cannot be used", "Give it a short name of printable characters."),
    "UNKNOWN_METRIC": (
        "The profile does not know one of the values",
        "Add it to the profile, or let the profile be open.",
    ),
    "TYPE": ("A value is of another kind than the profile says", "Mend the device, or change the kind in the profile."),
    "RANGE": (
        "A value lies outside its limits",
        "Look at the sensor. If the value is right, widen the profile's limits.",
    ),
    "UNIT": ("A value has another unit than the profile says", "Let the device send the profile's unit."),
    "VALUE_TOO_LARGE": ("A value is too long", "Let the device send less in one value."),
    "TOO_DEEP": ("A value has too many layers", "Let the device send it flatter."),
    "NUL": ("A text holds a character that cannot be stored", "Let the device leave out the character U+0000."),
    "TIME": ("The time cannot be read", "Send 2026-01-31T12:00:00Z, or milliseconds since 1970."),
    "TOO_OLD": ("The reading is too old", "Look at the device's clock; or it kept the reading for too long."),
    "CLOCK_AHEAD": ("The reading comes from the future", "Set the device's clock."),
    "SEQ": ("The sequence number cannot be used", "Send a whole number from 0, or a short text."),
    "CONFLICT": ("Another reading has the same time and number", "Let the device number its readings differently."),
    "UNSTORABLE": ("A value cannot be stored", "The reason below says which value it is."),
}
_ESCAPED = re.compile(r"\\x([89a-f][0-9a-f])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ROW = 16


def reason_words(code: str) -> tuple[str, str]:
    """What happened and what to do; a reason newer than this console is named as it is."""
    return REASONS.get(code, (code.replace("_", " ").capitalize(), "The reason below says more."))


def readable(payload: str) -> tuple[str, str]:
    """A payload as people read it, and how it is shown: JSON laid out, text as it is, anything else as bytes."""
    try:
        return json.dumps(json.loads(payload), indent=2, ensure_ascii=False, allow_nan=False), "JSON"
    except (ValueError, RecursionError):
        pass
    if _ESCAPED.search(payload) or _CONTROL.search(payload):
        return _hex(_bytes(payload)), "bytes"
    return payload, "text"


def _bytes(payload: str) -> bytes:
    r"""The bytes behind the contract's text, in which a byte that is no UTF-8 stands as \xNN."""
    raw, last = bytearray(), 0
    for escaped in _ESCAPED.finditer(payload):
        raw += payload[last : escaped.start()].encode() + bytes.fromhex(escaped[1])
        last = escaped.end()
    return bytes(raw + payload[last:].encode())


def _hex(raw: bytes) -> str:
    """Bytes as rows of sixteen, with the letters among them beside."""
    rows = []
    for start in range(0, len(raw), _ROW):
        row = raw[start : start + _ROW]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in row)
        rows.append(f"{start:04x}  {row.hex(' '):<{_ROW * 3 - 1}}  {letters}")
    return "\n".join(rows)
