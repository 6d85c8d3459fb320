"""What rules make of values: plain ones stay as they are, and nothing comes through that could not be stored."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rules.values import MAX_TEXT, plain
from tests.engine.rules import making


@pytest.mark.parametrize("value", [True, False, 0, -3, 2**53, 0.1, -1e308, "", "closed", "é"])
def test_plain_values_stay_as_they_are(value: object) -> None:
    assert plain(value) is value


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), 10**400, None, [1], {"a": 1}, "\ud800", "a\x00b"]
)
def test_what_cannot_be_compared_or_stored_is_not_known(value: object) -> None:
    assert plain(value) is None


def test_integers_too_large_to_be_exact_become_doubles() -> None:
    assert plain(2**53 + 1) == float(2**53)
    assert plain(-(2**64)) == -(2.0**64)


def test_a_long_text_is_cut_where_no_rule_can_tell() -> None:
    assert plain("x" * 5_000) == "x" * MAX_TEXT


@given(st.one_of(st.integers(), st.floats(), st.text(), st.binary(), st.sampled_from(making.ODD)))
def test_whatever_comes_the_plain_value_is_valid_json_that_postgres_can_store(value: object) -> None:
    written = json.dumps(plain(value), allow_nan=False, ensure_ascii=False)
    assert "\\u0000" not in written
    written.encode()
