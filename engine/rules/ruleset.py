"""A tenant's rules, indexed so that an event meets only those that read one of its metrics."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from engine.clock import zone_of
from engine.rules.compile import CompiledRule
from engine.rules.gaps import Limits, limits_of_all
from engine.rules.inputs import InputKind
from engine.rules.plan import OF_DEVICE, Plan, is_light, plan_of
from engine.rules.schedule import UTC
from engine.rules.windows import Need

CACHE_SIZE = 4_096
"""Kinds of messages remembered. A fleet has a handful; a device that makes up metrics must not grow the cache."""
MOST_MATCHING = 200
"""So many rules look at one message or event; of more, those made first (that they are too many is said once)."""


class Matched(NamedTuple):
    """The rules that look at a message: ``light`` ones need nothing but the values it brings, ``others`` more.

    ``limits``: what its values are compared with by the light ones; None where that is more than constants.
    """

    light: tuple[CompiledRule, ...]
    others: tuple[CompiledRule, ...]
    limits: Limits | None


class RuleSet:
    """The published rules of one tenant. Immutable; make a new one when a rule changes."""

    def __init__(self, rules: Iterable[CompiledRule], shadows: Collection[str] = ()) -> None:
        """``shadows``: keys of those that note what they would do, and do nothing."""
        self.shadows = frozenset(shadows)
        self.by_id = {rule.id: rule for rule in rules}
        plans = {rule.id: plan_of(rule) for rule in self.by_id.values()}
        read = [rule for rule in self.by_id.values() if plans[rule.id].cron is None]
        self._wide = _by_metric(rule for rule in read if rule.devices is None)
        self._narrow: dict[str, dict[str, list[CompiledRule]]] = {}
        narrow: dict[str, list[CompiledRule]] = {}
        for rule in read:
            for device in rule.devices or ():
                narrow.setdefault(device, []).append(rule)
        self._narrow = {device: _by_metric(rules) for device, rules in narrow.items()}
        self._cache: dict[tuple[str | None, str | None, tuple[str, ...]], Matched] = {}
        self.needs = _needs(plan.needs for plan in plans.values())
        """How far back the rules look, by metric."""
        self.groups = frozenset(group for plan in plans.values() for group in plan.groups)
        """The groups (UUID texts) that some rule asks about."""
        self.asks_of_device = any(plan.asks_of_device for plan in plans.values())
        self.hears_silence = any(InputKind.SILENCE in plan.kinds for plan in plans.values())
        self.starting = tuple(r for r in self.by_id.values() if plans[r.id].starts_by_itself or plans[r.id].cron)
        """Rules that may fire for a device that says nothing, and so have to be begun for it."""
        self.of_devices = tuple(rule for rule in self.by_id.values() if _looks_at_device(plans[rule.id]))
        """Rules that look again when something about a device itself has changed."""
        self.of_presence = tuple(rule for rule in self.by_id.values() if InputKind.ONLINE in plans[rule.id].kinds)
        self.of_events = _by_event(self.by_id.values())
        """Rules that ask for an event of the device, by its type."""
        self.zone = zone_of(next((rule.vocabulary.zone for rule in self.by_id.values()), None)) or UTC
        """The tenant's time zone; its rules all know of the same one."""
        self.of_site = tuple(rule for rule in self.by_id.values() if plans[rule.id].asks_for_site)
        """Rules that go by the clock of the device's site."""
        self.is_over_quota = False
        """Whether more than MOST_MATCHING rules matched some message."""

    def __len__(self) -> int:
        return len(self.by_id)

    def __iter__(self) -> Iterator[CompiledRule]:
        return iter(self.by_id.values())

    def matching(
        self, profile: str | None, metrics: Iterable[str], device: str | None = None
    ) -> tuple[CompiledRule, ...]:
        """The rules that read one of ``metrics`` on a device of ``profile``, each once, in the set's order.

        Without ``device`` only the rules that are not narrowed to devices of their own.
        """
        light, others, _ = self.matched(profile, metrics, device)
        return light if not others else tuple(rule for rule in self.by_id.values() if rule in {*light, *others})

    def matched(self, profile: str | None, metrics: Iterable[str], device: str | None = None) -> Matched:
        """As ``matching``, the light ones apart: those are most, and are asked in the shortest way."""
        own = device if device in self._narrow else None
        key = (own, profile, tuple(metrics))
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = self._split(self._find(*key), set(key[2]))
            if len(self._cache) > CACHE_SIZE:
                del self._cache[next(iter(self._cache))]
        return found

    def _split(self, rules: tuple[CompiledRule, ...], metrics: set[str]) -> Matched:
        if len(rules) > MOST_MATCHING:
            self.is_over_quota = True
            rules = rules[:MOST_MATCHING]
        light = tuple(
            rule
            for rule in rules
            if is_light(rule) and metrics.issuperset(rule.metrics) and not plan_of(rule).is_narrow
        )
        others = rules if not light else tuple(rule for rule in rules if rule not in light)
        return Matched(light, others, limits_of_all(light))

    def _find(self, device: str | None, profile: str | None, metrics: Sequence[str]) -> tuple[CompiledRule, ...]:
        found: dict[UUID, CompiledRule] = {}
        indexes = (self._wide,) if device is None else (self._wide, self._narrow[device])
        for index in indexes:
            for metric in (*metrics, _ANY):
                for rule in index.get(metric, ()):
                    if rule.profile is None or rule.profile == profile:
                        found[rule.id] = rule
        return (
            tuple(rule for rule in self.by_id.values() if rule.id in found) if len(found) > 1 else tuple(found.values())
        )


_ANY = "\t"
"""Where rules stand that look at every message; no metric is called so."""


def _looks_at_device(plan: Plan) -> bool:
    return bool(plan.kinds & OF_DEVICE) or plan.is_narrow or plan.asks_for_site


def _by_metric(rules: Iterable[CompiledRule]) -> dict[str, list[CompiledRule]]:
    index: dict[str, list[CompiledRule]] = {}
    for rule in rules:
        metrics = (*rule.metrics, _ANY) if InputKind.SILENCE in plan_of(rule).kinds else rule.metrics
        for metric in metrics:
            index.setdefault(metric, []).append(rule)
    return index


def _by_event(rules: Iterable[CompiledRule]) -> dict[str, tuple[CompiledRule, ...]]:
    found: dict[str, list[CompiledRule]] = {}
    for rule in rules:
        for kind in {each.key for each in plan_of(rule).computed if each.kind is InputKind.EVENT and each.key}:
            found.setdefault(kind, []).append(rule)
    return {kind: tuple(each) for kind, each in found.items()}


def _needs(all_needs: Iterable[Mapping[str, Need]]) -> dict[str, Need]:
    needs: dict[str, Need] = {}
    for each in all_needs:
        for metric, need in each.items():
            needs[metric] = needs[metric] | need if metric in needs else need
    return needs
