"""What a machine's answer must be to be a reading, whatever protocol it came by."""

from ingest.edge.points import Point, Raw
from schema.wire.payloads import MAX_STRING_CHARS


class Unusable(Exception):
    """What came cannot be a reading; the message says why."""


def text_of(text: str) -> str:
    """The text, if a reading can hold it. Raises Unusable.

    Servers say UTF-8 and send what their machines have: bytes of Latin-1, as a library hands them on (PEP 383).
    """
    if not is_unicode(text):
        text = text.encode(errors="surrogateescape").decode("latin-1")
    if len(text) > MAX_STRING_CHARS:
        raise Unusable(f"The text has {len(text)} characters; {MAX_STRING_CHARS} are the most.")
    if "\x00" in text:
        raise Unusable("The text has the character U+0000 in it.")
    return text


def is_unicode(text: str) -> bool:
    """Whether a text is one, without bytes in it that are no character."""
    return text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text)


def check_type(point: Point, raw: Raw, what: str) -> None:
    """Raises Unusable when a value is not of the kind that the point table says; `what` has it: node, property."""
    if point.type == "auto":
        return
    said = "true or false" if isinstance(raw, bool) else "a text" if isinstance(raw, str) else "a number"
    wanted = {"bool": "true or false", "string": "a text"}.get(point.type, "a number")
    if said != wanted:
        raise Unusable(f"The {what} is {said}, the point table says {point.type}; correct the type there.")
