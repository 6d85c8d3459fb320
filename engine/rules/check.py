"""The typecheck of a rule: each misuse of a metric, a unit or a name is said with its leaf, and what would mend it."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from engine.devices.declared import check_arguments
from engine.rules.errors import Problem
from engine.rules.findings import MAX_PROBLEMS, clip, closest, is_number, shown
from engine.rules.logic import compared_as
from engine.rules.model import (
    OPS_OF,
    Aggregate,
    AnyLeaf,
    AttributeLeaf,
    AttributeValue,
    CallWebhook,
    Changed,
    DeriveMetric,
    Fn,
    InGroup,
    Leaf,
    MetricType,
    Notify,
    OfProfile,
    Op,
    Operand,
    OtherMetric,
    Past,
    Place,
    RuleDocument,
    Scalar,
    SendCommand,
    SetAttribute,
    Stuck,
    Tagged,
    Then,
    WindowValue,
    leaves,
)
from engine.rules.placeholders import metrics_in, names_in
from engine.rules.resolve import is_difference, unit_of
from engine.rules.vocabulary import SAID, UNKNOWN, Metric, Surroundings, Vocabulary
from engine.units import conversion, is_known, siblings


def check(document: RuleDocument, vocabulary: Vocabulary, surroundings: Surroundings = UNKNOWN) -> list[Problem]:
    """What is wrong with the document's use of metrics, types, units and names; each problem names its place.

    At most ``MAX_PROBLEMS`` are looked for: each comes with a suggestion, and these are dear.
    """
    return list(islice(_problems(document, vocabulary, surroundings), MAX_PROBLEMS))


def _problems(document: RuleDocument, vocabulary: Vocabulary, surroundings: Surroundings) -> Iterator[Problem]:
    for path, condition in document.conditions:
        for place, leaf in leaves(condition, path):
            yield from _check_leaf(leaf, place, vocabulary)
            yield from _check_names(leaf, place, surroundings)
    yield from _check_scope(document, surroundings)
    for path, then in document.actions:
        yield from _check_action(then, path, vocabulary, surroundings)
    for at, example in enumerate(document.examples or ()):
        for message, given in enumerate(example.given):
            for key, _ in given.values:
                yield from _named(key, f"$.tests[{at}].given[{message}].{clip(key)}", vocabulary)


def _check_leaf(leaf: AnyLeaf, path: str, vocabulary: Vocabulary) -> Iterator[Problem]:
    match leaf:
        case Leaf():
            yield from _check_comparison(leaf, path, vocabulary)
        case AttributeLeaf(attribute=key):
            kind = compared_as(leaf, {})
            yield from _check_op(f"“{clip(key)}”", leaf.op, kind, path)
        case Changed(metric=key):
            yield from _of_type(key, f"{path}.metric", tuple(MetricType)[:3], "can be watched for a change", vocabulary)
        case Stuck(metric=key, within=within):
            wanted = tuple(MetricType)[:3] if not within else (MetricType.NUMBER,)
            yield from _of_type(key, f"{path}.metric", wanted, "can be watched for standing still", vocabulary)
        case Place(metric=key):
            said = "can be a place: an object with lat and lon"
            yield from _of_type(key, f"{path}.place.metric", (MetricType.OBJECT,), said, vocabulary)


def _of_type(
    key: str, path: str, wanted: tuple[MetricType, ...], said: str, vocabulary: Vocabulary
) -> Iterator[Problem]:
    metric = vocabulary.metrics.get(key)
    if metric is None:
        yield unknown(key, path, vocabulary)
    elif metric.type not in wanted:
        fitting = [other.key for other in vocabulary.metrics.values() if other.type in wanted][:5]
        mend = f"Use one of: {', '.join(fitting)}." if fitting else None
        kinds = " or ".join(SAID[kind] for kind in wanted)
        yield Problem(path, f"“{key}” is {SAID[metric.type]}; only {kinds} {said}.", mend)


def _check_comparison(leaf: Leaf, path: str, vocabulary: Vocabulary) -> Iterator[Problem]:
    metric = vocabulary.metrics.get(leaf.metric)
    if metric is None:
        yield unknown(leaf.metric, f"{path}.metric", vocabulary)
        return
    if metric.type is MetricType.OBJECT:
        yield Problem(f"{path}.metric", f"“{metric.key}” is an object, which cannot be compared.", "Ask for a place.")
        return
    is_count = isinstance(leaf.how, Aggregate) and leaf.how.fn is Fn.COUNT
    if leaf.how is not None and not is_count and metric.type is not MetricType.NUMBER:
        names = {Fn.AVG: "average", Fn.MIN: "lowest value", Fn.MAX: "highest value", Fn.SUM: "sum"}
        word = names[leaf.how.fn] if isinstance(leaf.how, Aggregate) else "rate or difference"
        yield Problem(f"{path}.metric", f"“{metric.key}” is {SAID[metric.type]}, so it has no {word}.", "Count it.")
        return
    kind = metric.type if leaf.how is None else MetricType.NUMBER
    yield from _check_op(f"“{metric.key}”", leaf.op, kind, path)
    yield from _check_unit(leaf, metric, path, vocabulary)
    if isinstance(leaf.value, Operand):
        yield from _check_operand(leaf, leaf.value, kind, path, vocabulary)
        return
    values = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
    wrong = next((value for value in values if not _is_a(value, kind)), None)
    if wrong is not None:
        message = f"“{metric.key}” is {SAID[kind]}, so it cannot be compared with {shown(wrong)}."
        yield Problem(f"{path}.value", message, _instead(wrong, kind))


def _check_op(said: str, op: Op, kind: MetricType, path: str) -> Iterator[Problem]:
    allowed = [each.value for each in Op if each in OPS_OF[kind]]
    if op.value not in allowed:
        message = f"{said} is {SAID[kind]}, which cannot be compared with “{op.value}”."
        yield Problem(f"{path}.op", message, f"Use one of: {', '.join(allowed)}.")


def _check_unit(leaf: Leaf, metric: Metric, path: str, vocabulary: Vocabulary) -> Iterator[Problem]:
    if leaf.unit is None:
        return
    own = unit_of(leaf.metric, leaf.how, vocabulary)
    if conversion(leaf.unit, own, is_difference=is_difference(leaf.how)) is not None:
        if leaf.unit != own and isinstance(leaf.value, AttributeValue | Past):
            yield Problem(f"{path}.unit", f"What is compared here is in “{own}”.", "Leave the unit out.")
        return
    measured = f"is measured in “{own}”" if own else "has no unit"
    if isinstance(leaf.how, Aggregate) and leaf.how.fn is Fn.COUNT:
        measured = "is counted, so it has no unit"
    near = closest(leaf.unit, siblings(own)) if own and not is_known(leaf.unit) else None
    mend = near or (f"Give the value in “{own}”." if own else "Leave the unit out.")
    yield Problem(f"{path}.unit", f"“{metric.key}” {measured}, not in “{clip(leaf.unit)}”.", mend)


def _check_operand(
    leaf: Leaf, operand: Operand, kind: MetricType, path: str, vocabulary: Vocabulary
) -> Iterator[Problem]:
    if isinstance(operand, AttributeValue):
        return  # an attribute of another type is unknown: devices differ in what they have
    other = vocabulary.metrics.get(operand.metric)
    if other is None:
        yield unknown(operand.metric, f"{path}.value.metric", vocabulary)
        return
    if other.type is not kind:
        message = f"“{leaf.metric}” is {SAID[kind]} here, and “{other.key}” is {SAID[other.type]}: they never compare."
        yield Problem(f"{path}.value.metric", message, _alike(kind, vocabulary))
        return
    is_scaled = isinstance(operand, OtherMetric) and (operand.plus is not None or operand.times is not None)
    if is_scaled and kind is not MetricType.NUMBER:
        yield Problem(f"{path}.value", f"“{other.key}” is {SAID[other.type]}, so nothing can be added or multiplied.")
    own, theirs = leaf.unit or unit_of(leaf.metric, leaf.how, vocabulary), other.unit
    is_counted = isinstance(leaf.how, Aggregate) and leaf.how.fn is Fn.COUNT
    same = conversion(theirs, own, is_difference=is_difference(leaf.how))
    if is_counted or (same is not None and (theirs == own or not isinstance(operand, Past))):
        return
    said = [f"“{key}” {_in(unit)}" for key, unit in ((leaf.metric, own), (other.key, theirs))]
    yield Problem(f"{path}.value.metric", f"{said[0]}, {said[1]}: they cannot be compared.", _alike(kind, vocabulary))


def _in(unit: str | None) -> str:
    return f"is in “{unit}”" if unit else "has no unit"


def _alike(kind: MetricType, vocabulary: Vocabulary) -> str | None:
    fitting = [metric.key for metric in vocabulary.metrics.values() if metric.type is kind][:5]
    return f"There are: {', '.join(fitting)}." if fitting else None


def _named(key: str, path: str, vocabulary: Vocabulary) -> Iterator[Problem]:
    if key not in vocabulary.metrics:
        yield unknown(key, path, vocabulary)


def unknown(key: str, path: str, vocabulary: Vocabulary) -> Problem:
    """The problem that ``key`` is no metric here, with the nearest one that is."""
    named = clip(key)
    if key in vocabulary.clashing:
        message = f"“{named}” is of different types or units in different profiles."
        return Problem(path, message, "Choose one profile for this rule.")
    by_label = {metric.label: key for key, metric in vocabulary.metrics.items() if metric.label}
    if key in by_label:
        return Problem(path, f"There is no metric “{named}”.", f"Did you mean “{by_label[key]}”?")
    some = ", ".join(list(vocabulary.metrics)[:5])
    listed = f"There are: {some}." if some else "Add metrics to the device profile first."
    return Problem(path, f"There is no metric “{named}”.", closest(key, vocabulary.metrics) or listed)


def _check_names(leaf: AnyLeaf, path: str, names: Surroundings) -> Iterator[Problem]:
    match leaf:
        case AttributeLeaf(attribute=key):
            yield from _exists(key, f"{path}.attribute", names.attributes, "attribute")
        case Leaf(value=AttributeValue(attribute=key)):
            yield from _exists(key, f"{path}.value.attribute", names.attributes, "attribute")
        case Tagged(tag=key):
            yield from _exists(key, f"{path}.tag", names.tags, "tag")
        case InGroup(group=key):
            yield from _exists(key, f"{path}.group", names.groups, "group", is_id=True)
        case OfProfile(profile=key):
            yield from _exists(key, f"{path}.profile", names.profiles, "profile")


def _exists(key: str, path: str, known: Iterable[str] | None, what: str, *, is_id: bool = False) -> Iterator[Problem]:
    if known is None or key in known:
        return
    if is_id:
        yield Problem(path, f"There is no {what} with this id.", "Choose one from the list.")
        return
    some = ", ".join(sorted(known)[:5])
    mend = closest(key, known) or (f"There are: {some}." if some else f"Make the {what} first.")
    yield Problem(path, f"There is no {what} “{clip(key)}”.", mend)


def _check_scope(document: RuleDocument, names: Surroundings) -> Iterator[Problem]:
    scope = document.scope
    for at, group in enumerate(scope.groups or ()):
        yield from _exists(group, f"$.scope.groups[{at}]", names.groups, "group", is_id=True)
    for at, tag in enumerate(scope.tags or ()):
        yield from _exists(tag, f"$.scope.tags[{at}]", names.tags, "tag")
    for at, fact in enumerate(scope.where or ()):
        yield from chain(
            _check_leaf(fact, f"$.scope.where[{at}]", Vocabulary()), _check_names(fact, f"$.scope.where[{at}]", names)
        )


def _check_action(then: Then, path: str, vocabulary: Vocabulary, names: Surroundings) -> Iterator[Problem]:
    match then:
        case Notify(policy=policy, message=message):
            yield from _exists(policy, f"{path}.policy", names.policies, "notification policy")
            yield from _check_text(message, f"{path}.message", vocabulary, names)
        case CallWebhook(channel=channel):
            yield from _exists(channel, f"{path}.channel", names.channels, "channel")
        case SendCommand():
            yield from _check_command(then, path, vocabulary, names)
        case SetAttribute(value=value):
            yield from _check_text(value, f"{path}.value", vocabulary, names)
        case DeriveMetric():
            yield from _check_derived(then, path, vocabulary)


def _check_text(text: Scalar | None, path: str, vocabulary: Vocabulary, names: Surroundings) -> Iterator[Problem]:
    if not isinstance(text, str):
        return
    for key in metrics_in(text):
        yield from _named(key, path, vocabulary)
    for name in names_in(text):
        if name.startswith("attribute:"):
            yield from _exists(name.removeprefix("attribute:"), path, names.attributes, "attribute")


def _check_command(then: SendCommand, path: str, vocabulary: Vocabulary, names: Surroundings) -> Iterator[Problem]:
    for key, value in then.arguments or ():
        yield from _check_text(value, f"{path}.arguments.{key}", vocabulary, names)
    if names.commands is None or then.device is not None:  # another device may be of another profile
        return
    yield from _exists(then.command, f"{path}.command", names.commands, "command")
    command = names.commands.get(then.command)
    if command is None:
        return
    for problem in check_arguments(command, dict(then.arguments or ())).problems:
        told = dict(then.arguments or ()).get(problem.place)
        if not (isinstance(told, str) and names_in(told)):  # what stands for a placeholder is only known when it fires
            yield Problem(f"{path}.arguments.{clip(problem.place)}", problem.message)


def _check_derived(then: DeriveMetric, path: str, vocabulary: Vocabulary) -> Iterator[Problem]:
    target = vocabulary.metrics.get(then.metric)
    if target is not None and target.type is not MetricType.NUMBER:
        yield Problem(f"{path}.metric", f"“{then.metric}” is {SAID[target.type]}, and what is derived is a number.")
    if isinstance(then.value, OtherMetric | WindowValue):
        source = vocabulary.metrics.get(then.value.metric)
        is_count = isinstance(then.value, WindowValue) and then.value.how.fn is Fn.COUNT
        if source is None:
            yield unknown(then.value.metric, f"{path}.value.metric", vocabulary)
        elif source.type is not MetricType.NUMBER and not is_count:
            message = f"“{source.key}” is {SAID[source.type]}, and only numbers can be derived from."
            yield Problem(f"{path}.value.metric", message, _alike(MetricType.NUMBER, vocabulary))


def _is_a(value: Scalar, kind: MetricType) -> bool:
    match kind:
        case MetricType.NUMBER:
            return is_number(value)
        case MetricType.BOOLEAN:
            return isinstance(value, bool)
        case MetricType.STRING:
            return isinstance(value, str)
        case MetricType.OBJECT:
            return False


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
