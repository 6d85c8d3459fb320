"""The named facts that a rule reads: each leaf of a document reads one or two, and its program reads nothing else.

A metric's newest value goes by the metric's own key, so that the values of a message can be judged as they are. All
other names begin with a tab, which no metric's key in a document has. Whoever runs a rule computes the inputs from
their parameters; ``None``, or leaving it out, means that it is not known.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from engine.rules.model import (
    SITE,
    Aggregate,
    AnyLeaf,
    AttributeLeaf,
    AttributeValue,
    Changed,
    Circle,
    Condition,
    Delta,
    Derived,
    DeviceEvent,
    Fn,
    InGroup,
    Leaf,
    OfProfile,
    Online,
    Operand,
    OtherMetric,
    Past,
    Place,
    Polygon,
    Rate,
    Silence,
    Stuck,
    Tagged,
    TimeOfDay,
    Whereabouts,
    WindowValue,
    leaves,
)


class InputKind(StrEnum):
    """What an input is. Number: AGGREGATE, RATE, DELTA. As sent: METRIC, PAST, ATTRIBUTE. True or false: the rest."""

    METRIC = "metric"
    AGGREGATE = "agg"
    RATE = "rate"
    DELTA = "delta"
    PAST = "past"
    CHANGED = "changed"
    STUCK = "stuck"
    ATTRIBUTE = "attribute"
    TAG = "tag"
    GROUP = "group"
    PROFILE = "profile"
    TIME = "time"
    PLACE = "place"
    SILENCE = "silence"
    ONLINE = "online"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Input:
    """One fact a rule reads, under ``name`` in what its program is asked with. Equal inputs have equal names.

    - METRIC ``metric``'s newest value.
    - AGGREGATE ``fn`` of ``metric``'s values in (t - ``over_ms``, t], or of its ``last`` newest (``over_ms`` is 0).
    - RATE (last - first) / (their time apart) in (t - ``over_ms``, t], per ``per_ms``. DELTA newest minus the value at
      t - ``over_ms``. PAST the value at t - ``over_ms``. All in the metric's unit.
    - CHANGED the newest value differs from another in (t - ``over_ms``, t]. STUCK it has not moved by more than
      ``within`` for ``over_ms``.
    - ATTRIBUTE, TAG, GROUP, PROFILE, EVENT: ``key`` is the attribute, tag, group (UUID text), profile, type of event.
    - TIME: whether ``time`` is now. PLACE: whether ``metric`` is INSIDE ``place.of``, or has ENTERED or LEFT it.
    - SILENCE: nothing was heard for ``over_ms``. ONLINE: whether the device is connected.
    """

    name: str
    kind: InputKind
    metric: str | None = None
    fn: Fn | None = None
    over_ms: int = 0
    last: int = 0
    per_ms: int = 0
    within: float = 0.0
    key: str | None = None
    time: TimeOfDay | None = None
    place: Place | None = None


def left(leaf: AnyLeaf) -> Input:
    """The fact a leaf asks about."""
    match leaf:
        case Leaf(metric=metric, how=how):
            return newest(metric) if how is None else derived(metric, how)
        case AttributeLeaf(attribute=key):
            return _keyed(InputKind.ATTRIBUTE, key)
        case Changed(metric=metric, over=over):
            return Input(f"\tchanged:{over.ms}:{metric}", InputKind.CHANGED, metric, over_ms=over.ms)
        case Stuck(metric=metric, held_for=over, within=some):
            within = float(some or 0) + 0.0
            name = f"\tstuck:{over.ms}:{within!r}:{metric}"
            return Input(name, InputKind.STUCK, metric, over_ms=over.ms, within=within)
        case Tagged(tag=key):
            return _keyed(InputKind.TAG, key)
        case InGroup(group=key):
            return _keyed(InputKind.GROUP, key)
        case OfProfile(profile=key):
            return _keyed(InputKind.PROFILE, key)
        case TimeOfDay():
            return _time(leaf)
        case Place():
            return _place(leaf)
        case Silence(held_for=over):
            return Input(f"\tsilence:{over.ms}", InputKind.SILENCE, over_ms=over.ms)
        case Online():
            return Input("\tonline", InputKind.ONLINE)
        case DeviceEvent(type=key):
            return _keyed(InputKind.EVENT, key)


def right(operand: Operand) -> Input:
    """The fact on the right side of a comparison."""
    match operand:
        case OtherMetric(metric=metric):
            return newest(metric)
        case AttributeValue(attribute=key):
            return _keyed(InputKind.ATTRIBUTE, key)
        case Past(metric=metric, ago=ago):
            return Input(f"\tpast:{ago.ms}:{metric}", InputKind.PAST, metric, over_ms=ago.ms)


def newest(metric: str) -> Input:
    """A metric's newest value."""
    return Input(metric, InputKind.METRIC, metric)


def derived(metric: str, how: Derived) -> Input:
    """What ``how`` makes of a metric's window."""
    match how:
        case Aggregate(fn=fn, over=over, last=last):
            window, over_ms = ("last", 0) if over is None else ("over", over.ms)
            name = f"\t{fn}:{window}:{over_ms or last}:{metric}"
            return Input(name, InputKind.AGGREGATE, metric, fn=fn, over_ms=over_ms, last=last or 0)
        case Rate(per=per, over=over):
            name = f"\trate:{per.ms}:{over.ms}:{metric}"
            return Input(name, InputKind.RATE, metric, over_ms=over.ms, per_ms=per.ms)
        case Delta(over=over):
            return Input(f"\tdelta:{over.ms}:{metric}", InputKind.DELTA, metric, over_ms=over.ms)


def read_by(leaf: AnyLeaf) -> tuple[Input, ...]:
    """The facts one leaf reads."""
    if isinstance(leaf, Leaf) and isinstance(leaf.value, Operand):
        return left(leaf), right(leaf.value)
    return (left(leaf),)


def inputs_of(*conditions: Condition) -> tuple[Input, ...]:
    """The facts that ``conditions`` read, each once, by name."""
    found = {each.name: each for condition in conditions for _, leaf in leaves(condition) for each in read_by(leaf)}
    return tuple(found[name] for name in sorted(found))


def windows_of(value: WindowValue | OtherMetric) -> Input:
    """The fact a derived metric is made of."""
    return derived(value.metric, value.how) if isinstance(value, WindowValue) else newest(value.metric)


def metrics_of(inputs: tuple[Input, ...]) -> Iterator[str]:
    """The metrics that ``inputs`` need, each once, sorted."""
    yield from sorted({each.metric for each in inputs if each.metric is not None})


def _keyed(kind: InputKind, key: str) -> Input:
    return Input(f"\t{kind}:{key}", kind, key=key)


def _time(time: TimeOfDay) -> Input:
    start, end = time.minutes
    days = "".join(map(str, sorted(time.days or range(1, 8))))
    return Input(f"\ttime:{days}:{start}:{end}:{time.tz or SITE}", InputKind.TIME, time=time)


def _place(place: Place) -> Input:
    asked = Whereabouts.INSIDE if place.is_ is Whereabouts.OUTSIDE else place.is_
    name = f"\tplace:{asked}:{_shape(place.of)}:{place.metric}"
    return Input(name, InputKind.PLACE, place.metric, place=Place(place.metric, asked, place.of))


@lru_cache(maxsize=200)  # a rule that is saved asks for each of its areas ten times
def _shape(shape: Circle | Polygon) -> str:
    if isinstance(shape, Circle):
        return f"{_degrees(shape.lat)},{_degrees(shape.lon)},{float(shape.radius_m)!r}"
    return ";".join(f"{_degrees(lat)},{_degrees(lon)}" for lat, lon in shape.corners)


def _degrees(number: float) -> str:
    """Equal numbers have equal names: 0, 0.0 and -0.0."""
    return repr(number + 0.0)
