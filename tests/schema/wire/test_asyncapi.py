"""The committed AsyncAPI document says what the code does."""

import re
from typing import Any

import orjson
import pytest
import yaml
from jsonschema_rs import Draft202012Validator

from engine.commands import answer
from ingest import aside, decode, normaliser
from ingest.errors import Rejection
from schema.wire import asyncapi, payloads, provisioning, topics

COMMITTED = yaml.safe_load(asyncapi.FILE.read_text())
SCHEMA = Draft202012Validator(COMMITTED["components"]["schemas"]["Telemetry"])


def readings(payload: object) -> list[decode.Reading]:
    """What the pipeline makes of a payload, or Rejection."""
    items = decode.split(decode.load(orjson.dumps(payload)))
    return [decode.reading(item, is_alone=not isinstance(payload, list)) for item in items]


def is_taken(payload: object) -> bool:
    try:
        for _, _, values, said in readings(payload):
            if said is None:
                normaliser.normalise(normaliser.ANYTHING, values)
            else:
                aside.via(said)
                aside.judge(normaliser.ANYTHING, values, said)
        return True
    except Rejection:
        return False


def test_the_committed_document_is_the_generated_one() -> None:
    assert asyncapi.FILE.read_text() == asyncapi.text()


def test_every_channel_is_a_topic_of_the_grammar_and_every_other_topic_is_named_as_reserved() -> None:
    served = {channel["address"] for channel in COMMITTED["channels"].values()}
    known = {topics.PREFIX + tail for table in (topics.UP, topics.DOWN) for tail in table.values()}
    known |= set(topics.PROVISION.values())
    assert served | set(COMMITTED["x-reserved-topics"]) == known
    for channel in COMMITTED["channels"].values():
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel["parameters"])


@pytest.mark.parametrize(
    "example", [m["payload"] for m in COMMITTED["components"]["messages"]["telemetry"]["examples"]]
)
def test_every_published_example_is_valid_and_taken(example: object) -> None:
    SCHEMA.validate(example)
    assert is_taken(example)


@pytest.mark.parametrize(
    "payload",
    [
        [],
        {},
        5,
        "temperature",
        None,
        {"values": {}},
        {"values": {"a": [1]}},
        {"values": {"a": 1}, "unit": "degC"},
        {"values": {"a": 1}, "seq": -1},
        {"values": {"a": 1}, "seq": ""},
        {"values": {"a": 1}, "time": True},
        {"time": 1769860800000, "temperature": 4},
        {"values": {"": 1}},
        {"values": {"k" * 65: 1}},
        {"values": {"a": "x" * 1025}},
        {"values": {f"m{n}": n for n in range(201)}},
        [{"temperature": 4}],
        [{"values": {"a": 1}}] * 1001,
    ],
)
def test_what_the_schema_refuses_the_pipeline_refuses(payload: object) -> None:
    assert not SCHEMA.is_valid(payload)
    assert not is_taken(payload)


def test_every_reason_has_a_remedy_and_is_published() -> None:
    assert set(payloads.REMEDIES) == set(payloads.Reason)
    assert COMMITTED["x-reasons"] == {str(reason): words for reason, words in payloads.REMEDIES.items()}


@pytest.mark.parametrize("name", sorted(payloads.NOTES))
def test_every_published_example_of_the_other_messages_is_valid(name: str) -> None:
    message = COMMITTED["components"]["messages"][name]
    for example in message["examples"]:
        Draft202012Validator(message["payload"]).validate(example["payload"])


@pytest.mark.parametrize(("what", "name"), [("ack", "acknowledgement"), ("result", "result")])
def test_every_published_answer_is_understood_and_no_word_is_missing(what: str, name: str) -> None:
    message = COMMITTED["components"]["messages"][name]
    assert {answer.read(what, example["payload"]).status for example in message["examples"]} == set(
        answer.MEANT[what].values()
    )
    assert set(message["payload"]["properties"]["status"]["enum"]) == set(answer.MEANT[what])


@pytest.mark.parametrize(
    ("schema", "example"),
    [(schema, example) for _, schema, examples in provisioning.MESSAGES.values() for example in examples],
)
def test_every_example_of_what_a_newcomer_says_and_hears_is_valid(schema: Any, example: object) -> None:
    Draft202012Validator(schema).validate(example)


@pytest.mark.parametrize(
    "said",
    [
        {},
        [],
        {"device": 7},
        {"device": "a/b"},
        {"device": "pump", "key": "tgp_…"},
        {"device": "pump", "labels": {"a": 1}},
        {"publicKey": 5},
        {"csr": "x" * 16_385},
    ],
)
def test_the_schema_refuses_what_a_newcomer_may_not_say(said: object) -> None:
    assert not Draft202012Validator(provisioning.REQUEST).is_valid(said)
