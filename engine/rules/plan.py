"""What running a rule needs to know of its document beyond its programs, worked out once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from engine.rules.compile import CompiledRule
from engine.rules.inputs import Input, InputKind, windows_of
from engine.rules.model import (
    SITE,
    AttributeLeaf,
    DeriveMetric,
    MissingDo,
    Notify,
    OtherMetric,
    RaiseAlert,
    RuleDocument,
    SendCommand,
    SetAttribute,
    Tagged,
    Then,
    TimeOfDay,
    Whereabouts,
    WindowValue,
)
from engine.rules.placeholders import metrics_in
from engine.rules.schedule import EVERY_DAY, Span
from engine.rules.windows import Need

WINDOWED = frozenset(
    {
        InputKind.AGGREGATE,
        InputKind.RATE,
        InputKind.DELTA,
        InputKind.PAST,
        InputKind.CHANGED,
        InputKind.STUCK,
        InputKind.PLACE,
    }
)
OF_DEVICE = frozenset({InputKind.ATTRIBUTE, InputKind.TAG, InputKind.GROUP, InputKind.PROFILE})
PULSES = (Whereabouts.ENTERED, Whereabouts.LEFT)


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day by the clock of a place: ``zone`` is a name, None for the device's site."""

    span: Span
    zone: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a rule is run.

    ``computed``: its inputs that are not newest values. ``has_pulses``: some of them are true of a single moment.
    ``needs``: how far it looks back, by metric. ``starts_by_itself``: it may fire for a device that says nothing.
    ``silence_ms``: the shortest silence it asks about. ``missing_ms``: from what age on a value is missing.
    ``cron``, ``zone``: when it is looked at (None: always).
    ``asks_for_site``: some of these go by the clock of the device's site.
    ``is_narrow``: its scope asks for more than profile and devices. ``acts``: it does more than raise an alert.
    ``named``: metrics that only its actions name: they are looked up when it acts, and their messages move nothing.
    """

    computed: tuple[Input, ...]
    has_pulses: bool
    needs: Mapping[str, Need]
    kinds: frozenset[InputKind]
    starts_by_itself: bool
    silence_ms: int | None
    missing_ms: int | None
    missing_do: MissingDo | None
    cron: str | None
    zone: str | None
    asks_for_site: bool
    max_per_hour: int | None
    quiet: Clock | None
    is_narrow: bool
    asks_of_device: bool
    groups: frozenset[str]
    scope_groups: frozenset[str]
    then: tuple[Then, ...]
    on_clear: tuple[Then, ...]
    has_alert: bool
    named: tuple[str, ...]

    @property
    def acts(self) -> bool:
        """Whether it does more than raise an alert."""
        return bool(self.then or self.on_clear)


@lru_cache(maxsize=16_384)
def plan_of(rule: CompiledRule) -> Plan:
    """The rule's plan, made once."""
    document, scope, limits = rule.document, rule.document.scope, rule.document.limits
    computed = tuple(each for each in rule.inputs if each.kind is not InputKind.METRIC)
    kinds = frozenset(each.kind for each in rule.inputs)
    derived = [
        windows_of(each.value)
        for _, each in document.actions
        if isinstance(each, DeriveMetric) and isinstance(each.value, WindowValue)
    ]
    quiet = None if limits is None else limits.quiet
    missing, schedule = document.missing, document.schedule
    return Plan(
        computed=computed,
        has_pulses=any(each.kind is InputKind.EVENT or _is_crossing(each) for each in computed),
        needs=needs_of((*computed, *derived)),
        kinds=kinds,
        starts_by_itself=bool(kinds - {InputKind.METRIC, InputKind.EVENT}) or missing is not None,
        silence_ms=min((each.over_ms for each in computed if each.kind is InputKind.SILENCE), default=None),
        missing_ms=None if missing is None else missing.after.ms,
        missing_do=None if missing is None else missing.do,
        cron=None if schedule is None else schedule.cron,
        zone=None if schedule is None else _zone(schedule.tz),
        asks_for_site=any(each.time is not None and _zone(each.time.tz) is None for each in computed)
        or (schedule is not None and _zone(schedule.tz) is None),
        max_per_hour=None if limits is None else limits.max_per_hour,
        quiet=None if quiet is None else clock_of(quiet),
        is_narrow=bool(scope.groups or scope.tags or scope.where),
        asks_of_device=bool(kinds & OF_DEVICE or scope.groups or scope.tags or scope.where)
        or InputKind.TIME in kinds
        or quiet is not None
        or schedule is not None
        or len(document.actions) > 1
        or any(not isinstance(each, RaiseAlert) for _, each in document.actions),
        groups=frozenset(scope.groups or ())
        | frozenset(each.key for each in computed if each.kind is InputKind.GROUP and each.key is not None),
        scope_groups=frozenset(scope.groups or ()),
        then=tuple(each for each in document.then if not isinstance(each, RaiseAlert)),
        on_clear=document.on_clear or (),
        has_alert=any(isinstance(each, RaiseAlert) for each in document.then),
        named=tuple(sorted({*_named(document)} - {*rule.metrics})),
    )


def is_light(rule: CompiledRule) -> bool:
    """Whether nothing but the newest values decides what the rule does, and only messages move it."""
    return rule.is_plain and rule.document.missing is None and rule.document.schedule is None


def clock_of(time: TimeOfDay) -> Clock:
    """A document's time of day, ready to be asked."""
    start, end = time.minutes
    return Clock(Span(frozenset(time.days or EVERY_DAY), start % 1_440, end % 1_440), _zone(time.tz))


def needs_of(inputs: tuple[Input, ...]) -> dict[str, Need]:
    """How far back these inputs look, by metric."""
    needs: dict[str, Need] = {}
    for each in inputs:
        if each.kind in WINDOWED and each.metric is not None:
            need = Need(each.over_ms, max(each.last, 2))
            needs[each.metric] = needs[each.metric] | need if each.metric in needs else need
    return needs


def where_of(rule: CompiledRule) -> tuple[AttributeLeaf | Tagged, ...]:
    """What the scope asks of a device's attributes and tags."""
    scope = rule.document.scope
    return tuple(Tagged(tag) for tag in scope.tags or ()) + (scope.where or ())


def _named(document: RuleDocument) -> Iterator[str]:
    """The metrics whose newest values its actions use."""
    for _, each in document.actions:
        match each:
            case DeriveMetric(value=OtherMetric(metric=metric)):
                yield metric
            case Notify(message=str(text)) | SetAttribute(value=str(text)):
                yield from metrics_in(text)
            case SendCommand(arguments=arguments):
                for _, value in arguments or ():
                    yield from metrics_in(value) if isinstance(value, str) else ()


def _zone(name: str | None) -> str | None:
    return None if name in (None, SITE) else name


def _is_crossing(each: Input) -> bool:
    return each.place is not None and each.place.is_ in PULSES
