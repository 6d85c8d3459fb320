"""The linter: what a valid rule probably does not mean, said in plain English with a way out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce

from engine.rules.bearing import CLOCK, asked_by, is_counted
from engine.rules.feuds import Neighbour, feuds
from engine.rules.findings import MAX_PROBLEMS, UNITS_MS
from engine.rules.inputs import left
from engine.rules.logic import canonical
from engine.rules.mends import Mend, lasting, put, take_out
from engine.rules.model import (
    Aggregate,
    All,
    AnyOf,
    Changed,
    Condition,
    Delta,
    Duration,
    Fn,
    Leaf,
    MetricType,
    MissingDo,
    Not,
    Op,
    Operand,
    Rate,
    RuleDocument,
    Silence,
    Stuck,
    leaves,
)
from engine.rules.phrases import leaf_phrase, name, phrase, spelled, spelled_ms, unit_sign, value_text
from engine.rules.possible import Clash, Context, Possible
from engine.rules.reach import ALWAYS, Minutes, Reach, is_within, reach_of, within
from engine.rules.resolve import resolved, unit_of
from engine.rules.swings import swings
from engine.rules.vocabulary import Vocabulary
from engine.rules.windows import MOST_POINTS

MINUTE_MS = UNITS_MS["m"]


class Weight(StrEnum):
    """How much a finding matters: a rule with a problem cannot work, one with a warning may surprise."""

    PROBLEM = "problem"
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is probably not meant, its place in the document, and what would mend it.

    ``mend`` does that, where there is one obvious way.
    """

    weight: Weight
    path: str
    message: str
    suggestion: str | None = None
    mend: Mend | None = None


def lint(
    document: RuleDocument,
    vocabulary: Vocabulary,
    others: Sequence[Neighbour] = (),
    profiles: Mapping[str, str] | None = None,
) -> list[Finding]:
    """What is odd about a document that has passed ``check``, the gravest first; ``others`` are the tenant's rules.

    ``profiles``: the profile's key of devices that commands name, as far as it is known.
    """
    found = [
        *_logic(document, vocabulary),
        *_repeats(document, vocabulary),
        *_ranges(document, vocabulary),
        *_intervals(document, vocabulary),
        *_numbers(document, vocabulary),
        *(Finding(Weight(each.weight), *each[1:]) for each in swings(document, vocabulary)),
        *(
            Finding(Weight(feud.weight), feud.path, feud.message, feud.suggestion)
            for feud in feuds(document, others, profiles)
        ),
    ]
    order = list(Weight)
    return sorted(dict.fromkeys(found), key=lambda finding: order.index(finding.weight))[:MAX_PROBLEMS]


def _logic(document: RuleDocument, vocabulary: Vocabulary) -> Iterator[Finding]:
    """What can never be, what always is, what never lasts, and what can never clear: of the devices in scope."""
    ready = {path: resolved(condition, vocabulary) for path, condition in document.conditions}
    scope = asked_by(document.scope)
    possible = Possible()
    if not possible.walk(scope, "$.scope"):
        yield Finding(Weight.PROBLEM, "$.scope", f"No device can be in its scope: {_why(possible.clash, vocabulary)}.")
        return
    can_be = True
    for path, condition in ready.items():
        possible = Possible()
        ways = possible.walk(condition, path, beside=possible.walk(scope, "$.scope"))
        if not ways:
            can_be = False
            message = f"{_never(path, document)}: {_why(possible.clash, vocabulary, scope)}."
            yield Finding(Weight.PROBLEM, possible.clash_path(path), message)
            continue
        for branch, clash in possible.unreachable:
            message = f"This part can never be true: {_why(clash, vocabulary, scope)}."
            yield Finding(Weight.WARNING, branch, message, "Take it out, or mend its values.")
        if not _may_be_false(condition, scope):
            yield _always(path, document)
        yield from _too_short(path, ways, document)
    if can_be and "$.clear.when" in ready and _never_right(ready["$.when"], ready["$.clear.when"], scope):
        message = "It can never clear: whenever this is true, the rule still says that something is wrong."
        yield Finding(Weight.PROBLEM, "$.clear.when", message, "Let it clear where it does not fire.")


def _never(path: str, document: RuleDocument) -> str:
    """What it means that a condition can never be true; a value that is missing may decide all the same."""
    does, so = ("fire", MissingDo.FIRE) if path == "$.when" else ("clear", MissingDo.CLEAR)
    if document.missing is not None and document.missing.do is so:
        return f"Only a missing value can make it {does}"
    return f"It can never {does}"


def _may_be_false(condition: Condition, scope: Condition) -> bool:
    possible = Possible(is_known=False)
    return bool(possible.walk(condition, "$", negated=True, beside=possible.walk(scope, "$")))


def _too_short(path: str, ways: Sequence[Context], document: RuleDocument) -> Iterator[Finding]:
    """A wait that is longer than the times of day last at which its condition can be true."""
    held = document.held_for if path == "$.when" or document.clear is None else document.clear.held_for
    if held is None or document.schedule is not None:  # a schedule looks at single moments
        return
    for clock in sorted({subject for way in ways for subject in way if subject.startswith(CLOCK)}):
        minutes = [way[clock].reach if clock in way else ALWAYS for way in ways]
        whole = reduce(Minutes.join, (each for each in minutes if isinstance(each, Minutes)))
        if whole.longest is not None and whole.longest * MINUTE_MS < held.ms:
            lasts = spelled_ms(whole.longest * MINUTE_MS)
            message = f"{_never(path, document)}: its times last {lasts} at most, and it waits for {spelled(held)}."
            place = path.removesuffix("when") + "for"
            yield Finding(Weight.PROBLEM, place, message, f"Let it wait for less than {lasts}.")
            return


def _always(path: str, document: RuleDocument) -> Finding:
    if path != "$.when":
        return Finding(Weight.WARNING, path, "This is always true, so it says nothing.", "Leave the condition out.")
    if document.schedule is not None:
        return Finding(Weight.HINT, path, "This is always true, so the schedule alone decides.")
    message = "This is always true once its values are known: it fires for every device and never clears."
    return Finding(Weight.PROBLEM, path, message, "Mend its values.")


def _never_right(when: Condition, clear: Condition, scope: Condition) -> bool:
    possible = Possible(is_known=False)
    ways = possible.walk(clear, "$", beside=possible.walk(scope, "$"))
    return not possible.walk(when, "$", negated=True, beside=ways)


def _why(clash: Clash | None, vocabulary: Vocabulary, scope: Condition | None = None) -> str:
    """Why a condition cannot be true; ``scope`` is what is asked of every device, beside the condition itself."""
    if clash is None or len(clash) < 2:
        counted = next((leaf for leaf, _ in clash or () if is_counted(left(leaf))), None)
        most = 0 if counted is None else left(counted).last or MOST_POINTS
        return "no value makes it true" if counted is None else f"a count is a whole number from 0 to {most:,}"
    said = list(dict.fromkeys(leaf_phrase(leaf, vocabulary, is_so=not negated) for leaf, negated in clash))
    if any(negated and isinstance(leaf, Leaf) for leaf, negated in clash):
        said = list(dict.fromkeys(phrase(Not(leaf) if negated else leaf, vocabulary) for leaf, negated in clash))
    asked = [] if scope is None else [leaf for _, leaf in leaves(scope)]
    scoped = any(leaf in asked for leaf, _ in clash)
    return f"{' and '.join(said)} cannot be at once{', and its scope decides one of them' if scoped else ''}"


def _repeats(document: RuleDocument, vocabulary: Vocabulary) -> Iterator[Finding]:
    for path, condition in document.conditions:
        yield from _repeated(condition, path, vocabulary)


def _repeated(condition: Condition, path: str, vocabulary: Vocabulary) -> Iterator[Finding]:
    if isinstance(condition, Not):
        yield from _repeated(condition.of, f"{path}.not", vocabulary)
    if not isinstance(condition, All | AnyOf):
        return
    word = "all" if isinstance(condition, All) else "any"
    met: list[tuple[object, Condition, Reach | None, str]] = []
    for at, part in enumerate(condition.of):
        ready = resolved(part, vocabulary)
        place, form, reach = f"{path}.{word}[{at}]", canonical(ready), _compared(ready)
        if any(form == other for other, _, _, _ in met):
            mend = take_out(place, "take this one out")
            yield Finding(Weight.HINT, place, "This is there twice.", "Take one of them out.", mend)
        elif wider := next(
            ((found, at) for _, other, theirs, at in met if (found := _says_nothing(part, reach, other, theirs, word))),
            None,
        ):
            (spare, kept), elsewhere = wider
            said = f"“{phrase(spare, vocabulary)}”"
            message = f"{said} says nothing beside “{phrase(kept, vocabulary)}”."
            mend = take_out(place if spare is part else elsewhere, f"take {said} out")
            yield Finding(Weight.HINT, place, message, "Take out the one that says nothing.", mend)
        met.append((form, part, reach, place))
        yield from _repeated(part, place, vocabulary)


def _compared(condition: Condition) -> Reach | None:
    """The values that make a comparison of a metric true."""
    return reach_of(condition) if isinstance(condition, Leaf) else None


def _says_nothing(
    one: Condition, ours: Reach | None, other: Condition, theirs: Reach | None, word: str
) -> tuple[Condition, Condition] | None:
    """Of two comparisons of the same thing, the one that follows from the other (in ``any``: that leads to it)."""
    if not isinstance(one, Leaf) or not isinstance(other, Leaf) or left(one) != left(other):
        return None
    if ours is None or theirs is None:
        return None
    if is_within(ours, theirs):
        return (other, one) if word == "all" else (one, other)
    if is_within(theirs, ours):
        return (one, other) if word == "all" else (other, one)
    return None


def _ranges(document: RuleDocument, vocabulary: Vocabulary) -> Iterator[Finding]:
    """Thresholds that lie outside what the profile says the metric can be."""
    for path, condition in document.conditions:
        for place, leaf in leaves(condition, path):
            if isinstance(leaf, Leaf) and not isinstance(leaf.value, Operand):
                yield from _out_of_range(leaf, place, vocabulary)


def _out_of_range(leaf: Leaf, path: str, vocabulary: Vocabulary) -> Iterator[Finding]:
    metric = vocabulary.metrics.get(leaf.metric)
    keeps_range = leaf.how is None or (isinstance(leaf.how, Aggregate) and leaf.how.fn in (Fn.AVG, Fn.MIN, Fn.MAX))
    if metric is None or not keeps_range or metric.type is not MetricType.NUMBER:
        return
    if metric.min is None and metric.max is None:
        return
    ready = resolved(leaf, vocabulary)
    assert isinstance(ready, Leaf)
    reach, limits = reach_of(ready), within(metric.min, metric.max)
    if reach is None:
        return
    said = f"{name(metric.key, vocabulary)} is {_range_said(metric.min, metric.max)}{unit_sign(metric.unit)}"
    mend = "Check the value and its unit, or the range in the device profile."
    if reach.cut(limits).is_empty:
        message = f"This can never be true: by its profile, {said}."
        yield Finding(Weight.WARNING, f"{path}.value", message, mend)
    elif is_within(limits, reach):
        message = f"This is always true: by its profile, {said}."
        yield Finding(Weight.WARNING, f"{path}.value", message, mend)


def _range_said(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {value_text(high)}"
    return f"at least {value_text(low)}" if high is None else f"between {value_text(low)} and {value_text(high)}"


def _intervals(document: RuleDocument, vocabulary: Vocabulary) -> Iterator[Finding]:
    """Waits and windows that are shorter than the time between two reports."""
    every_ms = (vocabulary.interval_s or 0) * 1_000
    if not every_ms:
        return
    reports = f"its devices report every {spelled_ms(every_ms)}"
    for path, condition in document.conditions:
        for place, leaf in leaves(condition, path):
            if (window := _window(leaf)) is None:
                continue
            field, over, needed, message = window
            if over.ms < needed * every_ms:
                mend = _longer(f"{place}.{field}", 2 * needed * every_ms)
                longer = f"Make it at least {spelled_ms(2 * needed * every_ms)}."
                yield Finding(Weight.WARNING, f"{place}.{field}", f"{message}: {reports}.", longer, mend)
    if document.held_for is not None and document.held_for.ms < every_ms and _is_read(document.when):
        message = f"Nothing can come within {spelled(document.held_for)}, so a single value decides: {reports}."
        mend = _longer("$.for", 2 * every_ms)
        yield Finding(Weight.HINT, "$.for", message, f"Make it longer than {spelled_ms(every_ms)}.", mend)
    if document.missing is not None and document.missing.after.ms <= every_ms:
        message = f"Values count as missing between any two reports: {reports}."
        longer, mend = f"Make it at least {spelled_ms(3 * every_ms)}.", _longer("$.missing.after", 3 * every_ms)
        yield Finding(Weight.WARNING, "$.missing.after", message, longer, mend)


def _longer(path: str, length_ms: int) -> Mend | None:
    return lasting(path, length_ms, f"make it {spelled_ms(length_ms)}")


def _window(leaf: object) -> tuple[str, Duration, int, str] | None:
    """A leaf's window: its field, its length, how many reports it needs, and what is wrong if it is shorter."""
    match leaf:
        case Leaf(how=Aggregate(over=Duration() as over)):
            return "agg.over", over, 1, "This window is often empty"
        case Leaf(how=Rate(over=over)):
            return "rate.over", over, 2, "This window rarely holds the two values a rate needs"
        case Leaf(how=Delta(over=over)):
            return "delta.over", over, 1, "Nothing changes within one report"
        case Changed(over=over):
            return "changed.over", over, 1, "This window rarely holds two values"
        case Stuck(held_for=held_for):
            return "stuck.for", held_for, 2, "This is too short to see that a value stands still"
        case Silence(held_for=held_for):
            return "silence", held_for, 1, "Silence between two reports is no fault"
    return None


def _is_read(condition: Condition) -> bool:
    return any(isinstance(leaf, Leaf) for _, leaf in leaves(condition))


def _numbers(document: RuleDocument, vocabulary: Vocabulary) -> Iterator[Finding]:
    """Sums of temperatures, and measured numbers that are expected to be exact."""
    for path, condition in document.conditions:
        for place, leaf in leaves(condition, path):
            if not isinstance(leaf, Leaf):
                continue
            if isinstance(leaf.how, Aggregate) and leaf.how.fn is Fn.SUM:
                unit = unit_of(leaf.metric, leaf.how, vocabulary)
                if unit in ("degC", "degF", "percent", "°C", "°F", "%"):
                    message = f"A sum of{unit_sign(unit)} means nothing: it grows with the number of values."
                    mend = put(f"{place}.agg.fn", Fn.AVG.value, "use the average")
                    yield Finding(Weight.WARNING, f"{place}.agg.fn", message, "Use “avg”.", mend)
            is_exact = leaf.op in (Op.EQ, Op.NE) and isinstance(leaf.value, float) and not leaf.value.is_integer()
            if is_exact and leaf.how is None:
                message = "A measured number is rarely exactly this."
                yield Finding(Weight.HINT, f"{place}.op", message, "Use “between” or a threshold.")


def worst(findings: Iterable[Finding]) -> Weight | None:
    """The gravest weight among ``findings``, None if there are none."""
    return next(iter(sorted((finding.weight for finding in findings), key=list(Weight).index)), None)
