"""A rule played on what a device might send: invented messages, events and presence, and the tests kept with a rule."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from engine import clock
from engine.rules.compile import CompiledRule
from engine.rules.facts import About
from engine.rules.model import Example, Expected, Given, TestDevice
from engine.rules.phrases import listed, spelled_ms
from engine.rules.record import Sent
from engine.rules.rehearsal import Budget, Stage
from engine.rules.ruleset import RuleSet
from engine.rules.tried import TestResult

BEGIN_MS = 1_767_600_000_000
"""What is invented begins on Monday, 5 January 2026, at 08:00 UTC."""
AFTER_MS = 60_000
"""How much time passes after the last of a test."""
_NOBODY = str(UUID(int=0))


class Message(NamedTuple):
    """What a device does so many ms after the beginning: it connects or goes, sends values, tells an event."""

    at: int
    values: Mapping[str, object]
    event: str | None = None
    is_online: bool | None = None


class Invented(Stage):
    """A stage for one of the devices that the rule watches, of which nothing is known but what is said."""

    def __init__(self, rule: CompiledRule, budget: Budget, device: TestDevice | None = None) -> None:
        own = min(rule.devices) if rule.devices else _NOBODY
        super().__init__(RuleSet((rule,)), own, _about(rule, device), budget)
        self._told = 0
        self.begin(BEGIN_MS)

    def say(self, message: Message) -> int:
        """Let the device do this, and all that waits until then end; returns the moment."""
        at, device = BEGIN_MS + message.at, self._place[1]
        self._told += 1
        if message.is_online is not None or message.event is not None:
            self._elapse_until(at - 1)
        self.facts.next_event()
        if message.is_online is not None:
            self.presence(device, message.is_online, self._told, clock.from_ms(at))
        if message.values or (message.event is None and message.is_online is None):
            self.play([Sent(at, self._told, at, message.values)], at)
        if message.event is not None:
            self.happen(device, message.event, clock.from_ms(at))
        self._elapse_until(at)
        return at

    def _is_in_scope(self, rule: CompiledRule, device_id: str) -> bool:
        return True


def tested(rule: CompiledRule, example: Example, budget: Budget) -> TestResult:
    """The test, run."""
    stage, last = Invented(rule, budget, example.device), BEGIN_MS
    for given in example.given:
        last = max(last, stage.say(message_of(given)))
    ends = [each.at.ms for each in example.expect if each.at is not None]
    if example.within is not None:
        ends.append(example.within.end.ms)
    stage.play((), max([last, *(BEGIN_MS + end for end in ends)]) + AFTER_MS)
    happened = _happened(stage, example)
    wanted = [(each.is_raise, None if each.at is None else each.at.ms) for each in example.expect]
    # Of a stretch of time it is asked whether this happens in it; how it goes on there is another matter.
    looked_at = happened[: len(wanted)] if wanted and example.within is not None else happened
    passed = len(looked_at) == len(wanted) and all(
        kind == is_raise and (at is None or at == when)
        for (kind, when), (is_raise, at) in zip(looked_at, wanted, strict=True)
    )
    return TestResult(example.name, passed, "It did as expected." if passed else _instead(happened, example.expect))


def message_of(given: Given) -> Message:
    """What a test's message says."""
    return Message(given.at.ms, _values(given.values), given.event, given.is_online)


def _about(rule: CompiledRule, device: TestDevice | None) -> About:
    if device is None:
        return About(rule.profile)
    labels = dict.fromkeys(device.tags or (), "") | dict(device.attributes or ())
    return About(rule.profile, labels, frozenset(device.groups or ()))


def _happened(stage: Stage, example: Example) -> list[tuple[bool, int]]:
    """(whether it fired or cleared, ms after the beginning), in order; of a stretch of time, what stood in it."""
    moves = []
    for episode in stage.episodes():
        raised = episode.raised_at - BEGIN_MS
        cleared = None if episode.cleared_at is None else episode.cleared_at - BEGIN_MS
        if example.within is not None:
            start, end = example.within.start.ms, example.within.end.ms
            if raised > end or (cleared is not None and cleared <= start):
                continue
            cleared = None if cleared is None or cleared > end else cleared
        moves.append((True, raised))
        if cleared is not None:
            moves.append((False, cleared))
    return sorted(moves, key=lambda move: move[1])


def _instead(happened: Sequence[tuple[bool, int]], expected: Sequence[Expected]) -> str:
    did = [f"{'fired' if is_raise else 'cleared'} after {spelled_ms(at)}" for is_raise, at in happened]
    wanted = [
        ("fire" if each.is_raise else "clear") + ("" if each.at is None else f" after {spelled_ms(each.at.ms)}")
        for each in expected
    ]
    said = f"It {listed(did, 'and')}" if did else "It did nothing"
    return f"{said}; it should {listed(wanted, 'and')}." if wanted else f"{said}; it should have done nothing."


def _values(given: Sequence[tuple[str, Any]]) -> dict[str, object]:
    return {
        metric: value if isinstance(value, bool | int | float | str) else {"lat": value.lat, "lon": value.lon}
        for metric, value in given
    }
