"""Bytes from a device become readings, or the reasons why not; pure, and total: it raises nothing but `Rejection`."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, cast

import orjson

from ingest.encode import written
from ingest.errors import Rejection, shown
from schema.wire.payloads import (
    MAX_DEPTH,
    MAX_METRIC_KEY_CHARS,
    MAX_PAYLOAD_BYTES,
    MAX_READINGS,
    MAX_SEQ,
    MAX_SEQ_CHARS,
    OWN_KEYS,
    READING_KEYS,
    Reason,
)

VERSION = 2
"""Raised when the same bytes would be read otherwise; what is rejected says which one has refused it."""

Values = dict[str, Any]
Reading = tuple[int | None, int | None, Values, Values | None]
"""Epoch milliseconds or None (stamp it at receipt), explicit seq or None, the metrics as sent, and all of the reading
where it says more than these (`aside`), else None."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_STRING_SEQ = 1 << 62
_BACKSLASH = ord("\\")
_MAX_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z


def load(payload: bytes) -> Any:
    """The JSON in a payload; Rejection when it is none, is too large, or holds what Postgres cannot."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Rejection(Reason.PAYLOAD_TOO_LARGE, f"The payload has {len(payload)} bytes.")
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        words = f"This is not JSON: {error.msg} at character {error.pos}."
        raise Rejection(Reason.NOT_JSON, words, error.msg[:MAX_METRIC_KEY_CHARS]) from None
    # Rare, and may be an escaped backslash: only then look at every string. Python looks for a number at once, and for
    # bytes after an exception of its own, which takes as long as reading the JSON.
    if _BACKSLASH in payload and b"\\u0000" in payload:
        _refuse_nul(document)
    return document


def split(document: Any) -> list[Any]:
    """The single readings in a list, not yet looked at; what is no list is one."""
    if type(document) is not list:
        return [document]
    if not document:
        raise Rejection(Reason.EMPTY, "The list of readings is empty.")
    if len(document) > MAX_READINGS:
        raise Rejection(Reason.TOO_MANY_READINGS, f"The message has {len(document)} readings.")
    return document


def reading(item: Any, *, is_alone: bool = True) -> Reading:
    """One reading taken apart. A flat object of values counts only when it is the whole message (`is_alone`)."""
    if type(item) is not dict:
        raise Rejection(Reason.SHAPE, f"A reading is an object, this is {shown(item)}.")
    values = item.get("values")
    if type(values) is dict:
        members = len(item)
        if members == 1:
            return None, None, values, None
        sent_time = item.get("time")
        if members == 2 and type(sent_time) is int and 0 <= sent_time <= _MAX_MS:  # as most are, and nothing else
            return sent_time, None, values, None
        return _timed(item, values)
    return None, None, _flat(item, is_alone), None


def time_ms(value: Any) -> int:
    """Epoch milliseconds of a reading's `time`, rounded down; Rejection TIME when it is none."""
    if type(value) is int:
        at = value
    elif type(value) is str:
        at = _rfc3339(value)
    elif type(value) is float and value.is_integer():
        at = int(value)
    else:
        raise Rejection(Reason.TIME, f"The time is {shown(value)}.")
    if not 0 <= at <= _MAX_MS:
        raise Rejection(Reason.TIME, f"The time {shown(value)} is outside 1970 to 9999.")
    return at


def explicit_seq(value: Any) -> int:
    """The stored form of a sent `seq`: a number as it is, a string as 2^62 plus a 62-bit hash of it."""
    if type(value) is int and 0 <= value <= MAX_SEQ:
        return value
    if type(value) is str and 0 < len(value) <= MAX_SEQ_CHARS:
        return _STRING_SEQ + (int.from_bytes(blake2b(value.encode(), digest_size=8).digest(), "big") >> 2)
    raise Rejection(Reason.SEQ, f"The seq is {shown(value)}.")


def implied_seq(canonical: bytes) -> int:
    """The seq of a reading sent without one: a negative number from 63 bits of the hash of its canonical values."""
    return -1 - (int.from_bytes(blake2b(canonical, digest_size=8).digest(), "big") >> 1)


def canonical(values: Values) -> bytes:
    """Values as JSON with sorted keys and no spaces: what is hashed, stored and put into the journal."""
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS)


def canonical_as_sent(values: Values) -> bytes:
    """As `canonical`, of all metrics with a value: the same for the same reading, whatever a profile says of it."""
    said = {key: value for key, value in values.items() if value is not None}
    try:
        return canonical(said)
    except orjson.JSONEncodeError:  # it nests deeper than can be stored, and is left out for that
        return written(dict(sorted(said.items())))


def depth(value: Any, limit: int = MAX_DEPTH) -> int:
    """How deep objects and lists nest in `value` (a plain value is 0); Rejection TOO_DEEP beyond `limit`."""
    if type(value) not in (dict, list):
        return 0
    if limit <= 0:
        raise Rejection(Reason.TOO_DEEP, f"A value nests more than {MAX_DEPTH} deep.")
    return 1 + max((depth(child, limit - 1) for child in _children(value)), default=0)


def _timed(item: Values, values: Values) -> Reading:
    if not item.keys() <= READING_KEYS:
        unknown = next(key for key in item if key not in READING_KEYS)
        raise Rejection(Reason.SHAPE, f"A reading has no member {shown(unknown)}.")
    sent_time, sent_seq = item.get("time"), item.get("seq")
    return (
        None if sent_time is None else time_ms(sent_time),
        None if sent_seq is None else explicit_seq(sent_seq),
        values,
        item if "quality" in item or "via" in item else None,
    )


def _flat(item: Values, is_alone: bool) -> Values:
    if not is_alone:
        raise Rejection(Reason.SHAPE, 'In a list each reading needs "values".')
    misplaced = OWN_KEYS & item.keys()
    if misplaced:
        raise Rejection(Reason.SHAPE, f'{shown(min(misplaced))} stands beside metrics; put the metrics into "values".')
    return item


def _rfc3339(text: str) -> int:
    # fromisoformat also takes basic and week dates; the separators tell RFC 3339 from those.
    if len(text) >= 20 and text[4] == "-" and text[7] == "-" and text[10] in "Tt ":
        try:
            at = datetime.fromisoformat(text.upper())
            if at.tzinfo is not None:
                return (at - _EPOCH) // _MS
        except (ValueError, OverflowError):
            pass
    raise Rejection(Reason.TIME, f"The time is {shown(text)}.")


def _refuse_nul(document: Any) -> None:
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if type(value) is str and "\x00" in value:
            raise Rejection(Reason.NUL, "A string holds the character U+0000.")
        if type(value) in (dict, list):
            waiting.extend(_children(value))
            if type(value) is dict:
                waiting.extend(value)


def _children(value: Any) -> Iterator[Any]:
    return iter(value.values() if type(value) is dict else cast("list[Any]", value))
