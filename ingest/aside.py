"""What a reading says beside its values: how far each can be trusted, and in which protocol its gateway had it.

Most readings say nothing of either, and cost nothing for it (ADR 61).
"""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from engine.telemetry.provenance import MACHINES, PARTIAL, packed
from ingest import arrays, decode
from ingest.errors import Rejection, shown
from ingest.normaliser import Left, Shape, check_metric, normalise, sift
from schema.wire.payloads import BAD, GOOD, MAX_METRIC_KEY_CHARS, MAX_METRICS, QUALITIES, Reason

Aside = tuple[bytes, bytes]
"""A reading's quality in canonical JSON (b"" where all is good), and its source as `arrays.smallints` takes it."""


@functools.cache
def wire(transport: str, encoding: str, via: str | None = None) -> bytes:
    """How a reading came, as an element of a column."""
    return arrays.small(packed(transport, encoding, decode.VERSION, via))


@functools.cache
def partial(source: bytes) -> bytes:
    """The same element, of a reading of which some metrics were left out."""
    return arrays.small(arrays.of_small(source) | PARTIAL)


def judge(shape: Shape, values: decode.Values, said: decode.Values) -> tuple[decode.Values, Mapping[str, str], Left]:
    """The values as they will be stored, how far those can be trusted that are not good, and what is left out.

    `said` are the reading's members as sent. Good is silence. Whatever is bad has no value: it is sent as null. The
    marks are those sent, also of what is left out. Raises Rejection where nothing is left to store.
    """
    marks = marks_of(values, said.get("quality"))
    if BAD not in marks.values() or len(values) > MAX_METRICS:
        kept, left = normalise(shape, values)
        return kept, marks, left
    kept, left = sifted(shape, values, marks)
    if not says_anything(kept, marks, left):
        raise next(left[key] for key in values if key in left)
    return kept, marks, left


def sifted(shape: Shape, values: decode.Values, marks: Mapping[str, str]) -> tuple[decode.Values, Left]:
    """As `normaliser.sift`, where a metric may also be left out that is bad, and so has no value."""
    kept, left = sift(shape, values)
    unknown = _unknown(shape, [key for key, word in marks.items() if word == BAD])
    return kept, {**left, **unknown} if unknown else left


def says_anything(kept: decode.Values, marks: Mapping[str, str], left: Left) -> bool:
    """Whether something can be stored; with marks alone a reading says that there is nothing to say, and when."""
    return bool(kept) or any(word == BAD and key not in left for key, word in marks.items())


def marked(shape: Shape, marks: Mapping[str, str], left: Left) -> bytes:
    """The quality that is stored, as `written`: what the profile knows and was left out is bad."""
    if left:
        broken = {key: BAD for key in left if key in shape.metrics}
        marks = {key: word for key, word in marks.items() if key not in left} | broken
    return written(marks)


def written(marks: Mapping[str, str]) -> bytes:
    """Marks as canonical JSON; b"" for none."""
    return orjson.dumps(marks, option=orjson.OPT_SORT_KEYS) if marks else b""


def via(said: decode.Values) -> str | None:
    """The protocol of the machine behind a gateway; Rejection for one that has no name here."""
    word = said.get("via")
    if word is not None and word not in MACHINES:
        raise Rejection(Reason.SHAPE, f'"via" is {shown(word)}; known are {", ".join(MACHINES)}.')
    return word


def _unknown(shape: Shape, bad: Iterable[str]) -> Left:
    """Of metrics that are bad, those that a strict profile does not know, or that can name none."""
    found = {}
    for key in bad:
        try:
            check_metric(shape, key)
        except Rejection as rejection:
            found[key] = rejection
    return found


def marks_of(values: decode.Values, quality: Any) -> dict[str, str]:
    """What `quality` says of the metrics that are not good; Rejection where it is none."""
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
