"""What a device says that is no reading: answers to commands, and events."""

from typing import Any
from uuid import uuid4

import orjson
import pytest

from engine.points.model import MAX_PACKED_CHARS, MAX_SAID_BYTES
from ingest import notes
from ingest.adapters.base import Decision, Message
from ingest.errors import Rejection
from schema.wire.payloads import MAX_NOTE_BYTES, Reason

DEVICE = Decision(uuid4(), "acme", uuid4(), "pump-7", 1)
COMMAND = "0190f2a4-7c1e-7000-8000-3f5a9c1d2e4b"
AT = 1_769_860_800.25


def said(topic: str, payload: bytes) -> notes.Note:
    return notes.read(Message(DEVICE, topic, payload, 1, AT), "pump")


def test_an_acknowledgement_names_its_command_and_where_that_stands() -> None:
    kind, body = said(f"up/cmd/{COMMAND}/ack", b"")
    assert kind == "command.answered"
    assert body == {"command": COMMAND, "device": "pump", "status": "acknowledged", "at": 1_769_860_800_250}


def test_a_result_carries_its_reason_and_what_is_given_back() -> None:
    payload = orjson.dumps({"status": "failed", "reason": "dry", "result": [1]})
    _, body = said(f"up/cmd/{COMMAND}/result", payload)
    assert (body["status"], body["reason"], body["result"]) == ("failed", "dry", [1])


def test_an_edge_may_tell_the_whole_table_of_its_file() -> None:
    told = {"running": 0, "points": 20_000, "file": "x" * MAX_PACKED_CHARS}
    _, body = said("up/points", orjson.dumps(told))
    assert body["file"] == told["file"]
    with pytest.raises(Rejection, match="what is said of points has at most"):
        said("up/points", orjson.dumps({**told, "file": "x" * MAX_SAID_BYTES}))


def test_an_event_keeps_its_own_time_and_what_it_tells() -> None:
    kind, body = said("up/event/door-forced", b'{"time": "2026-01-31T11:59:00Z", "door": 2}')
    assert kind == "device.event"
    assert (body["type"], body["at"], body["data"]) == ("door-forced", 1_769_860_740_000, {"door": 2})


def test_an_event_without_words_happened_when_it_was_heard() -> None:
    _, body = said("up/event/boot", b"")
    assert (body["at"], body["data"]) == (1_769_860_800_250, {})


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("up/cmd/7/ack", b"", Reason.TOPIC),
        ("up/nothing", b"", Reason.TOPIC),
        ("up/ota", b"{}", Reason.TOPIC),
        (f"up/cmd/{COMMAND}/ack", b"{", Reason.NOT_JSON),
        (f"up/cmd/{COMMAND}/ack", b'{"status":"done"}', Reason.SHAPE),
        (f"up/cmd/{COMMAND}/result", b"[]", Reason.SHAPE),
        ("up/event/boot", b"7", Reason.SHAPE),
        ("up/event/boot", b'{"time": "yesterday"}', Reason.TIME),
        ("up/event/boot", b'{"time": "2036-01-01T00:00:00Z"}', Reason.CLOCK_AHEAD),
        ("up/event/boot", b'{"a":' * 20 + b"1" + b"}" * 20, Reason.TOO_DEEP),
        ("up/event/boot", b'{"a":"\\u0000"}', Reason.NUL),
        ("up/event/boot", b'"' + b"x" * MAX_NOTE_BYTES + b'"', Reason.PAYLOAD_TOO_LARGE),
    ],
)
def test_what_is_no_note_is_refused_with_its_reason(topic: str, payload: bytes, reason: Reason) -> None:
    with pytest.raises(Rejection) as refused:
        said(topic, payload)
    assert refused.value.reason is reason


def test_a_notes_row_begins_with_its_batch() -> None:
    body: dict[str, Any] = said("up/event/boot", b"")[1]
    assert notes.dump(("device.event", body), "ab12").startswith(b'{"b":"ab12"')
