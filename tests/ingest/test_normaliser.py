"""Values are checked against the profile, and the refusal says what to do."""

import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import LeftOut, Rejection
from ingest.normaliser import ANYTHING, MAX_UNITS, check_clock, compile_shape, normalise, sift
from schema.wire.payloads import Reason

METRICS: list[dict[str, Any]] = [
    {"key": "temperature", "type": "number", "unit": "degC", "min": -40, "max": 85},
    {"key": "door", "type": "boolean"},
    {"key": "state", "type": "string", "unit": None, "min": None, "max": None},
    {"key": "gps", "type": "object"},
]
SHAPE = compile_shape(METRICS, is_strict=False)
STRICT = compile_shape(METRICS, is_strict=True)
NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000


def refused(values: dict[str, Any], shape: Any = SHAPE) -> Rejection:
    with pytest.raises(Rejection) as refusal:
        normalise(shape, values)
    return refusal.value


def whole(shape: Any, values: dict[str, Any]) -> dict[str, Any]:
    kept, left = normalise(shape, values)
    assert left == {}
    return kept


def test_good_values_are_kept_as_sent() -> None:
    values = {"temperature": 4, "door": False, "state": "cooling", "gps": {"lat": 47.1}}
    assert whole(SHAPE, values) == values


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": "4"},
        {"temperature": True},
        {"door": 1},
        {"state": 4.0},
        {"gps": "47.1, 8.5"},
        {"gps": [47.1, 8.5]},
        {"temperature": {"value": "4", "unit": "degC"}},
        {"temperature": {"value": 4}},
    ],
)
def test_a_value_of_another_type_is_rejected(values: dict[str, Any]) -> None:
    assert refused(values).reason is Reason.TYPE


@pytest.mark.parametrize("value", [-40, 85, 0.0, -40.0])
def test_the_range_includes_its_ends(value: float) -> None:
    assert whole(SHAPE, {"temperature": value}) == {"temperature": value}


@pytest.mark.parametrize("value", [-40.01, 85.01, 1e300])
def test_a_value_outside_the_range_is_rejected_in_words(value: float) -> None:
    refusal = refused({"temperature": value})
    assert refusal.reason is Reason.RANGE
    assert "-40 to 85" in refusal.message
    assert "widen the range" in refusal.message


@pytest.mark.parametrize(
    ("value", "unit", "stored"),
    [
        (5, "degC", 5),
        (71.6, "degF", 22.0),
        (71.6, "[degF]", 22.0),
        (4, "Cel", 4),
        (273.15, "K", 0.0),
        (41, "°F", 5.0),
    ],
)
def test_a_value_that_names_its_unit_is_stored_in_the_profiles(value: float, unit: str, stored: float) -> None:
    assert whole(SHAPE, {"temperature": {"value": value, "unit": unit}}) == {"temperature": stored}


def test_the_range_is_the_profiles_whatever_the_unit() -> None:
    assert refused({"temperature": {"value": 500, "unit": "degC"}}).reason is Reason.RANGE
    assert "is 100.0, the profile allows" in refused({"temperature": {"value": 212, "unit": "[degF]"}}).message


@pytest.mark.parametrize("unit", ["bar", "[psi]", "%RH", "", "furlongs per fortnight", "x" * 5_000, None, 4, ["degC"]])
def test_a_unit_that_cannot_be_converted_is_rejected_in_words(unit: object) -> None:
    refusal = refused({"temperature": {"value": 5, "unit": unit}})
    assert refusal.reason is Reason.UNIT
    assert "the profile says 'degC'" in refusal.message
    assert len(refusal.message) < 250


def test_a_unit_makes_no_number_of_what_is_none_and_none_that_is_too_large() -> None:
    assert refused({"temperature": {"value": True, "unit": "degF"}}).reason is Reason.TYPE
    assert refused({"door": {"value": True, "unit": "degF"}}).reason is Reason.UNIT
    wide = compile_shape([{"key": "p", "type": "number", "unit": "Pa"}], is_strict=True)
    assert refused({"p": {"value": 1e308, "unit": "bar"}}, wide).reason is Reason.UNIT


def test_a_device_that_names_ever_other_units_costs_no_more_than_a_hundred_of_them() -> None:
    shape = compile_shape(METRICS, is_strict=True)
    for number in range(2 * MAX_UNITS):
        name = "".join("mgsAK"[number // 5**place % 5] + ("." if place else "") for place in range(4, -1, -1))
        with pytest.raises(Rejection):
            normalise(shape, {"temperature": {"value": 1, "unit": name[:7]}})
    assert len(shape.metrics["temperature"].conversions) <= MAX_UNITS


def test_an_unknown_metric_is_kept_unless_the_profile_is_strict() -> None:
    assert whole(SHAPE, {"humidity": 40}) == {"humidity": 40}
    assert refused({"humidity": 40}, STRICT).reason is Reason.UNKNOWN_METRIC


def test_a_null_counts_as_left_out() -> None:
    assert whole(SHAPE, {"temperature": 4, "door": None}) == {"temperature": 4}
    assert refused({"door": None}).reason is Reason.EMPTY


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"temperature": 99.5}, Reason.RANGE),
        ({"temperature": "4"}, Reason.TYPE),
        ({"temperature": {"value": 99.5, "unit": "degC"}}, Reason.RANGE),
        ({"temperature": {"value": 4, "unit": "bar"}}, Reason.UNIT),
        ({"humidity": 40}, Reason.UNKNOWN_METRIC),
        ({"\n": 1}, Reason.METRIC_KEY),
        ({"state": "x" * 1_025}, Reason.VALUE_TOO_LARGE),
        ({"gps": {"a": "x" * 9_000}}, Reason.VALUE_TOO_LARGE),
        ({"gps": functools.reduce(lambda inner, _: {"a": inner}, range(20), {})}, Reason.TOO_DEEP),
    ],
)
def test_what_is_wrong_with_one_metric_is_that_metrics_alone(bad: dict[str, Any], reason: Reason) -> None:
    good = {"door": True, "state": "cooling"} if "state" not in bad else {"door": True}
    for values in ({**good, **bad}, {**bad, **good}):
        kept, left = normalise(STRICT, values)
        assert (kept, {key: why.reason for key, why in left.items()}) == (good, dict.fromkeys(bad, reason))
    assert refused({**bad, "door": None}, STRICT).reason is reason  # nothing is left: refused, and for that


def test_what_is_left_out_is_told_in_the_order_sent_and_in_words() -> None:
    kept, left = normalise(STRICT, {"humidity": 40, "temperature": 99, "door": True, "state": 4})
    assert (kept, list(left)) == ({"door": True}, ["humidity", "temperature", "state"])
    told = LeftOut(left, 1, 2)
    assert (told.reason, told.about) == (Reason.UNKNOWN_METRIC, "humidity")
    assert "'temperature' is 99, the profile allows -40 to 85." in told.message
    assert "The rest of the reading was stored without them. Add the metric to" in told.message
    many = LeftOut({f"m{n}": left["humidity"] for n in range(7)}, 1, 2)
    assert "2 more metrics were left out as well." in many.message


@given(
    st.dictionaries(
        st.sampled_from(["temperature", "door", "state", "gps", "humidity"]),
        st.one_of(st.integers(), st.floats(), st.text(), st.booleans(), st.none(), st.lists(st.integers())),
        min_size=1,
    )
)
def test_every_metric_with_a_value_is_kept_or_left_out_with_its_reason(values: dict[str, Any]) -> None:
    said = {key for key, value in values.items() if value is not None}
    for shape in (ANYTHING, SHAPE, STRICT):
        kept, left = sift(shape, values)
        if kept is values:
            assert not left
            continue
        assert (kept.keys() | left.keys(), kept.keys() & left.keys()) == (said, set())
        for key, why in left.items():  # it would have been refused for that, had it come alone
            assert refused({key: values[key]}, shape).words == why.words
        for key, value in kept.items():
            assert whole(shape, {key: value}) == {key: value}


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.integers(), st.floats(), st.text(), st.booleans())))
def test_what_was_normalised_is_normal(values: dict[str, Any]) -> None:
    for shape in (ANYTHING, SHAPE, STRICT):
        try:
            once, _ = normalise(shape, values)
        except Rejection:
            continue
        assert normalise(shape, once) == (once, {})


@pytest.mark.parametrize("at_ms", [NOW_MS, NOW_MS + 600_000, NOW_MS - 90 * DAY_MS])
def test_a_time_inside_the_window_is_taken(at_ms: int) -> None:
    check_clock(at_ms, NOW_MS)


@pytest.mark.parametrize(
    ("at_ms", "reason", "words"),
    [
        (NOW_MS + 600_001, Reason.CLOCK_AHEAD, "ahead"),
        (NOW_MS - 90 * DAY_MS - 1, Reason.TOO_OLD, "90 days old"),
        (NOW_MS // 1000, Reason.TOO_OLD, "milliseconds"),
    ],
)
def test_a_time_outside_the_window_is_rejected(at_ms: int, reason: Reason, words: str) -> None:
    with pytest.raises(Rejection) as refusal:
        check_clock(at_ms, NOW_MS)
    assert refusal.value.reason is reason
    assert words in refusal.value.message
