"""The linter: what a valid rule probably does not mean, said in plain English with a way out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.rules.feuds import Neighbour, feuds
from engine.rules.findings import MAX_PROBLEMS
from engine.rules.inputs import left
from engine.rules.logic import canonical
from engine.rules.model import (
    Aggregate,
    All,
    AnyOf,
    Changed,
    Condition,
    Delta,
    DeviceEvent,
    Duration,
    Fn,
    Leaf,
    MetricType,
    Not,
    Op,
    Operand,
    Place,
    Rate,
    RuleDocument,
    Silence,
    Stuck,
    Whereabouts,
    leaves,
)
from engine.rules.phrases import leaf_phrase, name, phrase, spelled, spelled_ms, unit_sign, value_text
from engine.rules.possible import Clash, Possible
from engine.rules.reach import is_within, reach_of, within
from engine.rules.resolve import resolved, unit_of
from engine.rules.vocabulary import Vocabulary


class Weight(StrEnum):
    """How much a finding matters: a rule with a problem cannot work, one with a warning may surprise."""

    PROBLEM = "problem"
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is probably not meant, its place in the document, and what would mend it."""

    weight: Weight
    path: str
    message: str
    suggestion: str | None = None


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
        *_moments(document, vocabulary),
        *_ranges(document, vocabulary),
        *_swings(document, vocabulary),
        *_intervals(document, vocabulary),
        *_numbers(document, vocabulary),
        *(
            Finding(Weight(feud.weight), feud.path, feud.message, feud.suggestion)
            for feud in feuds(document, others, profiles)
        ),
    ]
    order = list(Weight)
    return sorted(dict.fromkeys(found), key=lambda finding: order.index(finding.weight))[:MAX_PROBLEMS]


def _logic(document: RuleDocument, vocabulary: Vocabulary) -> Iterator[Finding]:
    """What can never be, what always is, and what can never clear."""
    ready = {path: resolved(condition, vocabulary) for path, condition in document.conditions}
    can_be = True
    for path, condition in ready.items():
        possible = Possible()
        if possible.walk(condition, path) is None:
            can_be = False
            word = "It can never fire" if path == "$.when" else "It can never clear"
            yield Finding(Weight.PROBLEM, possible.clash_path(path), f"{word}: {_why(possible.clash, vocabulary)}.")
            continue
        for branch, clash in possible.unreachable:
            message = f"This part can never be true: {_why(clash, vocabulary)}."
            yield Finding(Weight.WARNING, branch, message, "Take it out, or mend its values.")
        if Possible().walk(condition, path, negated=True) is None:
            yield _always(path, document)
    if can_be and "$.clear.when" in ready and _never_right(ready["$.when"], ready["$.clear.when"]):
        message = "It can never clear: whenever this is true, the rule still says that something is wrong."
        yield Finding(Weight.PROBLEM, "$.clear.when", message, "Let it clear where it does not fire.")


def _always(path: str, document: RuleDocument) -> Finding:
    if path != "$.when":
        return Finding(Weight.WARNING, path, "This is always true, so it says nothing.", "Leave the condition out.")
    if document.schedule is not None:
        return Finding(Weight.HINT, path, "This is always true, so the schedule alone decides.")
    message = "This is always true once its values are known: it fires for every device and never clears."
    return Finding(Weight.PROBLEM, path, message, "Mend its values.")


def _never_right(when: Condition, clear: Condition) -> bool:
    possible = Possible()
    context = possible.walk(clear, "$")
    return context is None or possible.walk(when, "$", negated=True, context=context) is None


def _why(clash: Clash | None, vocabulary: Vocabulary) -> str:
    if clash is None or len(clash) < 2:
        return "no value makes it true"
    said = list(dict.fromkeys(leaf_phrase(leaf, vocabulary, is_so=not negated) for leaf, negated in clash))
    if any(negated and isinstance(leaf, Leaf) for leaf, negated in clash):
        said = list(dict.fromkeys(phrase(Not(leaf) if negated else leaf, vocabulary) for leaf, negated in clash))
    return f"{' and '.join(said)} cannot be at once"


def _repeats(document: RuleDocument, vocabulary: Vocabulary) -> Iterator[Finding]:
    for path, condition in document.conditions:
        yield from _repeated(condition, path, vocabulary)


def _repeated(condition: Condition, path: str, vocabulary: Vocabulary) -> Iterator[Finding]:
    if isinstance(condition, Not):
        yield from _repeated(condition.of, f"{path}.not", vocabulary)
    if not isinstance(condition, All | AnyOf):
        return
    word = "all" if isinstance(condition, All) else "any"
    met: list[tuple[object, Condition]] = []
    for at, part in enumerate(condition.of):
        place, form = f"{path}.{word}[{at}]", canonical(resolved(part, vocabulary))
        if any(form == other for other, _ in met):
            yield Finding(Weight.HINT, place, "This is there twice.", "Take one of them out.")
        elif wider := next(filter(None, (_says_nothing(part, other, word, vocabulary) for _, other in met)), None):
            spare, kept = wider
            message = f"“{phrase(spare, vocabulary)}” says nothing beside “{phrase(kept, vocabulary)}”."
            yield Finding(Weight.HINT, place, message, "Take out the one that says nothing.")
        met.append((form, part))
        yield from _repeated(part, place, vocabulary)


def _says_nothing(
    one: Condition, other: Condition, word: str, vocabulary: Vocabulary
) -> tuple[Condition, Condition] | None:
    """Of two comparisons of the same thing, the one that follows from the other (in ``any``: that leads to it)."""
    if not isinstance(one, Leaf) or not isinstance(other, Leaf) or left(one) != left(other):
        return None
    narrow, wide = resolved(one, vocabulary), resolved(other, vocabulary)
    assert isinstance(narrow, Leaf)
    assert isinstance(wide, Leaf)
    ours, theirs = reach_of(narrow), reach_of(wide)
    if ours is None or theirs is None:
        return None
    if is_within(ours, theirs):
        return (other, one) if word == "all" else (one, other)
    if is_within(theirs, ours):
        return (one, other) if word == "all" else (other, one)
    return None


def _moments(document: RuleDocument, vocabulary: Vocabulary) -> Iterator[Finding]:
    """A wait for something that is true of a moment only."""
    clearing = None if document.clear is None else document.clear.held_for
    for path, condition in document.conditions:
        held_for = document.held_for if path == "$.when" else clearing
        if held_for is None:
            continue
        moment = next(_momentary(condition, path), None)
        if moment is not None:
            said, place = leaf_phrase(moment[1], vocabulary), path.removesuffix("when") + "for"
            message = f"“{said}” is true of a moment only, so it is never so for {spelled(held_for)}."
            yield Finding(Weight.PROBLEM, place, message, 'Leave out "for".')


def _momentary(condition: Condition, path: str) -> Iterator[tuple[str, DeviceEvent | Place]]:
    """The momentary leaves without which ``condition`` cannot be true."""
    match condition:
        case DeviceEvent():
            yield path, condition
        case Place(is_=Whereabouts.ENTERED | Whereabouts.LEFT):
            yield path, condition
        case All(of=parts):
            for at, part in enumerate(parts):
                yield from _momentary(part, f"{path}.all[{at}]")
        case AnyOf(of=parts):
            found = [next(_momentary(part, path), None) for part in parts]
            if all(each is not None for each in found):
                yield from (each for each in found if each is not None)


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


def _swings(document: RuleDocument, vocabulary: Vocabulary) -> Iterator[Finding]:
    """A bare threshold, which a noisy value crosses again and again."""
    if document.held_for is not None or document.clear is not None or document.schedule is not None:
        return
    bare = [(path, leaf) for path, leaf in leaves(document.when, "$.when") if isinstance(leaf, Leaf)]
    for path, leaf in bare:
        is_threshold = leaf.op in (Op.LT, Op.LE, Op.GT, Op.GE) and not isinstance(leaf.value, Operand | tuple | str)
        if is_threshold and leaf.how is None:
            value = float(leaf.value)  # type: ignore[arg-type]  # a threshold is a number
            back = value - _slack(value) if leaf.op in (Op.GT, Op.GE) else value + _slack(value)
            unit = unit_sign(leaf.unit or unit_of(leaf.metric, None, vocabulary))
            side = "below" if leaf.op in (Op.GT, Op.GE) else "above"
            message = f"A value that swings around {value_text(value)}{unit} fires and clears again and again."
            mend = f"Let it wait some minutes, or clear only {side} {value_text(back)}{unit}."
            yield Finding(Weight.WARNING, path, message, mend)
            return


def _slack(value: float) -> float:
    """A distance that noise rarely covers: a twentieth, said in round numbers."""
    return float(f"{abs(value) / 20:.1g}") or 1.0


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
                longer = f"Make it at least {spelled_ms(2 * needed * every_ms)}."
                yield Finding(Weight.WARNING, f"{place}.{field}", f"{message}: {reports}.", longer)
    if document.held_for is not None and document.held_for.ms < every_ms and _is_read(document.when):
        message = f"Nothing can come within {spelled(document.held_for)}, so a single value decides: {reports}."
        yield Finding(Weight.HINT, "$.for", message, f"Make it longer than {spelled_ms(every_ms)}.")
    if document.missing is not None and document.missing.after.ms <= every_ms:
        message = f"Values count as missing between any two reports: {reports}."
        mend = f"Make it at least {spelled_ms(3 * every_ms)}."
        yield Finding(Weight.WARNING, "$.missing.after", message, mend)


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
                    yield Finding(Weight.WARNING, f"{place}.agg.fn", message, 'Use "avg".')
            is_exact = leaf.op in (Op.EQ, Op.NE) and isinstance(leaf.value, float) and not leaf.value.is_integer()
            if is_exact and leaf.how is None:
                message = "A measured number is rarely exactly this."
                yield Finding(Weight.HINT, f"{place}.op", message, 'Use "between" or a threshold.')


def worst(findings: Iterable[Finding]) -> Weight | None:
    """The gravest weight among ``findings``, None if there are none."""
    return next(iter(sorted((finding.weight for finding in findings), key=list(Weight).index)), None)
