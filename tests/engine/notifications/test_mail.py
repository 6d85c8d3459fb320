"""A letter says what its message says, and nothing that somebody wrote becomes a header or a mark of its own."""

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from uuid import UUID

import pytest

from engine.notifications.mail import Mail
from engine.notifications.model import Message

MAIL = Mail("localhost", 25, False, "Tidegate <no-reply@tide.example>")
HOSTILE = [
    "=?utf-8?q?warm=0D=0ABcc:_somebody=40else.example=0D=0A=0D=0AAnother_letter?=",
    "Room =?utf-8?b?DQpCY2M6IHhAeQ==?= 7",
    "==??utf-8?q?=0ABcc:_x?=",
    "Room 7\r\nBcc: somebody@else.example",
    "<script>alert('{title}')</script><!--",
    "\u202e\u2028\x00\x85\x1b[31m 冷蔵室 🧊 " + "ü" * 150,
]


@pytest.mark.parametrize("said", HOSTILE)
def test_whatever_devices_and_rules_are_called_a_letter_has_its_headers_and_no_others(said: str) -> None:
    known = _back(Message("alert.raised", "Hot", "It is hot."))
    letter = _back(Message("alert.raised", said, f"{said}\n\n{said}", ((said, said),), "/alerts", said, "major"))
    assert letter.keys() == known.keys()
    assert letter["Subject"].strip().startswith(("Room", "= ?utf-8", "== ??utf-8", "<script>", "[31m"))
    marks, known_marks = (set(re.findall(r"<[!/a-z0-9]+", _page(each))) for each in (letter, known))
    assert marks - known_marks <= {"<a", "</a", "<br"}


def _back(message: Message) -> EmailMessage:
    """A message as it is stored, put into a letter, sent and read by somebody's mail program."""
    stored = Message.read(message.written())
    letter = MAIL.letter(stored, to="me@desk.example", delivery_id=UUID(int=1), origin="https://t.example")
    return message_from_bytes(letter.as_bytes(), policy=policy.default)  # type: ignore[arg-type, return-value]


def _page(letter: EmailMessage) -> str:
    page = letter.get_body(("html",))
    assert page is not None
    return str(page.get_content())
