"""Rules that start and end again and again, or at once: limits without hysteresis, and what is so for a moment only."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from engine.rules.bearing import is_counted
from engine.rules.findings import UNITS_MS
from engine.rules.inputs import left
from engine.rules.logic import normal
from engine.rules.mends import Mend, comparing, lasting, put, take_out
from engine.rules.model import (
    Aggregate,
    All,
    AnyLeaf,
    AnyOf,
    Changed,
    Condition,
    DeviceEvent,
    Fn,
    Leaf,
    Op,
    Operand,
    Place,
    RaiseAlert,
    RuleDocument,
    Whereabouts,
    leaves,
)
from engine.rules.phrases import leaf_phrase, spelled, spelled_ms, unit_sign, value_text
from engine.rules.reach import Numbers, reach_of
from engine.rules.resolve import resolved, unit_of
from engine.rules.vocabulary import Vocabulary
from engine.units import SAME, conversion

_ONE_SIDED = (Op.LT, Op.LE, Op.GT, Op.GE)
_WAIT_MS = 5 * UNITS_MS["m"]
_EXACT = (Op.EQ, Op.NE, Op.IN, Op.NOT_IN)
_CLEAR_LATER = "Say under “Over” when it is over, with a wait, or notify people instead of raising an alert."


class Swing(NamedTuple):
    """A way in which a rule starts and ends too often, or too soon; ``weight`` is how grave that is."""

    weight: Literal["problem", "warning", "hint"]
    path: str
    message: str
    suggestion: str | None
    mend: Mend | None = None


def swings(document: RuleDocument, vocabulary: Vocabulary) -> Iterator[Swing]:
    """What of the document starts and ends again and again, or at once."""
    yield from _never_waited(document, vocabulary)
    yield from _over_at_once(document, vocabulary)
    if document.schedule is None:
        bare = document.clear is None
        yield from _without_end(document, vocabulary) if bare else _too_near(document, vocabulary)


# ── true of a moment only ────────────────────────────────────────────────────────────────────────────────────────────


def _never_waited(document: RuleDocument, vocabulary: Vocabulary) -> Iterator[Swing]:
    """A wait for something that is true of a moment only."""
    clearing = None if document.clear is None else document.clear.held_for
    for path, condition in document.conditions:
        held_for = document.held_for if path == "$.when" else clearing
        moment = next(_momentary(condition), None)
        if held_for is None or moment is None:
            continue
        said, place = leaf_phrase(moment, vocabulary), path.removesuffix("when") + "for"
        message = f"“{said}” is true of a moment only, so it is never so for {spelled(held_for)}."
        yield Swing("problem", place, message, "Leave out “for”.", take_out(place, "leave the wait out"))


def _over_at_once(document: RuleDocument, vocabulary: Vocabulary) -> Iterator[Swing]:
    """An alert that ends by itself because what it is about is over."""
    if RaiseAlert() not in document.then or document.clear is not None or document.held_for is not None:
        return
    moment = next(_momentary(document.when), None)
    if moment is not None:
        message = f"“{leaf_phrase(moment, vocabulary)}” is true of a moment only, so the alert clears at once."
        yield Swing("warning", "$.when", message, _CLEAR_LATER)
    elif isinstance(document.when, Changed):
        said = leaf_phrase(document.when, vocabulary)
        message = f"“{said}” is soon over: the alert clears by itself {spelled(document.when.over)} after the change."
        yield Swing("hint", "$.when", message, _CLEAR_LATER)


def _momentary(condition: Condition) -> Iterator[DeviceEvent | Place]:
    """The momentary leaves without which ``condition`` cannot be true."""
    match condition:
        case DeviceEvent() | Place(is_=Whereabouts.ENTERED | Whereabouts.LEFT):
            yield condition
        case All(of=parts):
            for part in parts:
                yield from _momentary(part)
        case AnyOf(of=parts):
            found = [next(_momentary(part), None) for part in parts]
            if all(each is not None for each in found):
                yield from (each for each in found if each is not None)


# ── a limit that a noisy value crosses again and again ───────────────────────────────────────────────────────────────


class _Limit(NamedTuple):
    """A limit of a comparison at which it becomes true: of numbers above it (``is_above``), or below."""

    value: float
    is_above: bool
    leaf: Leaf

    def at(self, vocabulary: Vocabulary, value: float | None = None) -> str:
        """The limit, or another value beside it, with its unit."""
        said = self.value if value is None else value
        return f"{value_text(said)}{unit_sign(unit_of(self.leaf.metric, self.leaf.how, vocabulary))}"

    @property
    def safe(self) -> float:
        """Where it had better clear: noise rarely covers a twentieth, said in round numbers."""
        away = float(f"{abs(self.value) / 20:.1g}") or 1.0
        return round(self.value - away if self.is_above else self.value + away, 9)

    def said(self, vocabulary: Vocabulary) -> str:
        """Where it had better clear, in words."""
        return f"clear only {'below' if self.is_above else 'above'} {self.at(vocabulary, self.safe)}"

    def clear(self, written: Leaf, vocabulary: Vocabulary) -> Mapping[str, Any]:
        """The document of a comparison that is true only there; its unit is that of the profile, as it was written."""
        own = unit_of(written.metric, written.how, vocabulary)
        unit = written.unit if conversion(written.unit or own, own) == SAME else None
        return comparing(replace(self.leaf, unit=unit), "<" if self.is_above else ">", self.safe)


def _without_end(document: RuleDocument, vocabulary: Vocabulary) -> Iterator[Swing]:
    """A bare limit: no wait, and no clear of its own. A quiet time after each alert is enough for what looks back."""
    if document.held_for is not None:
        return
    is_calm = document.limits is not None and document.limits.cooldown is not None
    read = leaves(normal(resolved(document.when, vocabulary)))  # the same leaves in the same order
    for (path, _), (_, leaf) in zip(leaves(document.when, "$.when"), read, strict=True):
        limit = next(_limits(leaf), None)
        if limit is not None and not (is_calm and limit.leaf.how is not None):
            message = f"A value that swings around {limit.at(vocabulary)} fires and clears again and again."
            suggestion = f"Let it wait some minutes, or {limit.said(vocabulary)}."
            yield Swing("warning", path, message, suggestion, _hysteresis(document, limit, vocabulary))
            return


def _hysteresis(document: RuleDocument, limit: _Limit, vocabulary: Vocabulary) -> Mend | None:
    """A clear beyond the limit where that is all that is asked; else a wait, which is right for any condition."""
    if (beyond := _beyond(document, limit, vocabulary)) is not None:
        return put("$.clear", {"when": beyond}, limit.said(vocabulary))
    if next(_momentary(document.when), None) is not None:
        return None
    wait_ms = max(_WAIT_MS, 2_000 * (vocabulary.interval_s or 0))
    return lasting("$.for", wait_ms, f"let it wait for {spelled_ms(wait_ms)}")


def _beyond(document: RuleDocument, limit: _Limit, vocabulary: Vocabulary) -> Mapping[str, Any] | None:
    """What clears beyond the one limit of a rule; None where the rule asks for more, or nothing can be there."""
    when, metric = document.when, vocabulary.metrics.get(limit.leaf.metric)
    if not isinstance(when, Leaf) or when.op not in _ONE_SIDED or is_counted(left(when)):
        return None
    low, high = (None, None) if metric is None else (metric.min, metric.max)
    if (low is not None and limit.safe <= low) or (high is not None and limit.safe >= high):
        return None
    return limit.clear(when, vocabulary)


def _too_near(document: RuleDocument, vocabulary: Vocabulary) -> Iterator[Swing]:
    """A clear that begins right where the rule ends to be true, or even where it still is."""
    assert document.clear is not None
    waits = document.held_for is not None or document.clear.held_for is not None
    limits = [limit for _, leaf in leaves(normal(resolved(document.when, vocabulary))) for limit in _limits(leaf)]
    for _, leaf in leaves(normal(resolved(document.clear.when, vocabulary))):
        for limit in (each for each in limits if left(each.leaf) == left(leaf)):
            overlap = _reaches(leaf, limit)
            if overlap is None or (waits and not overlap):
                continue
            value = limit.at(vocabulary)
            message = (
                f"It clears at {value}, where it fires: a value that swings around that does both again and again."
            )
            if overlap:
                side = "above" if limit.is_above else "below"
                message = f"What clears it is also true {side} {value}, where it still fires: so it clears at {value}."
            said, mend = limit.said(vocabulary), None
            if isinstance(leaf, Leaf) and (beyond := _beyond(document, limit, vocabulary)) is not None:
                mend = put("$.clear.when", beyond, said)
            weight: Literal["hint", "warning"] = "hint" if waits else "warning"
            yield Swing(weight, "$.clear.when", message, f"{said[0].upper()}{said[1:]}.", mend)
            return


def _reaches(clear: AnyLeaf, limit: _Limit) -> bool | None:
    """Whether ``clear`` is true across the limit; False: right up to it; None: not there, or where it fires only."""
    reach = reach_of(clear) if isinstance(clear, Leaf) else None
    for span in reach.spans if isinstance(reach, Numbers) else ():
        near, far = (span.high, span.low) if limit.is_above else (span.low, span.high)
        if far == limit.value or (far < limit.value) is not limit.is_above:
            continue  # it lies where the rule fires
        if near == limit.value:
            return False
        if (near > limit.value) is limit.is_above:
            return True
    return None


def _limits(leaf: AnyLeaf) -> Iterator[_Limit]:
    """Where a comparison becomes true as its number rises or falls; none of what holds by itself for a while."""
    if not isinstance(leaf, Leaf) or isinstance(leaf.value, Operand) or leaf.op in _EXACT or _holds_itself(leaf):
        return
    reach = reach_of(leaf)
    for span in reach.spans if isinstance(reach, Numbers) else ():
        if span.low < span.high:
            if span.low != float("-inf"):
                yield _Limit(span.low, True, leaf)
            if span.high != float("inf"):
                yield _Limit(span.high, False, leaf)


def _holds_itself(leaf: Leaf) -> bool:
    """The extremes of a window of time stay for as long as that is."""
    return isinstance(leaf.how, Aggregate) and leaf.how.fn in (Fn.MIN, Fn.MAX) and leaf.how.over is not None
