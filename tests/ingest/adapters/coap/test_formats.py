"""CBOR and SenML become the JSON that MQTT would have carried, or say why not."""

import contextlib
import math
from datetime import UTC, datetime
from typing import Any

import cbor2
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import decode
from ingest.adapters.coap.formats import as_json
from ingest.errors import Rejection
from schema.wire.coap import CBOR, JSON, SENML_CBOR, SENML_JSON
from schema.wire.payloads import Reason

NOW_MS = 1_780_000_000_000


def read(payload: bytes, media: int, device: str = "pump-7") -> Any:
    """What the pipeline gets."""
    return orjson.loads(as_json(payload, media, device, NOW_MS))


def pack(*records: dict[str, Any]) -> Any:
    """What becomes of a SenML pack, which is the same in both of its forms."""
    labels = {"bver": -1, "bn": -2, "bt": -3, "bu": -4, "bv": -5, "bs": -6}
    labels |= {name: n for n, name in enumerate(("n", "u", "v", "vs", "vb", "s", "t", "ut", "vd"))}
    said = read(orjson.dumps(records), SENML_JSON)
    short = [{labels.get(name, name): value for name, value in record.items()} for record in records]
    assert read(cbor2.dumps(short), SENML_CBOR) == said
    return said


def test_cbor_is_the_same_reading_as_json() -> None:
    reading = {"time": 1_769_860_800_000, "seq": 17, "values": {"temperature": 4.25, "door": False, "mode": None}}
    for said in (reading, [reading, reading], {"temperature": 1}):
        assert read(cbor2.dumps(said), CBOR) == said
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    told = read(cbor2.dumps({"time": at, "values": {"temperature": 1}}), CBOR)
    assert decode.reading(told)[0] == 1_769_860_800_000


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"\xff", "not CBOR"),
        (b"\xa1\x61t", "not CBOR"),
        (b"\x01\x02", "follows"),
        (cbor2.dumps({"t": b"x"}), "a byte string"),
        (cbor2.dumps({"t": math.nan}), "nan"),
        (cbor2.dumps({"t": 2**64}), "not CBOR"),
        (cbor2.dumps({"t": 2**63 * 2 - 1, "u": [2**64 - 1]}) + b"\x00", "follows"),
        (cbor2.dumps({1: 2}), "cannot be read"),
        (b"\xa1\xf6\x01", "a name"),
        (b"\xa2\x61t\x01\x61t\x02", "not CBOR"),
        (b"\x81" * 10_000, "not CBOR"),
        (b"\xd8\x1c\x81\xd8\x1d\x00", "not CBOR"),
        (b"\xc5\x82\x1a\x3b\x9a\xca\x00\x01", "not CBOR"),
        (b"\x9b\x00\x00\x00\xff\xff\xff\xff\xff", "not CBOR"),
    ],
    ids=lambda each: each if isinstance(each, str) else each.hex()[:24],
)
def test_what_json_has_nothing_for_is_refused_in_words(payload: bytes, words: str) -> None:
    with pytest.raises(Rejection) as refused:
        as_json(payload, CBOR, "pump-7", NOW_MS)
    assert refused.value.reason is Reason.NOT_CBOR
    assert words.lower() in refused.value.words.lower()


@given(st.binary(max_size=200))
def test_whatever_comes_is_json_or_a_rejection(payload: bytes) -> None:
    for media in (CBOR, SENML_JSON, SENML_CBOR):
        with contextlib.suppress(Rejection):
            orjson.loads(as_json(payload, media, "pump-7", NOW_MS) or b"{}")
    assert as_json(payload, JSON, "pump-7", NOW_MS) == payload


def test_a_pack_is_resolved_as_the_rfc_says_and_keeps_its_units() -> None:
    """The example of RFC 8428, section 5.1.3, and what its base fields stand for."""
    told = pack(
        {"bn": "urn:dev:ow:10e2073a0108006:", "bt": 1.276020076001e9, "bu": "A", "n": "voltage", "u": "V", "v": 120.1},
        {"n": "current", "t": -5, "v": 1.2},
        {"n": "current", "t": -4, "v": 1.3},
        {"n": "current", "v": 1.7},
    )  # fmt: skip
    at_ms = 1_276_020_076_001
    assert told == [
        {
            "time": at_ms,
            "values": {"voltage": {"value": 120.1, "unit": "V"}, "current": {"value": 1.7, "unit": "A"}},
        },
        {"time": at_ms - 5_000, "values": {"current": {"value": 1.2, "unit": "A"}}},
        {"time": at_ms - 4_000, "values": {"current": {"value": 1.3, "unit": "A"}}},
    ]


def test_base_value_sum_text_boolean_and_data_are_kept() -> None:
    told = pack(
        {"bn": "pump-7/", "bv": 10, "bs": 100, "n": "flow", "u": "l/s", "v": 2.5, "s": 1},
        {"n": "state", "vs": "on"},
        {"n": "open", "vb": True},
        {"n": "raw", "vd": "AQID"},
        {"n": "total", "s": 5},
    )
    assert told == {
        "values": {
            "flow": {"value": 12.5, "unit": "l/s"},
            "flow.sum": {"value": 101, "unit": "l/s"},
            "state": "on",
            "open": True,
            "raw": "AQID",
            "total.sum": 105,
        }
    }


def test_a_time_below_2_to_the_28_is_relative_to_now_and_none_is_now() -> None:
    assert pack({"n": "t", "v": 1}) == {"values": {"t": 1}}
    assert pack({"n": "t", "v": 1, "t": -1.5}) == {"time": NOW_MS - 1_500, "values": {"t": 1}}
    assert pack({"n": "t", "v": 1, "t": 2**28 - 1})["time"] == NOW_MS + (2**28 - 1) * 1_000
    assert pack({"n": "t", "v": 1, "t": 2**28})["time"] == 2**28 * 1_000
    assert pack({"n": "t", "v": 1, "t": -60}, {"n": "t", "v": 2, "t": 0}) == [
        {"time": NOW_MS - 60_000, "values": {"t": 1}},
        {"values": {"t": 2}},
    ]


def test_two_values_of_one_metric_and_time_are_two_readings() -> None:
    assert pack({"n": "t", "v": 1}, {"n": "u", "v": 5}, {"n": "t", "v": 2}) == [
        {"values": {"t": 1, "u": 5}},
        {"values": {"t": 2}},
    ]


@pytest.mark.parametrize(
    ("base", "name", "metric"),
    [
        ("", "temperature", "temperature"),
        ("", "pump-7_temperature", "pump-7_temperature"),
        ("pump-7/", "temperature", "temperature"),
        ("urn:dev:mac:0024befffe804ff1:", "room1/temp", "room1/temp"),
        ("urn:dev:org:32473:pump-7/", "temp", "temp"),
        ("urn:dev:ow:10e2073a01080063", "", "10e2073a01080063"),
        ("site.", "temp", "site.temp"),
    ],
)
def test_a_name_loses_what_only_says_which_device_it_is(base: str, name: str, metric: str) -> None:
    assert list(pack({"bn": base, "n": name, "v": 1} if base else {"n": name, "v": 1})["values"]) == [metric]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "a list of records"),
        ([], "a list of records"),
        ([1], "no object"),
        ([{"bn": "x"}], "no record"),
        ([{"n": "t"}], "no value"),
        ([{"v": 1}], "no name"),
        ([{"n": "a b", "v": 1}], "other characters"),
        ([{"bn": "pump-7/", "v": 1}], "no metric"),
        ([{"n": "t", "v": 1, "vs": "x"}], "one value"),
        ([{"n": "t", "v": "1"}], "as v"),
        ([{"n": "t", "v": True}], "as v"),
        ([{"n": "t", "vb": 1}], "as vb"),
        ([{"n": 1, "v": 1}], "as n"),
        ([{"n": "t", "v": 1, "t": "now"}], "as t"),
        ([{"n": "t", "v": 1, "t": 1e12}], "the time"),
        ([{"n": "t", "v": 1, "must_": 1}], "understood"),
        ([{"bver": 11, "n": "t", "v": 1}], "version 11"),
        ([{"n": "t", "bv": 1e308, "v": 1e308}], "make inf"),
    ],
    ids=str,
)
def test_what_is_no_pack_says_where_it_is_none(said: Any, words: str) -> None:
    with pytest.raises(Rejection) as refused:
        as_json(orjson.dumps(said), SENML_JSON, "pump-7", NOW_MS)
    assert refused.value.reason is Reason.NOT_SENML
    assert words in refused.value.words.lower()


@pytest.mark.parametrize("base", [{"bn": "t" * 100_000}, {"bn": "t", "bu": "m" * 100_000}], ids=["name", "unit"])
def test_a_long_base_is_not_written_into_each_of_many_records(base: dict[str, str]) -> None:
    with pytest.raises(Rejection, match="more than"):
        as_json(orjson.dumps([base, *[{"v": 1}] * 1_000]), SENML_JSON, "pump-7", NOW_MS)


@pytest.mark.parametrize("media", [CBOR, SENML_CBOR])
def test_cbor_may_begin_with_the_tag_that_only_says_that_it_is_cbor(media: int) -> None:
    said = cbor2.dumps({"values": {"t": 1}} if media == CBOR else [{0: "t", 2: 1}])
    tagged = cbor2.dumps(cbor2.CBORTag(55799, 0))[:-1] + said
    assert as_json(tagged, media, "pump-7", NOW_MS) == as_json(said, media, "pump-7", NOW_MS)


def test_a_long_name_that_is_there_twice_is_not_told_in_full() -> None:
    name = b"\x79\xff\xff" + b"t" * 65_535
    with pytest.raises(Rejection, match="Duplicate") as refused:
        as_json(b"\xa2" + 2 * (name + b"\x01"), CBOR, "pump-7", NOW_MS)
    assert len(refused.value.message) < 500
