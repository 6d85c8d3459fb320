"""What a reading says beside its values is judged once, and costs nothing where it says nothing."""

from typing import Any

import pytest

from engine.telemetry.provenance import MACHINES, MAX_DECODER, Source, packed, source_of
from ingest import aside, decode
from ingest.errors import Rejection
from ingest.normaliser import ANYTHING, Shape, compile_shape
from schema.wire.payloads import MAX_METRICS, Reason

STRICT = compile_shape([{"key": "t", "type": "number", "max": 10}, {"key": "v", "type": "number"}], is_strict=True)


@pytest.mark.parametrize(
    ("values", "quality", "kept", "marks"),
    [
        ({"t": 1}, {"t": "uncertain"}, {"t": 1}, b'{"t":"uncertain"}'),
        ({"t": 1, "b": None}, {"b": "bad"}, {"t": 1}, b'{"b":"bad"}'),
        ({"b": None}, {"b": "bad"}, {}, b'{"b":"bad"}'),
        ({"t": 1}, {"t": "good"}, {"t": 1}, b""),
        ({"t": 1}, {}, {"t": 1}, b""),
        ({"t": 1}, None, {"t": 1}, b""),
        (
            {"b": 1, "a": 2},
            {"b": "uncertain", "a": "uncertain"},
            {"b": 1, "a": 2},
            b'{"a":"uncertain","b":"uncertain"}',
        ),
    ],
)
def test_good_is_silence_and_what_is_bad_has_no_value(values: Any, quality: Any, kept: Any, marks: bytes) -> None:
    found, told, left = aside.judge(ANYTHING, values, {"values": values, "quality": quality})
    assert (found, aside.written(told), left) == (kept, marks, {})


@pytest.mark.parametrize(
    ("values", "quality", "kept", "marks", "left"),
    [
        ({"t": 11, "v": 1}, {"t": "uncertain"}, {"v": 1}, b'{"t":"bad"}', ["t"]),
        ({"t": 1, "u": None}, {"u": "bad"}, {"t": 1}, b"", ["u"]),
        ({"t": 11, "v": None}, {"v": "bad"}, {}, b'{"t":"bad","v":"bad"}', ["t"]),
        ({"t": 1, "v": 2, "u": 3}, {"u": "uncertain", "v": "uncertain"}, {"t": 1, "v": 2}, b'{"v":"uncertain"}', ["u"]),
    ],
)
def test_what_the_profile_knows_and_was_left_out_is_bad(
    values: Any, quality: Any, kept: Any, marks: bytes, left: list[str]
) -> None:
    found, told, out = aside.judge(STRICT, values, {"values": values, "quality": quality})
    assert (found, aside.marked(STRICT, told, out), list(out)) == (kept, marks, left)


@pytest.mark.parametrize(
    ("shape", "values", "quality", "reason", "words"),
    [
        (ANYTHING, {"t": 1}, {"t": "doubtful"}, Reason.QUALITY, "the words are good, uncertain, bad"),
        (ANYTHING, {"t": 1}, {"t": 1}, Reason.QUALITY, "the words are"),
        (ANYTHING, {"t": 1}, {"t": ["bad"]}, Reason.QUALITY, "the words are"),
        (ANYTHING, {"t": 1}, {"u": "bad"}, Reason.QUALITY, "'u', of which there is no value"),
        (ANYTHING, {"t": 1}, {"t": "bad"}, Reason.QUALITY, "is bad and has the value 1"),
        (ANYTHING, {"t": 1, "u": None}, {"u": "uncertain"}, Reason.QUALITY, "is uncertain and has no value"),
        (ANYTHING, {"t": 1}, "bad", Reason.QUALITY, "an object of metrics"),
        (ANYTHING, {"t": None}, {}, Reason.EMPTY, "no metric with a value"),
        (ANYTHING, {"\n": None}, {"\n": "bad"}, Reason.METRIC_KEY, "cannot name a metric"),
        (ANYTHING, dict.fromkeys(map(str, range(MAX_METRICS + 1))), {"0": "bad"}, Reason.TOO_MANY_METRICS, "201"),
        (STRICT, {"u": None}, {"u": "bad"}, Reason.UNKNOWN_METRIC, "'u'"),
        (STRICT, {"t": 11}, {"t": "uncertain"}, Reason.RANGE, "the profile allows"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    shape: Shape, values: Any, quality: Any, reason: Reason, words: str
) -> None:
    with pytest.raises(Rejection) as refused:
        aside.judge(shape, values, {"values": values, "quality": quality})
    assert (refused.value.reason, words in refused.value.message) == (reason, True), refused.value.message


def test_a_metric_may_be_called_quality_where_all_members_are_metrics() -> None:
    assert decode.reading({"quality": 3, "via": 1}) == (None, None, {"quality": 3, "via": 1}, None)
    assert decode.reading({"values": {"quality": 3}, "seq": 1})[3] is None


def test_a_machines_protocol_is_one_that_has_a_name() -> None:
    assert [aside.via({"via": word}) for word in (None, *MACHINES)] == [None, *MACHINES]
    for word in ("zigbee", 1, ["modbus"]):
        with pytest.raises(Rejection, match="known are modbus, opcua, bacnet"):
            aside.via({"via": word})


def test_how_a_reading_came_is_a_small_number_and_comes_back_in_words() -> None:
    number = packed("broker", "senml", MAX_DECODER, "bacnet")
    assert 0 < number < 2**15
    assert source_of(number) == Source("broker", "senml", MAX_DECODER, "bacnet")
    assert source_of(packed("pigeon", "json", 2)) == Source("unknown", "json", 2)
    assert source_of(None) is None
    with pytest.raises(ValueError, match="no room"):
        packed("mqtt", "json", MAX_DECODER + 1)
    assert decode.VERSION <= MAX_DECODER
