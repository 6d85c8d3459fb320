"""Rules and alerts in plain English: a sentence for a rule, for why an alert was raised or ended, and for why not."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from cronsim import CronSim

from engine.clock import from_ms
from engine.devices.yes_no import YesNo
from engine.rules.compile import CompiledRule, ignoring
from engine.rules.explain import Explainer, condition_in, explainer
from engine.rules.findings import is_number
from engine.rules.inputs import left, right
from engine.rules.logic import normal
from engine.rules.model import (
    All,
    AnyLeaf,
    AnyOf,
    AttributeLeaf,
    Condition,
    Duration,
    Leaf,
    MissingDo,
    Not,
    Op,
    Operand,
    RaiseAlert,
    RuleDocument,
    Scalar,
)
from engine.rules.phrases import (
    action_phrase,
    compared,
    leaf_phrase,
    listed,
    name,
    phrase,
    said_yes_no,
    seen_text,
    spelled,
    spelled_ms,
    subject,
    time_phrase,
    unit_sign,
    value_text,
    zone,
)
from engine.rules.resolve import is_difference, unit_of
from engine.rules.state import Clear, EndReason, Known, Raise
from engine.rules.vocabulary import Vocabulary
from engine.units import Conversion, conversion

__all__ = ["phrase", "sentence", "spelled_ms", "why_cleared", "why_not", "why_not_over", "why_raised"]


class _Words(NamedTuple):
    """What is said of one comparison whatever was seen. ``into``: from the profile's unit to that of the author.

    ``limits``: what is known beforehand of what it is held against, where nothing else that is read is; else ``other``
    is the input that it is held against. ``yes_no``: how a yes/no metric is said.
    """

    leaf: Leaf | AttributeLeaf
    name: str
    asked: str
    into: Conversion | None
    sign: str
    compared: str
    limits: tuple[object, ...]
    other: str | None
    other_sign: str
    yes_no: YesNo | None = None


class _Decided:
    """What a rule raises or clears by, in normal form, with the words for it; made once for each rule."""

    def __init__(self, rule: CompiledRule, *, is_raise: bool) -> None:
        when, clear = rule.document.when, rule.document.clear
        if is_raise:
            self.plain = normal(when)
        else:
            self.plain = normal(when, negated=True) if clear is None else normal(clear.when)
        self.is_as_written = is_raise and self.plain == when
        """Most conditions are in normal form as they are written: then what explains them is at hand."""
        self.vocabulary = rule.vocabulary
        self.explain: Explainer = explainer(self.plain, rule.vocabulary)
        self._words: dict[int, _Words] = {}

    def words(self, leaf: Leaf | AttributeLeaf) -> _Words:
        """The words of one of its leaves, which live as long as it does."""
        found = self._words.get(id(leaf))
        if found is None:
            found = self._words[id(leaf)] = _words_of(leaf, self.vocabulary)
        return found


@lru_cache(maxsize=16_384)
def _decided(rule: CompiledRule, is_raise: bool) -> _Decided:
    return _Decided(rule, is_raise=is_raise)


def _words_of(leaf: Leaf | AttributeLeaf, vocabulary: Vocabulary) -> _Words:
    name, told = left(leaf).name, compared(leaf, vocabulary)
    if isinstance(leaf, AttributeLeaf):
        return _Words(leaf, name, f"its {leaf.attribute.replace('_', ' ')}", None, "", told, (), None, "")
    own = unit_of(leaf.metric, leaf.how, vocabulary)
    into = conversion(own, leaf.unit or own, is_difference=is_difference(leaf.how))
    asked, sign = subject(leaf, vocabulary), unit_sign(leaf.unit or own)
    if isinstance(leaf.value, bool):
        return _Words(leaf, name, asked, None, "", told, (), None, "", said_yes_no(leaf.metric, vocabulary))
    if not isinstance(leaf.value, Operand):
        limits = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
        return _Words(leaf, name, asked, into, sign, told, limits, None, "")
    other = right(leaf.value)
    other_sign = unit_sign(unit_of(leaf.metric if other.metric is None else other.metric, None, vocabulary))
    return _Words(leaf, name, asked, into, sign, told, (), other.name, other_sign)


WHY_ENDED: Mapping[EndReason, str] = {
    EndReason.RULE_CHANGED: "the rule was changed",
    EndReason.RULE_STOPPED: "the rule no longer watches this device",
    EndReason.RULE_OFF: "the rule was switched off",
    EndReason.RULE_DELETED: "the rule was deleted",
}
"""Why an alert ended though nothing has cleared it."""
MINUTE_MS, DAY_MS = 60_000, 86_400_000
_BY_ORDER = frozenset({Op.LT, Op.LE, Op.GT, Op.GE, Op.BETWEEN, Op.OUTSIDE})

_MISSING = {
    MissingDo.FIRE: "it fires too",
    MissingDo.CLEAR: "it clears",
    MissingDo.IGNORE: "what asks for it is left out",
    MissingDo.HOLD: "all stays as it is",
}


def sentence(document: RuleDocument, vocabulary: Vocabulary) -> str:
    """The rule as one sentence: "When temperature is above 8 °C for 10 minutes, raise a major alert; it clears …"."""
    does = listed([action_phrase(then, document.severity, vocabulary) for then in document.then], "and")
    held = _held(document.when, document.held_for, vocabulary)
    text = f"When {held}, {does}" if document.schedule is None else f"{_scheduled(document)}, if {held}, {does}"
    ends = "clears" if RaiseAlert() in document.then else "is over"
    if document.clear is None:
        text += f"; it {ends} when that is no longer so"
    else:
        text += f"; it {ends} when {_held(document.clear.when, document.clear.held_for, vocabulary)}"
    if document.limits is not None and document.limits.cooldown is not None:
        text += f", and no new one is raised for {spelled(document.limits.cooldown)} after that"
    if document.on_clear:
        does = listed([action_phrase(then, document.severity, vocabulary) for then in document.on_clear], "and")
        text += f"; then {does}"
    return text + _around(document) + "."


def _scheduled(document: RuleDocument) -> str:
    assert document.schedule is not None
    said = CronSim(document.schedule.cron, datetime(2026, 1, 1, tzinfo=UTC)).explain()
    return f"{said} ({zone(document.schedule.tz)})"


def _around(document: RuleDocument) -> str:
    text = ""
    if document.missing is not None:
        text += f"; where a value is older than {spelled(document.missing.after)}, {_MISSING[document.missing.do]}"
    limits = document.limits
    if limits is not None and limits.max_per_hour is not None:
        text += f"; at most {limits.max_per_hour} an hour"
    if limits is not None and limits.quiet is not None:
        text += f"; silent {time_phrase(limits.quiet)}"
    return text


def intentions(rule: CompiledRule) -> list[str]:
    """What the rule does when it fires, an action each: "raise a major alert"."""
    document = rule.document
    return [action_phrase(then, document.severity, rule.vocabulary) for then in document.then]


def why_raised(rule: CompiledRule, action: Raise) -> str:
    """Why it was raised, and the values seen: "temperature was 9.2 °C, above 8 °C, for 10 minutes since 14:02 UTC"."""
    rule, decided, tree = _judged(rule, action)
    return _evidence(decided, tree, rule, action.seen) + _when(action.since, action.at, rule.document.held_for)


def why_cleared(rule: CompiledRule, action: Clear) -> str:
    """Why the alert ended: the values that cleared it, or what was done to its rule."""
    if action.reason in WHY_ENDED:
        return WHY_ENDED[action.reason]
    rule, decided, tree = _judged(rule, action)
    clear = rule.document.clear
    held_for = None if clear is None else clear.held_for
    return _evidence(decided, tree, rule, action.seen) + _when(action.since, action.at, held_for)


def value_seen(rule: CompiledRule, action: Raise | Clear) -> tuple[Scalar | None, str | None]:
    """The value that made it happen, and that number as people are told it, as in the reason: "9.2 °C".

    It is that of the first comparison that is true, a metric's before an attribute's; where nothing is compared, the
    newest value of the first metric that is asked about. None where there is none.
    """
    rule, decided, tree = _judged(rule, action)
    leaves = [leaf for leaf, _ in _true_leaves(decided.plain, tree)]
    leaves.sort(key=lambda leaf: isinstance(leaf, AttributeLeaf))
    for leaf in leaves:
        if isinstance(leaf, Leaf | AttributeLeaf):
            value = action.seen[left(leaf).name].value
            return value, _seen(decided.words(leaf), action.seen) if is_number(value) else None
    asked = [left(leaf).metric for leaf in leaves] or (rule.metrics if len(rule.metrics) == 1 else ())
    for metric in (each for each in asked if each is not None and each in action.seen):
        value, unit = action.seen[metric].value, unit_of(metric, None, rule.vocabulary)
        if value is not None:
            return value, seen_text(value) + unit_sign(unit) if is_number(value) else None
    return None, None


def _judged(rule: CompiledRule, action: Raise | Clear) -> tuple[CompiledRule, _Decided, Mapping[str, Any]]:
    """The rule as it decided, what it decided by, and that explained by what was seen."""
    rule = ignoring(rule, action.seen)
    is_raise = isinstance(action, Raise)
    decided = _decided(rule, is_raise)
    if isinstance(action, Raise) and action.why and decided.is_as_written:
        return rule, decided, condition_in(action.why)
    return rule, decided, decided.explain(action.seen)


def why_not(rule: CompiledRule, known: Mapping[str, Known]) -> str:
    """Why the rule does not fire: "temperature is 7.2 °C, not above 8 °C". ``known`` are the facts by input's name.

    Where its condition is true after all, what that rests on: "temperature is 9 °C, above 8 °C".
    """
    rule = ignoring(rule, known)
    return _standing(rule, _decided(rule, True), known)


def why_not_over(rule: CompiledRule, known: Mapping[str, Known]) -> str:
    """Why an alert that was raised is not over yet: "temperature is 6.5 °C, not below 6 °C (0.5 °C away)".

    Where what ends it is true after all, its wait is not over: "temperature is 5 °C, below 6 °C, but not yet for …".
    """
    rule = ignoring(rule, known)
    decided, clear = _decided(rule, False), rule.document.clear
    said, held = _standing(rule, decided, known), None if clear is None else clear.held_for
    if held is None or decided.explain(known)["is"] is not True:
        return said
    return f"{said}, but not yet for {spelled(held)}"


def _standing(rule: CompiledRule, decided: _Decided, known: Mapping[str, Known]) -> str:
    """What a condition that is true rests on, or what would have to be otherwise for it to be true."""
    tree = decided.explain(known)
    if tree["is"] is True:
        return _evidence(decided, tree, rule, known, is_past=False).removesuffix(",")
    missing = _missing_leaves(decided.plain, tree)
    return listed(list(dict.fromkeys(_not_so(decided, leaf, is_so, known) for leaf, is_so in missing)), "and")


def why_not_yet(rule: CompiledRule, known: Mapping[str, Known]) -> str:
    """Why a rule waits: what it sees, and what it still waits for."""
    rule = ignoring(rule, known)
    decided = _decided(rule, True)
    seen = _evidence(decided, decided.explain(known), rule, known, is_past=False).removesuffix(",")
    held = rule.document.held_for
    return f"{seen}, but " + ("it is too soon after the last time" if held is None else f"not yet for {spelled(held)}")


def _held(condition: Condition, held_for: Duration | None, vocabulary: Vocabulary) -> str:
    text = phrase(condition, vocabulary)
    if held_for is None:
        return text
    comma = "," if isinstance(normal(condition), All | AnyOf) else ""  # "a or b, for 2 minutes" means both
    return f"{text}{comma} for {spelled(held_for)}"


def _evidence(
    decided: _Decided,
    tree: Mapping[str, Any],
    rule: CompiledRule,
    seen: Mapping[str, Known],
    *,
    is_past: bool = True,
) -> str:
    """The leaves that made a condition in normal form true, as ``tree`` explains it, with what was seen."""
    facts = [_fact(decided, leaf, is_so, seen, is_past) for leaf, is_so in _true_leaves(decided.plain, tree)]
    if not facts:  # a value was missing; or what was seen when a wait was over is no longer what began it
        return _lack(rule, seen) or "its condition was met,"
    *others, last = dict.fromkeys(facts)
    text = f"{', '.join(others)}, and {last}" if others else last
    return f"{text}," if ", " in last else text


def _lack(rule: CompiledRule, seen: Mapping[str, Known]) -> str:
    """Which values were missing, where that moves the rule; '' where it does not."""
    missing = rule.document.missing
    gone = [name(metric, rule.vocabulary) for metric in rule.metrics if metric not in seen]
    if missing is None or missing.do not in (MissingDo.FIRE, MissingDo.CLEAR) or not gone:
        return ""
    return f"there was no {listed(gone, 'or')} for {spelled(missing.after)},"


def _true_leaves(condition: Condition, tree: Mapping[str, Any]) -> Iterator[tuple[AnyLeaf, bool]]:
    """The leaves, and whether they are so, that a true condition in normal form rests on; ``tree`` explains it."""
    if tree["is"] is not True:
        return
    if isinstance(condition, All | AnyOf):
        branches = tree["all" if isinstance(condition, All) else "any"]
        for part, branch in zip(condition.of, branches, strict=True):
            yield from _true_leaves(part, branch)
    else:
        yield _split(condition)


def _missing_leaves(condition: Condition, tree: Mapping[str, Any]) -> Iterator[tuple[AnyLeaf, bool]]:
    """The leaves that would have to be otherwise for a condition in normal form to be true."""
    if tree["is"] is True:
        return
    if isinstance(condition, All | AnyOf):
        branches = tree["all" if isinstance(condition, All) else "any"]
        for part, branch in zip(condition.of, branches, strict=True):
            yield from _missing_leaves(part, branch)
    else:
        yield _split(condition)


def _split(condition: Condition) -> tuple[AnyLeaf, bool]:
    """A leaf of a normal form, and whether it is asked for or its opposite."""
    leaf, is_so = (condition.of, False) if isinstance(condition, Not) else (condition, True)
    if isinstance(leaf, All | AnyOf | Not):
        raise ValueError("a condition must be in normal form to be put into words")
    return leaf, is_so


def _fact(decided: _Decided, leaf: AnyLeaf, is_so: bool, seen: Mapping[str, Known], is_past: bool) -> str:
    if not isinstance(leaf, Leaf | AttributeLeaf):
        return leaf_phrase(leaf, decided.vocabulary, is_so=is_so, is_past=is_past)
    words = decided.words(leaf)
    was = f"{words.asked} {'was' if is_past else 'is'} {_seen(words, seen)}"
    if isinstance(leaf.value, bool) or (leaf.op is Op.EQ and words.other is None):
        return was
    return f"{was}, {words.compared}{_against(words, seen)}"


def _not_so(decided: _Decided, leaf: AnyLeaf, is_so: bool, known: Mapping[str, Known]) -> str:
    """Why one leaf that is not true is not."""
    entry, vocabulary = known.get(left(leaf).name), decided.vocabulary
    if entry is None or entry.value is None:
        return f"it is not known whether {leaf_phrase(leaf, vocabulary, is_so=is_so)}"
    if not isinstance(leaf, Leaf | AttributeLeaf):
        return leaf_phrase(leaf, vocabulary, is_so=not is_so)
    words = decided.words(leaf)
    is_ = f"{words.asked} is {_seen(words, known)}"
    if isinstance(leaf.value, bool):
        return is_
    if words.other is not None:
        other = known.get(words.other)
        if other is None or other.value is None:
            return f"it is not known whether {leaf_phrase(leaf, vocabulary)}"
    if leaf.op is Op.NE and words.other is None:
        return is_
    said = words.compared.removeprefix("not ") if leaf.op is Op.NE else f"not {words.compared}"
    return f"{is_}, {said}{_against(words, known)}{_away(words, known)}"


def _away(words: _Words, known: Mapping[str, Known]) -> str:
    """How far what was seen is from the nearest limit, in the unit the author wrote: " (3.74 °C away)"."""
    seen = known[words.name].value
    if words.leaf.op not in _BY_ORDER or not is_number(seen):
        return ""
    value = seen if words.into is None else words.into(seen)
    gap = min((abs(each - value) for each in words.limits if is_number(each)), default=0)
    return f" ({seen_text(gap)}{words.sign} away)" if gap else ""


def _seen(words: _Words, seen: Mapping[str, Known]) -> str:
    """What was seen, in the unit the author wrote."""
    value = seen[words.name].value
    if isinstance(words.leaf, AttributeLeaf):
        return value_text(value)
    if words.yes_no is not None and isinstance(value, bool):
        return words.yes_no.state(value)
    if words.into is not None and isinstance(value, int | float) and not isinstance(value, bool):
        value = words.into(value)
    limits = words.limits
    if words.other is not None and words.other in seen:
        limits = (seen[words.other].value,)
    return seen_text(value, limits) + words.sign


def _against(words: _Words, seen: Mapping[str, Known]) -> str:
    """What the other side of a comparison was."""
    entry = None if words.other is None else seen.get(words.other)
    if entry is None or entry.value is None:
        return ""
    return f" ({seen_text(entry.value, [seen[words.name].value])}{words.other_sign})"


def _when(since: int, at: int, held_for: Duration | None) -> str:
    if at <= since:
        return f" at {_clock(at // MINUTE_MS, at // DAY_MS)}"
    lasted = spelled(held_for) if held_for is not None and held_for.ms == at - since else spelled_ms(at - since)
    return f" for {lasted} since {_clock(since // MINUTE_MS, at // DAY_MS)}"


@lru_cache(maxsize=1_024)
def _clock(minute: int, day: int) -> str:
    """The time of day of a minute (since 1970, UTC); with the date if it is not on that day. Many alerts share one."""
    at = from_ms(minute * MINUTE_MS)
    date = "" if minute * MINUTE_MS // DAY_MS == day else f"{at.day} {at:%b %Y} "
    return f"{date}{at.hour:02}:{at.minute:02} UTC"
