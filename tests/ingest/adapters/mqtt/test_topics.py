"""Rights by topic: a device's home is its own, and filters mean what MQTT says they mean."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.adapters.base import Decision
from ingest.adapters.mqtt import topics
from schema.wire.topics import DEVICE_KEY, TENANT_KEY

ZERO = UUID(int=0)
devices = st.builds(
    lambda tenant, device: Decision(ZERO, tenant, ZERO, device, 1),
    st.from_regex(TENANT_KEY, fullmatch=True),
    st.from_regex(DEVICE_KEY, fullmatch=True),
)
levels = st.sampled_from(["up", "down", "telemetry", "cmd", "a", "b", "", "+", "#", "t", "d"])
tails = st.lists(levels, min_size=1, max_size=5).map("/".join)


@given(devices, devices, tails)
def test_no_device_reaches_into_the_home_of_another(one: Decision, other: Decision, tail: str) -> None:
    if (one.tenant, one.device) == (other.tenant, other.device):
        return
    assert topics.up_tail(topics.home(one), topics.home(other) + tail) is None
    assert topics.down_tail(topics.home(one), topics.home(other) + tail) is None


@given(devices, tails)
def test_a_device_publishes_up_and_subscribes_down(device: Decision, tail: str) -> None:
    home = topics.home(device)
    assert topics.up_tail(home, home + "up/" + tail) == ("up/" + tail if tail else None)
    assert topics.down_tail(home, home + "down/" + tail) == ("down/" + tail if tail else None)
    assert topics.up_tail(home, home + "down/" + tail) is None
    assert topics.down_tail(home, home + "up/" + tail) is None


@given(tails, st.lists(st.sampled_from(["a", "b", "cmd", "down", ""]), min_size=1, max_size=5).map("/".join))
def test_a_filter_matches_as_a_regular_expression_written_from_the_standard_does(topic_filter: str, topic: str) -> None:
    if not topics.is_filter(topic_filter):
        return
    parts = topic_filter.split("/")
    pattern = "/".join("[^/]*" if part == "+" else re.escape(part) for part in parts if part != "#")
    if parts[-1] == "#":
        pattern = rf"{pattern}(/.*)?" if len(parts) > 1 else ".*"
    assert topics.matches(topic_filter, topic) == (re.fullmatch(pattern, topic) is not None)


@pytest.mark.parametrize("good", ["a", "/", "+", "#", "a/+/b", "a/#", "+/+/#", "//"])
def test_wildcards_alone_in_their_level_are_a_filter(good: str) -> None:
    assert topics.is_filter(good)


@pytest.mark.parametrize("bad", ["a+", "+a", "a#", "#/a", "a/#/b", "a/b+/c", "##", "++"])
def test_wildcards_beside_anything_are_none(bad: str) -> None:
    assert not topics.is_filter(bad)
