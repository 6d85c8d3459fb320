"""Why rules did not fire, now and then: a few looks a minute at what a batch has left standing, near misses first.

Rules are not asked more often for it, and an event costs nothing: when a batch is through and a tenant's minute is
over, some of its rules are explained for some of the devices that were heard of, by what is known of them then.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from engine import clock
from engine.rules import words
from engine.rules.compile import CompiledRule
from engine.rules.explain import why
from engine.rules.facts import Moment, View
from engine.rules.look import values_at
from engine.rules.nearest import is_near_miss
from engine.rules.plan import is_light, plan_of
from engine.rules.state import Known, Phase, RuleState

log = logging.getLogger(__name__)

APART_MS = 60_000
"""Of one tenant, looks are taken so far apart, by the server's clock."""
AGAIN_MS = 600_000
"""The same rule is not looked at again for the same device before."""
LOOKS_AT_ONCE = 60
LOOKS_OF_RULE = 4
"""So many devices are looked at to keep the near misses among them, or else one."""
TRIES_AT_ONCE = 1_000
CPU_S = 0.02
"""However long rules take to explain."""
FRESH_MS = 2_000
"""What a schedule saw is known for so long; then newer values have come."""
MOST_TENANTS = 10_000


class Standing(NamedTuple):
    """How a rule that has not fired stands for a device: its state with the newest values, and what else is known."""

    state: RuleState
    view: View


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: what the rule saw at ``at_ms`` (event time) and why it did not fire. ``is_near``: it almost did."""

    rule_id: str
    rule_version: int
    device_id: str
    at_ms: int
    phase: Phase
    verdict: bool | None
    is_near: bool
    reason: str
    why: Mapping[str, Any]


Stands: TypeAlias = Callable[[CompiledRule, str], Standing | None]
"""How a rule stands for a device; None where it does not watch it or has fired."""
_T = TypeVar("_T")


class Look(NamedTuple):
    """One look at a rule that has not fired; most are not kept, so the words for it are found later."""

    rule: CompiledRule
    device: str
    at_ms: int
    phase: Phase
    seen: Mapping[str, Known]
    tree: Mapping[str, Any]

    @property
    def is_near(self) -> bool:
        """Whether it almost fired: only a wait is not over, or all of several parts but one are so, and that almost."""
        return self.phase is Phase.PENDING or is_near_miss(self.rule, self.tree)

    def sample(self) -> Sample:
        """What is kept of it."""
        rule, is_waiting = self.rule, self.phase is Phase.PENDING
        reason = words.why_not_yet(rule, self.seen) if is_waiting else words.why_not(rule, self.seen)
        verdict, near = self.tree["is"], self.is_near
        return Sample(rule.key, rule.version, self.device, self.at_ms, self.phase, verdict, near, reason, self.tree)


@dataclass(slots=True)
class _Pace:
    """Of one tenant: when the next looks are due, where they go on, and what was looked at lately."""

    due_ms: int = 0
    rule: int = 0
    device: int = 0
    lately: dict[tuple[str, str], int] = field(default_factory=dict)


class Sampler:
    """One process's choice of what to look at; what it remembers may be lost at any time."""

    def __init__(self) -> None:
        self._paces: dict[UUID, _Pace] = {}

    def is_due(self, tenant_id: UUID, now: datetime) -> bool:
        """Whether it is time to look again: all that a batch asks."""
        pace = self._paces.get(tenant_id)
        return pace is None or pace.due_ms <= clock.to_ms(now)

    def take(
        self, tenant_id: UUID, now: datetime, rules: Sequence[CompiledRule], devices: Sequence[str], stands: Stands
    ) -> list[Sample]:
        """Some looks at some of ``rules`` for some of ``devices``, in turns: the next ones begin where these end."""
        if not rules or not devices:
            return []
        if len(self._paces) >= MOST_TENANTS and tenant_id not in self._paces:
            self._paces.clear()
        pace, now_ms = self._paces.setdefault(tenant_id, _Pace()), clock.to_ms(now)
        pace.due_ms = now_ms + APART_MS
        pace.lately = {place: at for place, at in pace.lately.items() if at > now_ms - AGAIN_MS}
        round_, kept, asked = _Round(pace, now_ms, stands), list[Sample](), 0
        for rule in _from(rules, pace.rule):
            if round_.is_over:
                break
            asked += 1
            try:
                kept += round_.looks(rule, devices)
            except Exception:  # what is only told must not stop what is done
                log.exception("rule.look_failed", extra={"rule": rule.key, "version": rule.version})
        pace.rule, pace.device = pace.rule + asked, pace.device + LOOKS_OF_RULE
        return kept


class _Round:
    """The looks of one minute, within bounds."""

    def __init__(self, pace: _Pace, now_ms: int, stands: Stands) -> None:
        self._pace = pace
        self._now_ms = now_ms
        self._stands = stands
        self._looks = LOOKS_AT_ONCE
        self._tries = TRIES_AT_ONCE
        self._end = time.thread_time() + CPU_S

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be looked at in this minute."""
        return self._looks <= 0 or self._tries <= 0 or time.thread_time() > self._end

    def looks(self, rule: CompiledRule, devices: Sequence[str]) -> list[Sample]:
        """The near misses among a few devices of the rule, or one look if there is none."""
        found: list[Look] = []
        watched = devices if rule.devices is None else [device for device in devices if device in rule.devices]
        for device in _from(watched, self._pace.device):
            self._tries -= 1
            if self._tries < 0 or len(found) == LOOKS_OF_RULE or self.is_over:
                break
            if (rule.key, device) not in self._pace.lately and (one := self._look(rule, device)) is not None:
                found.append(one)
        kept = [one for one in found if one.is_near] or found[:1]
        self._pace.lately |= {(rule.key, one.device): self._now_ms for one in kept}
        return [one.sample() for one in kept]

    def _look(self, rule: CompiledRule, device: str) -> Look | None:
        standing = self._stands(rule, device)
        if standing is None:
            return None
        self._looks -= 1
        return look(rule, device, standing, self._now_ms)


def look(rule: CompiledRule, device: str, standing: Standing, now_ms: int) -> Look | None:
    """Why the rule has not fired for the device; None where there is nothing to be told."""
    (state, view), schedule = standing, plan_of(rule).cron
    if (rule.metrics and not state.known) or (schedule and now_ms - (state.looked or 0) > FRESH_MS):
        return None
    newest = max((entry.at for entry in state.known.values()), default=now_ms)
    at = state.looked if schedule and state.looked is not None else newest
    moment = Moment(at, max(0, now_ms - at), view.received)
    seen: Mapping[str, Known] = state.known if is_light(rule) else values_at(rule, state, view, moment)
    tree = why(rule, seen, state.known)
    if tree["is"] is True and state.phase is Phase.OK:
        return None  # what made it so came too late to count
    return Look(rule, device, at, state.phase, seen, tree)


def _from(all_: Sequence[_T], begin: int) -> Iterator[_T]:
    """All of them, beginning somewhere."""
    for place in range(len(all_)):
        yield all_[(begin + place) % len(all_)]
