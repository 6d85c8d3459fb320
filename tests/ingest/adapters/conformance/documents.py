"""Readings as the platform's own JSON, and what is none: two hundred payloads, no two alike."""

import orjson

from schema.wire.payloads import CLOCK_AHEAD_S, RETENTION_S, Reason
from tests.ingest.adapters.conformance.speaker import Reading


def document(reading: Reading) -> bytes:
    """A reading as schema.wire.payloads has it."""
    told = {"time": reading.time_ms, "seq": reading.seq, "values": reading.values, "quality": reading.quality}
    return orjson.dumps({name: value for name, value in told.items() if value is not None})


def poison(number: int, now_ms: int) -> tuple[bytes, Reason]:
    """The nth payload that cannot be stored, and why; the profile is `cold-room` of tests.support.tenant."""
    kinds = (
        (b'{"temperature": %d' % number, Reason.NOT_JSON),
        (bytes([0xFF, 0x00, number % 256, number // 256]), Reason.NOT_JSON),
        (b'{"temperature": NaN, "n": %d}' % number, Reason.NOT_JSON),
        (orjson.dumps(f"text {number}"), Reason.SHAPE),
        (orjson.dumps({"values": {"n": number}, "when": 1}), Reason.SHAPE),
        (orjson.dumps({"temperature": f"{number} degrees"}), Reason.TYPE),
        (orjson.dumps({"door_open": number}), Reason.TYPE),
        (orjson.dumps({"temperature": 1_000 + number}), Reason.RANGE),
        (orjson.dumps({"humidity": -1 - number}), Reason.RANGE),
        (orjson.dumps({"temperature": {"value": number % 50, "unit": "bar"}}), Reason.UNIT),
        (orjson.dumps({"time": f"the {number}th", "values": {"temperature": 1}}), Reason.TIME),
        (orjson.dumps({"time": now_ms - RETENTION_S * 1000 - 60_000 - number, "values": {"n": 1}}), Reason.TOO_OLD),
        (orjson.dumps({"time": now_ms + CLOCK_AHEAD_S * 2_000 + number, "values": {"n": 1}}), Reason.CLOCK_AHEAD),
        (orjson.dumps({"seq": -1 - number, "values": {"temperature": 1}}), Reason.SEQ),
        (orjson.dumps({"mode": "\0" * (number + 1)}), Reason.NUL),
        (orjson.dumps({"mode": "x" * (1_025 + number)}), Reason.VALUE_TOO_LARGE),
        (b'{"mode": {"n": %d, "deep": ' % number + b"[" * 40 + b"]" * 40 + b"}}", Reason.TYPE),
        (b'{"other": {"n": %d, "deep": ' % number + b"[" * 40 + b"]" * 40 + b"}}", Reason.TOO_DEEP),
        (orjson.dumps({"values": {"temperature": None}, "seq": number}), Reason.EMPTY),
        (orjson.dumps({"x" * (65 + number): 1}), Reason.METRIC_KEY),
    )
    return kinds[number % len(kinds)]
