"""What a rule may speak of: the metrics of a device profile with types and units, and whether it does so rightly."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from engine.rules.errors import Problem
from engine.rules.findings import clip, closest, is_number, shown
from engine.rules.model import OPS_OF, Leaf, MetricType, Op, RuleDocument, Scalar, leaves

SAID = {MetricType.NUMBER: "a number", MetricType.BOOLEAN: "true or false", MetricType.STRING: "a text"}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a profile: its key in the messages, the type of its values, its unit and its name for people."""

    key: str
    type: MetricType
    unit: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The metrics a rule may read, by key. ``clashing`` have different types or units in different profiles."""

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    clashing: frozenset[str] = frozenset()

    @classmethod
    def of(cls, metrics: Iterable[Metric]) -> "Vocabulary":
        """The vocabulary of one profile."""
        return cls({metric.key: metric for metric in metrics})

    @classmethod
    def union(cls, vocabularies: Iterable["Vocabulary"]) -> "Vocabulary":
        """The vocabulary for a rule over all profiles: what they agree on; the rest is known to clash."""
        metrics: dict[str, Metric] = {}
        clashing: set[str] = set()
        for vocabulary in vocabularies:
            clashing |= vocabulary.clashing
            for key, metric in vocabulary.metrics.items():
                known = metrics.setdefault(key, metric)
                if (known.type, known.unit) != (metric.type, metric.unit):
                    clashing.add(key)
        return cls({key: metric for key, metric in metrics.items() if key not in clashing}, frozenset(clashing))


def check(document: RuleDocument, vocabulary: Vocabulary) -> list[Problem]:
    """What is wrong with the document's use of metrics, types and units; each problem names its leaf."""
    return [
        problem
        for path, condition in document.conditions
        for place, leaf in leaves(condition, path)
        for problem in _check_leaf(leaf, place, vocabulary)
    ]


def _check_leaf(leaf: Leaf, path: str, vocabulary: Vocabulary) -> Iterator[Problem]:
    metric = vocabulary.metrics.get(leaf.metric)
    if metric is None:
        yield _unknown(leaf, path, vocabulary)
        return
    allowed = [op.value for op in Op if op in OPS_OF[metric.type]]
    if leaf.op.value not in allowed:
        message = f'"{metric.key}" is {SAID[metric.type]}, which cannot be compared with "{leaf.op.value}".'
        yield Problem(f"{path}.op", message, f"Use one of: {', '.join(allowed)}.")
    values = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
    wrong = next((value for value in values if not _is_a(value, metric.type)), None)
    if wrong is not None:
        message = f'"{metric.key}" is {SAID[metric.type]}, so it cannot be compared with {shown(wrong)}.'
        yield Problem(f"{path}.value", message, _instead(wrong, metric.type))
    if leaf.unit is not None and leaf.unit != metric.unit:
        measured = f'is measured in "{metric.unit}"' if metric.unit else "has no unit"
        mend = f'Give the value in "{metric.unit}".' if metric.unit else "Leave the unit out."
        yield Problem(f"{path}.unit", f'"{metric.key}" {measured}, not in "{clip(leaf.unit)}".', mend)


def _unknown(leaf: Leaf, path: str, vocabulary: Vocabulary) -> Problem:
    named = clip(leaf.metric)
    if leaf.metric in vocabulary.clashing:
        message = f'"{named}" is of different types or units in different profiles.'
        return Problem(f"{path}.metric", message, "Choose one profile for this rule.")
    by_label = {metric.label: key for key, metric in vocabulary.metrics.items() if metric.label}
    if leaf.metric in by_label:
        return Problem(f"{path}.metric", f'There is no metric "{named}".', f'Did you mean "{by_label[leaf.metric]}"?')
    some = ", ".join(list(vocabulary.metrics)[:5])
    listed = f"There are: {some}." if some else "Add metrics to the device profile first."
    return Problem(
        f"{path}.metric", f'There is no metric "{named}".', closest(leaf.metric, vocabulary.metrics) or listed
    )


def _is_a(value: Scalar, kind: MetricType) -> bool:
    match kind:
        case MetricType.NUMBER:
            return is_number(value)
        case MetricType.BOOLEAN:
            return isinstance(value, bool)
        case MetricType.STRING:
            return isinstance(value, str)


def _instead(value: Scalar, kind: MetricType) -> str | None:
    """What the author probably meant by a value of the wrong type."""
    if kind is MetricType.BOOLEAN:
        return "Use true or false, without quotes."
    if kind is MetricType.STRING:
        return f'Put it in quotes: "{clip(str(value))}".' if is_number(value) else "Put it in quotes."
    try:
        return f"Leave the quotes out: {float(value):g}." if isinstance(value, str) else None
    except ValueError:
        return None
