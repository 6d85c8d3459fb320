"""The topic grammar takes apart what it builds, and nothing else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.wire import topics

TAILS = [("up", name, tail) for name, tail in topics.UP.items()]
TAILS += [("down", name, tail) for name, tail in topics.DOWN.items()]


@pytest.mark.parametrize(("direction", "name", "template"), TAILS)
def test_every_topic_that_is_built_is_recognised(direction: str, name: str, template: str) -> None:
    parameters = dict.fromkeys(re.findall(r"\{(\w+)\}", template), "x-1")
    topic = topics.parse(topics.build("acme", "pump_7", template, **parameters))
    assert topic == topics.Topic("acme", "pump_7", topics.Tail(direction, name, parameters))


@pytest.mark.parametrize(
    "topic",
    [
        "t/acme/d/pump-7",
        "t/acme/d/pump-7/",
        "t/acme/d/pump-7/up",
        "t/acme/d/pump-7/up/telemetry/",
        "t/acme/d/pump-7/up/telemetry/a/b",
        "t/acme/d/pump-7/up/telemetry\n",
        "t/Acme/d/pump-7/up/telemetry",
        "t/acme/d/pump 7/up/telemetry",
        "t//d/pump-7/up/telemetry",
        "t/acme/d/pump-7/up/event/+",
        "$SYS/broker",
        "",
    ],
)
def test_a_topic_outside_the_grammar_is_nobodys(topic: str) -> None:
    assert topics.parse(topic) is None


@given(st.text())
def test_any_text_is_parsed_without_an_exception(text: str) -> None:
    topics.parse(text)
    topics.parse_tail(text)
    topics.parse_username(text)


@given(tenant=st.from_regex(topics.TENANT_KEY, fullmatch=True), device=st.from_regex(topics.DEVICE_KEY, fullmatch=True))
def test_a_username_fits_a_certificate_and_is_taken_apart_again(tenant: str, device: str) -> None:
    text = topics.username(tenant, device)
    assert len(text) <= 64
    assert topics.parse_username(text) == (tenant, device)


def test_a_bad_part_cannot_be_built_into_a_topic() -> None:
    with pytest.raises(ValueError, match="device 'a/b'"):
        topics.build("acme", "a/b", topics.UP["telemetry"])


@given(tenant=st.from_regex(topics.TENANT_KEY, fullmatch=True))
def test_a_newcomers_name_is_no_devices_and_its_topics_are_no_devices(tenant: str) -> None:
    text = topics.newcomer(tenant)
    assert topics.parse_newcomer(text) == tenant
    assert topics.parse_username(text) is None
    for template in topics.PROVISION.values():
        assert topics.parse(template.format(tenant=tenant)) is None


@pytest.mark.parametrize("text", ["", "acme", "acme/provision/", "acme/provision\n", "Acme/provision", "/provision"])
def test_a_name_outside_the_grammar_is_no_newcomers(text: str) -> None:
    assert topics.parse_newcomer(text) is None
