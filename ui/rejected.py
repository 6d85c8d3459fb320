"""Why a message was not accepted, in words; and what it carried, readable."""

import json
import re

# A reason of the wire in plain words. What exactly was wrong, and what to send instead, is said by the platform.
REASONS: dict[str, str] = {
    "TOPIC": "It was sent to a place that takes no telemetry",
    "CHILD": "A gateway spoke for a device that does not name it as its gateway",
    "PAYLOAD_TOO_LARGE": "The message is too large",
    "NOT_JSON": "The message is not JSON",
    "NOT_CBOR": "The message is called CBOR and cannot be read as that",
    "NOT_SENML": "The message is called SenML and cannot be read as that",
    "SHAPE": "The message is JSON, but not in a known form",
    "TOO_MANY_READINGS": "There are too many readings in one message",
    "TOO_MANY_METRICS": "There are too many values in one reading",
    "EMPTY": "There is no value in it",
    "METRIC_KEY": "A value has a name that cannot be used",
    "UNKNOWN_METRIC": "The profile does not know one of the values",
    "TYPE": "A value is of another kind than the profile says",
    "RANGE": "A value lies outside its limits",
    "UNIT": "A value has another unit than the profile says",
    "VALUE_TOO_LARGE": "A value is too long",
    "TOO_DEEP": "A value has too many layers",
    "NUL": "A text holds a character that cannot be stored",
    "TIME": "The time cannot be read",
    "TOO_OLD": "The reading is too old",
    "CLOCK_AHEAD": "The reading comes from the future",
    "SEQ": "The sequence number cannot be used",
    "CONFLICT": "Another reading has the same time and number",
    "QUALITY": "A value's quality cannot be so",
    "UNSTORABLE": "A value cannot be stored",
}
# Here the device may be right and its profile wrong.
ABOUT_THE_PROFILE = frozenset({"UNKNOWN_METRIC", "TYPE", "RANGE", "UNIT"})
ABOUT_A_VALUE = ABOUT_THE_PROFILE | {"VALUE_TOO_LARGE"}
_ESCAPED = re.compile(r"\\x([89a-f][0-9a-f])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ROW = 16


def reason_words(code: str) -> str:
    """What was wrong; a reason newer than this console is named as it is."""
    return REASONS.get(code, code.replace("_", " ").capitalize())


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
