"""What a device may say of a command."""

import pytest

from engine.commands.answer import read
from engine.commands.model import GIVEN_UP, LIFE, CommandStatus


def test_saying_nothing_means_that_all_is_well() -> None:
    assert read("ack", None).status is CommandStatus.ACKNOWLEDGED
    assert read("result", None).status is CommandStatus.SUCCEEDED


def test_a_device_may_refuse_and_say_why() -> None:
    answer = read("ack", {"status": "rejected", "reason": "The valve is locked."})
    assert (answer.status, answer.reason) == (CommandStatus.REJECTED, "The valve is locked.")


def test_a_result_carries_what_the_device_gives_back() -> None:
    answer = read("result", {"status": "succeeded", "result": {"rpm": 900}})
    assert (answer.status, answer.result) == (CommandStatus.SUCCEEDED, {"rpm": 900})


@pytest.mark.parametrize(
    ("what", "said", "words"),
    [
        ("ack", [], "Send"),
        ("ack", {"status": "succeeded"}, "accepted, rejected"),
        ("ack", {"status": ["accepted"]}, "accepted, rejected"),
        ("ack", {"status": "accepted", "result": 1}, '"result" is not known'),
        ("result", {"status": "failed", "reason": ""}, "at most 500"),
        ("result", {"status": "failed", "reason": "x" * 501}, "at most 500"),
        ("result", {"status": "failed", "reason": 7}, "at most 500"),
    ],
)
def test_a_wrong_answer_is_refused_with_what_would_be_right(what: str, said: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(what, said)


def test_what_has_ended_never_moves_again() -> None:
    ended = set(CommandStatus) - {CommandStatus.QUEUED, CommandStatus.SENT, CommandStatus.ACKNOWLEDGED}
    assert ended >= GIVEN_UP
    for sources in LIFE.values():
        assert not sources & ended
    assert set(LIFE) == set(CommandStatus) - {CommandStatus.QUEUED}
