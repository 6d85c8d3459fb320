"""What a rule can know of a device at a moment beside its newest values: windows, places, times, attributes, silence.

Pure: whoever runs rules feeds it (`Facts.add`, `Facts.meet`, …) and asks it; the drain from the journal and the
database, a backtest or a rule's test from stored or invented telemetry. Each answer is computed once per event and
shared by all rules. ``due`` says when an input may change by itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from engine.clock import from_ms, zone_of
from engine.rules.findings import is_number
from engine.rules.inputs import Input, InputKind
from engine.rules.model import AttributeLeaf, Circle, Fn, Op, Scalar, Tagged, Whereabouts
from engine.rules.places import Position, in_circle, in_polygon, position
from engine.rules.plan import Clock, Plan, clock_of
from engine.rules.schedule import UTC
from engine.rules.values import plain
from engine.rules.windows import LOOKBACK_MS, Need, Windows

GRID = 20
"""A window that nothing comes into is looked at anew so many times until it is empty, but at most once a second."""

Point: TypeAlias = tuple[str, int, int, object]
"""One value of a device: metric, event time in ms, seq, value as sent."""


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a device itself. ``labels`` are its attributes; a tag is a label, whatever its value."""

    profile: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    is_online: bool | None = None
    epoch: int = 0
    name: str = ""
    key: str = ""
    received: int | None = None

    @property
    def zone(self) -> ZoneInfo | None:
        """The time zone of its site, if it has an attribute that says so."""
        return zone_of(self.labels.get("timezone"))


NOTHING = About()


class Moment(NamedTuple):
    """The moment that is looked at: ``at`` in event time, ``lag`` from there to the server's clock.

    ``received``: server time of the device's last message by then. ``own``: event time of the reading looked at, and
    ``event``: type of the device event looked at, if it is one.
    """

    at: int
    lag: int = 0
    received: int | None = None
    own: int | None = None
    event: str | None = None


class Facts:
    """Everything rules can know of one tenant's devices beside newest values."""

    def __init__(self, windows: Windows | None = None, zone: ZoneInfo = UTC) -> None:
        self.windows = Windows() if windows is None else windows
        self._zone = zone
        self._about: dict[str, About] = {}
        self._received: dict[str, int] = {}
        self._computed: dict[tuple[str, str, Moment], Scalar | None] = {}

    # ── feeding ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def meet(self, device: str, about: About) -> None:
        """From now on this is known of the device itself."""
        self._about[device] = about
        if about.received is not None:
            self._received[device] = max(about.received, self._received.get(device, 0))
        self._computed.clear()

    def begin(self, device: str, points: Iterable[Point] = ()) -> None:
        """From now on the device's messages are kept as far as rules look back; ``points`` are its past."""
        needed = self.windows.needs.keys()
        kept = ((metric, at, seq, _kept(value)) for metric, at, seq, value in points if metric in needed)
        self.windows.begin(device, ((m, at, seq, value) for m, at, seq, value in kept if value is not None))
        self._computed.clear()

    def hear(self, device: str, received: int) -> int | None:
        """A message was received from the device at this server time; returns when the one before was."""
        before = self._received.get(device)
        if before is None or received > before:
            self._received[device] = received
        return before

    def view(self, device: str) -> "View":
        """What can be known of the device now, where no message of it is looked at."""
        received = self._received.get(device)
        return View(self, device, received, received)

    def view_of_message(self, device: str, before: int | None) -> "View":
        """What can be known of the device as a message has come; ``before``: when it was heard of before, if ever."""
        return View(self, device, before, self._received.get(device))

    def presence(self, device: str, is_online: bool, epoch: int) -> None:
        """The device has connected or gone; news of an older session than the last one heard of change nothing."""
        about = self._about.get(device)
        if about is not None and epoch >= about.epoch:
            self._about[device] = replace(about, is_online=is_online, epoch=epoch)
            self._computed.clear()  # who is back at once comes and goes in one moment

    def of(self, device: str) -> About:
        """What is known of the device itself."""
        return self._about.get(device, NOTHING)

    def knows(self, device: str) -> bool:
        """Whether the device was met."""
        return device in self._about

    def forget(self, device: str | None = None) -> None:
        """What is known of this device (None: of all) itself may no longer be true; its windows are."""
        if device is None:
            self._about.clear()
        else:
            self._about.pop(device, None)
        self._computed.clear()

    def add(self, device: str, at: int, seq: int, values: Mapping[str, object]) -> None:
        """A message of the device has come: what of it rules may look back at is kept."""
        self._computed.clear()
        for metric in self.windows.needs.keys() & values.keys():
            value = _kept(values[metric])
            if value is not None:
                self.windows.add(device, metric, at, seq, value)

    def next_event(self) -> None:
        """What was computed for the event before is no longer needed."""
        if self._computed:
            self._computed.clear()

    def use(self, needs: Mapping[str, Need]) -> None:
        """Rules look back so far."""
        self.windows.use(needs)

    def go_by(self, zone: ZoneInfo) -> None:
        """Times of day go by this clock where neither the rule nor the device names one."""
        self._zone = zone
        self._computed.clear()

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, device: str, each: Input, moment: Moment) -> Scalar | None:
        """The input at that moment; None for not known. Newest values are not asked here: a rule remembers those."""
        key = device, each.name, moment
        try:
            return self._computed[key]
        except KeyError:
            found = self._computed[key] = self._read(device, each, moment)
            return found

    def due(self, device: str, each: Input, moment: Moment) -> int | None:
        """When (event time) the input may change after ``moment`` though nothing comes; None for never."""
        match each.kind:
            case InputKind.TIME if each.time is not None:
                clock = clock_of(each.time)
                return clock.span.next_change(moment.at, self.zone(device, clock.zone))
            case InputKind.SILENCE:
                if moment.received is None:
                    return None
                over = moment.received + each.over_ms - moment.lag
                return over if over > moment.at else None
            case InputKind.AGGREGATE | InputKind.RATE | InputKind.DELTA | InputKind.CHANGED | InputKind.STUCK:
                if each.last:
                    return None
                history = self.windows.of(device, each.metric or "")
                grid = max(1_000, each.over_ms // GRID)
                return None if history is None else history.next_change(moment.at, each.over_ms, grid)
            case InputKind.PAST:
                history = self.windows.of(device, each.metric or "")
                grid = max(1_000, each.over_ms // GRID)
                return None if history is None else history.next_change(moment.at, each.over_ms, grid)
            case _:
                return None

    def zone(self, device: str, name: str | None) -> ZoneInfo:
        """The time zone of that name; without one, of the device's site, else of the tenant."""
        return (zone_of(name) if name else self.of(device).zone) or self._zone

    def holds(self, device: str, clock: Clock, moment: int) -> bool:
        """Whether it is that time of day where the device is."""
        return clock.span.holds(moment, self.zone(device, clock.zone))

    def ends(self, device: str, clock: Clock, moment: int) -> str:
        """Until when that time of day lasts, by the clock where the device is ("until 07:00"); '' for ever."""
        zone = self.zone(device, clock.zone)
        until = clock.span.next_change(moment, zone)
        return "" if until is None else f"until {from_ms(until).astimezone(zone):%H:%M}"

    def is_in_scope(self, device: str, plan: Plan, where: Iterable[AttributeLeaf | Tagged]) -> bool:
        """Whether the device has what the scope asks for beside profile and devices."""
        about = self.of(device)
        if plan.is_narrow and plan.scope_groups and not plan.scope_groups & about.groups:
            return False
        return all(_fits(about, leaf) for leaf in where)

    def _read(self, device: str, each: Input, moment: Moment) -> Scalar | None:
        kind, about = each.kind, self.of(device)
        if kind in _ASKED_OF_DEVICE:
            return _of_device(about, each)
        match kind:
            case InputKind.TIME if each.time is not None:
                return self.holds(device, clock_of(each.time), moment.at)
            case InputKind.SILENCE:
                if moment.received is None:
                    return None
                return moment.at + moment.lag - moment.received >= each.over_ms
            case InputKind.EVENT:
                return moment.event == each.key
            case _:
                return self._look_back(device, each, moment)

    def _look_back(self, device: str, each: Input, moment: Moment) -> Scalar | None:
        history, at, over = self.windows.of(device, each.metric or ""), moment.at, each.over_ms
        if history is None:
            return 0 if each.kind is InputKind.AGGREGATE and each.fn is Fn.COUNT else None
        found: object = None
        match each.kind:
            case InputKind.AGGREGATE if each.fn is not None:
                found = history.aggregate(each.fn, at, LOOKBACK_MS if each.last else over, each.last or None)
            case InputKind.RATE:
                slope = history.rate(at, over)
                found = None if slope is None else plain(slope * each.per_ms)
            case InputKind.DELTA:
                found = history.delta(at, over)
            case InputKind.PAST:
                found = history.held(at - over)
            case InputKind.CHANGED:
                found = history.changed(at, over)
            case InputKind.STUCK:
                found = history.stuck(at, over, each.within)
            case InputKind.PLACE:
                before, here = history.before(at), history.held(at)
                found = _whereabouts(each, here, before, is_now=moment.own == history.newest)
        return None if isinstance(found, tuple) else plain(found)


class View(NamedTuple):
    """What can be known of one device when an event of it is looked at.

    ``received``: server time of its last message, this one included; ``before``: of the one before this event.
    """

    facts: Facts
    device: str
    before: int | None = None
    received: int | None = None

    @classmethod
    def blind(cls) -> "View":
        """Nothing is known."""
        return cls(Facts(), "")

    def read(self, each: Input, moment: Moment) -> Scalar | None:
        """The input at that moment."""
        return self.facts.read(self.device, each, moment)

    def due(self, each: Input, moment: Moment) -> int | None:
        """When it may change by itself."""
        return self.facts.due(self.device, each, moment)

    def zone(self, name: str | None) -> ZoneInfo:
        """The time zone of that name, or of the device's site."""
        return self.facts.zone(self.device, name)


_ASKED_OF_DEVICE = frozenset({InputKind.ATTRIBUTE, InputKind.TAG, InputKind.GROUP, InputKind.PROFILE, InputKind.ONLINE})


def _of_device(about: About, each: Input) -> Scalar | None:
    match each.kind:
        case InputKind.ATTRIBUTE:
            return attribute(about.labels.get(each.key or ""))
        case InputKind.TAG:
            return each.key in about.labels
        case InputKind.GROUP:
            return each.key in about.groups
        case InputKind.PROFILE:
            return None if about.profile is None else about.profile == each.key
        case _:
            return about.is_online


def attribute(text: str | None) -> Scalar | None:
    """An attribute's text as what it says: a number, true or false, or the text itself."""
    if text is None:
        return None
    if text in ("true", "false"):
        return text == "true"
    try:
        return plain(float(text)) if text[:1] in "+-.0123456789" and text[-1:] in ".0123456789" else plain(text)
    except ValueError:
        return plain(text)


def _whereabouts(each: Input, here: object, before: object, *, is_now: bool) -> bool | None:
    assert each.place is not None
    if not isinstance(here, tuple):
        return None
    is_inside = _is_inside(here, each)
    if each.place.is_ is Whereabouts.INSIDE:
        return is_inside
    if not is_now or not isinstance(before, tuple):
        return False
    return is_inside is (each.place.is_ is Whereabouts.ENTERED) and _is_inside(before, each) is not is_inside


def _is_inside(where: Position, each: Input) -> bool:
    assert each.place is not None
    shape = each.place.of
    if isinstance(shape, Circle):
        return in_circle(where, (shape.lat, shape.lon), shape.radius_m)
    return in_polygon(where, shape.corners)


def _fits(about: About, leaf: AttributeLeaf | Tagged) -> bool:
    if isinstance(leaf, Tagged):
        return leaf.tag in about.labels
    return compared(attribute(about.labels.get(leaf.attribute)), leaf.op, leaf.value) is True


def compared(seen: Scalar | None, op: Op, value: Scalar | tuple[Scalar, ...]) -> bool | None:
    """A comparison outside of a condition's program; None where the types do not fit."""
    values = value if isinstance(value, tuple) else (value,)
    if seen is None or any(_kind(seen) != _kind(one) for one in values):
        return None
    first, last = values[0], values[-1]
    match op:
        case Op.EQ | Op.IN:
            return seen in values
        case Op.NE | Op.NOT_IN:
            return seen not in values
        case Op.BETWEEN:
            return first <= seen <= last  # type: ignore[operator]
        case Op.OUTSIDE:
            return not first <= seen <= last  # type: ignore[operator]
        case Op.LT:
            return seen < first  # type: ignore[operator]
        case Op.LE:
            return seen <= first  # type: ignore[operator]
        case Op.GT:
            return seen > first  # type: ignore[operator]
        case Op.GE:
            return seen >= first  # type: ignore[operator]


def _kind(value: Scalar) -> str:
    return "boolean" if isinstance(value, bool) else "number" if is_number(value) else "string"


def _kept(value: object) -> bool | int | float | str | tuple[float, float] | None:
    return position(value) if isinstance(value, dict) else plain(value)
