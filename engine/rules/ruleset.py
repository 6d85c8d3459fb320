"""A tenant's rules, indexed so that an event meets only those that read one of its metrics."""

from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from engine.rules.compile import CompiledRule

CACHE_SIZE = 4_096
"""Kinds of messages remembered. A fleet has a handful; a device that makes up metrics must not grow the cache."""


class RuleSet:
    """The published rules of one tenant. Immutable; make a new one when a rule changes."""

    def __init__(self, rules: Iterable[CompiledRule]) -> None:
        self.by_id = {rule.id: rule for rule in rules}
        self._wide = _by_metric(rule for rule in self.by_id.values() if rule.devices is None)
        self._narrow: dict[str, dict[str, list[CompiledRule]]] = {}
        narrow: dict[str, list[CompiledRule]] = {}
        for rule in self.by_id.values():
            for device in rule.devices or ():
                narrow.setdefault(device, []).append(rule)
        self._narrow = {device: _by_metric(rules) for device, rules in narrow.items()}
        self._cache: dict[tuple[str | None, str | None, tuple[str, ...]], tuple[CompiledRule, ...]] = {}

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
        own = device if device in self._narrow else None
        key = (own, profile, tuple(metrics))
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = self._find(*key)
            if len(self._cache) > CACHE_SIZE:
                del self._cache[next(iter(self._cache))]
        return found

    def _find(self, device: str | None, profile: str | None, metrics: Sequence[str]) -> tuple[CompiledRule, ...]:
        found: dict[UUID, CompiledRule] = {}
        indexes = (self._wide,) if device is None else (self._wide, self._narrow[device])
        for index in indexes:
            for metric in metrics:
                for rule in index.get(metric, ()):
                    if rule.profile is None or rule.profile == profile:
                        found[rule.id] = rule
        return (
            tuple(rule for rule in self.by_id.values() if rule.id in found) if len(found) > 1 else tuple(found.values())
        )


def _by_metric(rules: Iterable[CompiledRule]) -> dict[str, list[CompiledRule]]:
    index: dict[str, list[CompiledRule]] = {}
    for rule in rules:
        for metric in rule.metrics:
            index.setdefault(metric, []).append(rule)
    return index
