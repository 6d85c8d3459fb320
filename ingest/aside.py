"""What a reading says beside its values: how far each can be trusted, and in which protocol its gateway had it.

Most readings say nothing of either, and cost nothing for it (ADR 61).
"""

import functools
from typing import Any

import orjson

from engine.telemetry.provenance import MACHINES, packed
from ingest import arrays, decode
from ingest.errors import Rejection, shown
from ingest.normaliser import Shape, check_metric, normalise
from schema.wire.payloads import BAD, GOOD, MAX_METRIC_KEY_CHARS, QUALITIES, Reason

Aside = tuple[bytes, bytes]
"""A reading's quality in canonical JSON (b"" where all is good), and its source as `arrays.smallints` takes it."""


@functools.cache
def wire(transport: str, encoding: str, via: str | None = None) -> bytes:
    """How a reading came, as an element of a column."""
    return arrays.small(packed(transport, encoding, decode.VERSION, via))


def judge(shape: Shape, values: decode.Values, said: decode.Values) -> tuple[decode.Values, bytes]:
    """The values as they will be stored, and the quality of those that are not good; Rejection for either.

    `said` are the reading's members as sent. Good is silence. Whatever is bad has no value: it is sent as null.
    """
    marks = _marks(values, said.get("quality"))
    bad = [key for key, word in marks.items() if word == BAD]
    for key in bad:
        check_metric(shape, key)
    try:
        kept = normalise(shape, values)
    except Rejection as rejection:
        if not bad or rejection.reason is not Reason.EMPTY:
            raise
        kept = {}  # it says that there is nothing to say, and when
    return kept, orjson.dumps(marks, option=orjson.OPT_SORT_KEYS) if marks else b""


def via(said: decode.Values) -> str | None:
    """The protocol of the machine behind a gateway; Rejection for one that has no name here."""
    word = said.get("via")
    if word is not None and word not in MACHINES:
        raise Rejection(Reason.SHAPE, f'"via" is {shown(word)}; known are {", ".join(MACHINES)}.')
    return word


def _marks(values: decode.Values, quality: Any) -> dict[str, str]:
    if quality is None:
        return {}
    if type(quality) is not dict:
        raise Rejection(Reason.QUALITY, f"The quality is {shown(quality)}; it is an object of metrics.")
    for key, word in quality.items():
        if key not in values:
            raise Rejection(Reason.QUALITY, f"The quality names {shown(key)}, of which there is no value.", _about(key))
        if type(word) is not str or word not in QUALITIES:
            words = f"The quality of {shown(key)} is {shown(word)}; the words are {', '.join(QUALITIES)}."
            raise Rejection(Reason.QUALITY, words, _about(key))
        if (values[key] is None) is not (word == BAD):
            what = f"is bad and has the value {shown(values[key])}" if word == BAD else f"is {word} and has no value"
            raise Rejection(Reason.QUALITY, f"{shown(key)} {what}; null is what is bad, and nothing else.", _about(key))
    return {key: word for key, word in quality.items() if word != GOOD}


def _about(key: str) -> str:
    """A metric that a fault may name: what nobody would take for one stays in its words."""
    return key if len(key) <= MAX_METRIC_KEY_CHARS and key.isprintable() else ""
