"""What a rule may speak of: the metrics of a device profile with types and units, and what else the tenant has."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from engine.devices.declared import Command
from engine.rules.model import MetricType

SAID = {
    MetricType.NUMBER: "a number",
    MetricType.BOOLEAN: "true or false",
    MetricType.STRING: "a text",
    MetricType.OBJECT: "an object",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a profile: its key in the messages, the type of its values, its unit and its name for people.

    ``min`` and ``max`` bound its numbers, inclusive, in its unit.
    """

    key: str
    type: MetricType
    unit: str | None = None
    label: str | None = None
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The metrics a rule may read, by key. ``clashing`` have different types or units in different profiles.

    ``interval_s`` is how often its devices are expected to report, if that is known. ``group_names`` are by their ids,
    ``channel_names`` too, ``policy_names`` and ``profile_names`` by the keys that documents hold.
    ``zone`` is the tenant's time zone, by which times of day go where neither the rule nor the device names one.
    """

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    clashing: frozenset[str] = frozenset()
    interval_s: int | None = None
    group_names: Mapping[str, str] = field(default_factory=dict)
    policy_names: Mapping[str, str] = field(default_factory=dict)
    channel_names: Mapping[str, str] = field(default_factory=dict)
    profile_names: Mapping[str, str] = field(default_factory=dict)
    zone: str | None = None

    @classmethod
    def of(cls, metrics: Iterable[Metric], interval_s: int | None = None) -> "Vocabulary":
        """The vocabulary of one profile."""
        return cls({metric.key: metric for metric in metrics}, interval_s=interval_s)

    @classmethod
    def union(cls, vocabularies: Iterable["Vocabulary"]) -> "Vocabulary":
        """The vocabulary for a rule over all profiles: what they agree on; the rest is known to clash."""
        metrics: dict[str, Metric] = {}
        clashing: set[str] = set()
        known_names = cls()
        for vocabulary in vocabularies:
            clashing |= vocabulary.clashing
            known_names = vocabulary  # these are the tenant's, the same in all of them
            for key, metric in vocabulary.metrics.items():
                known = metrics.setdefault(key, metric)
                if (known.type, known.unit) != (metric.type, metric.unit):
                    clashing.add(key)
        agreed = {key: metric for key, metric in metrics.items() if key not in clashing}
        return known_names.speaking_of(agreed, frozenset(clashing))

    def speaking_of(
        self, metrics: Mapping[str, Metric], clashing: frozenset[str] = frozenset(), interval_s: int | None = None
    ) -> "Vocabulary":
        """The same names of everything else, with other metrics."""
        return replace(self, metrics=metrics, clashing=clashing, interval_s=interval_s)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else a rule may name, as far as it is known: None means unknown, and then any name passes.

    ``groups`` are ids as texts. ``commands`` are those of the profile the rule is for.
    """

    profiles: frozenset[str] | None = None
    groups: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    attributes: frozenset[str] | None = None
    policies: frozenset[str] | None = None
    channels: frozenset[str] | None = None
    commands: Mapping[str, Command] | None = None


UNKNOWN = Surroundings()
