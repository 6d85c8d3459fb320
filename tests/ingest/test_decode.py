"""Any bytes become readings or rejections, never an exception."""

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest import decode, normaliser
from ingest.errors import Rejection
from schema.wire.payloads import Reason

plain = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(plain | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c), max_leaves=20)
members = st.fixed_dictionaries({}, optional={"time": anything, "seq": anything, "values": anything, "other": anything})


def outcome(payload: bytes) -> tuple[int, list[Rejection]]:
    """How many readings were taken, and what was rejected."""
    rejected: list[Rejection] = []
    taken = 0
    try:
        items = decode.split(document := decode.load(payload))
    except Rejection as rejection:
        return 0, [rejection]
    for item in items:
        try:
            _, _, values, _ = decode.reading(item, is_alone=item is document)
            kept, _ = normaliser.normalise(normaliser.ANYTHING, values)
            decode.canonical(kept)
            decode.canonical_as_sent(values)
            taken += 1
        except Rejection as rejection:
            rejected.append(rejection)
    return taken, rejected


def why(payload: object) -> Reason:
    raw = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    taken, rejected = outcome(raw)
    assert taken == 0
    return rejected[0].reason


@given(st.binary())
@example(b'{"a":' * 900 + b"1" + b"}" * 900)
@example(b"[" * 1000 + b"]" * 1000)
@example(b"\xff\xfe{}")
def test_any_bytes_become_readings_or_rejections(payload: bytes) -> None:
    taken, rejected = outcome(payload)
    assert taken + len(rejected) >= 1
    for rejection in rejected:
        assert "\x00" not in rejection.message
        assert rejection.message.encode()


@given(anything | members | st.lists(members, max_size=4))
def test_any_json_becomes_readings_or_rejections(document: Any) -> None:
    taken, rejected = outcome(orjson.dumps(document))
    expected = max(1, len(document)) if isinstance(document, list) else 1
    assert taken + len(rejected) in (1, expected)


@given(st.dictionaries(st.text(min_size=1, max_size=9), anything, min_size=1, max_size=5))
def test_the_canonical_form_does_not_depend_on_the_order_of_the_metrics(values: dict[str, Any]) -> None:
    backwards = dict(reversed(values.items()))
    assert decode.canonical(values) == decode.canonical(backwards)
    assert -(2**63) <= decode.implied_seq(decode.canonical(values)) < 0


@pytest.mark.parametrize(
    ("time", "expected_ms"),
    [
        (1769860800000, 1769860800000),
        (1769860800000.0, 1769860800000),
        ("2026-01-31T12:00:00Z", 1769860800000),
        ("2026-01-31t12:00:00z", 1769860800000),
        ("2026-01-31 12:00:00Z", 1769860800000),
        ("2026-01-31T13:00:00+01:00", 1769860800000),
        ("2026-01-31T12:00:00.1239Z", 1769860800123),
        ("2026-01-31T12:00:00.123456789Z", 1769860800123),
    ],
)
def test_a_time_is_rfc_3339_or_milliseconds(time: object, expected_ms: int) -> None:
    assert decode.time_ms(time) == expected_ms


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-31T12:00:00",
        "2026-01-31",
        "20260131T120000Z",
        "2026-W05-6T12:00:00Z",
        "noon",
        "",
        -1,
        1.5,
        True,
        [],
        10**18,
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_anything_else_is_no_time(time: object) -> None:
    with pytest.raises(Rejection) as refusal:
        decode.time_ms(time)
    assert refusal.value.reason is Reason.TIME


def test_an_explicit_seq_never_meets_an_implied_one() -> None:
    assert decode.explicit_seq(0) == 0
    assert decode.explicit_seq(2**62 - 1) == 2**62 - 1
    assert 2**62 <= decode.explicit_seq("boot-3/12") < 2**63
    assert decode.explicit_seq("a") != decode.explicit_seq("b")
    assert decode.implied_seq(b"{}") < 0


@pytest.mark.parametrize("seq", [-1, 2**62, 1.0, True, "", "x" * 65, [], {}])
def test_anything_else_is_no_seq(seq: object) -> None:
    with pytest.raises(Rejection) as refusal:
        decode.explicit_seq(seq)
    assert refusal.value.reason is Reason.SEQ


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.NOT_JSON),
        (b'{"a": NaN}', Reason.NOT_JSON),
        (b'{"a": 1e999}', Reason.NOT_JSON),
        (b'{"a": "\\ud800"}', Reason.NOT_JSON),
        (b'{"a": "\x00"}', Reason.NOT_JSON),
        (b'{"a": "x\\u0000y"}', Reason.NUL),
        (b'{"a\\u0000": 1}', Reason.NUL),
        (b'{"a": {"b": ["\\u0000"]}}', Reason.NUL),
        (b" " * (256 * 1024) + b"{}", Reason.PAYLOAD_TOO_LARGE),
        (5, Reason.SHAPE),
        ([], Reason.EMPTY),
        ({}, Reason.EMPTY),
        ({"a": None}, Reason.EMPTY),
        ({"values": 5}, Reason.SHAPE),
        ({"time": 1, "temperature": 5}, Reason.SHAPE),
        ({"values": {"a": 1}, "valeus": 2}, Reason.SHAPE),
        ([{"values": {"a": 1}}] * 1001, Reason.TOO_MANY_READINGS),
        ({f"m{n}": n for n in range(201)}, Reason.TOO_MANY_METRICS),
        ({"a": [1, 2]}, Reason.TYPE),
        ({"tab\t": 1}, Reason.METRIC_KEY),
        ({"a": "x" * 1025}, Reason.VALUE_TOO_LARGE),
        ({"a": {"b": "x" * 9000}}, Reason.VALUE_TOO_LARGE),
        (b'{"a": {"b": ' + b"[" * 17 + b"]" * 17 + b"}}", Reason.TOO_DEEP),
    ],
)
def test_a_bad_payload_is_rejected_for_its_own_reason(payload: object, reason: Reason) -> None:
    assert why(payload) is reason


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert outcome(rb'{"path": "C:\\u0000"}') == (1, [])


def test_one_bad_reading_in_a_list_does_not_spoil_the_good_ones() -> None:
    taken, rejected = outcome(b'[{"values": {"a": 1}}, {"values": {"a": []}}, 7, {"values": {"a": 2}}]')
    assert taken == 2
    assert [r.reason for r in rejected] == [Reason.TYPE, Reason.SHAPE]
