"""The judge's reference skips readings that change nothing, and comes to what it comes to by stepping through all."""

import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from engine.devices.model import Metric as DeviceMetric
from engine.rules import step as stepping
from engine.rules.compile import CompiledRule, compile_rule
from engine.rules.document import parse
from engine.rules.vocabulary import Metric, Vocabulary
from infra.bench import reference
from infra.bench.readings import Signal
from infra.bench.tenant import hundred_rules, rule

TENANT = UUID(int=1)
DEVICES = [str(UUID(int=number)) for number in range(2, 5)]
BEGAN_MS = 1_700_000_000_000
WARM = {"metric": "temperature", "op": ">", "value": 27.5}
COLD = {"metric": "temperature", "op": "<", "value": 21}
MORE = [
    rule("Until cold", WARM, clear={"when": COLD}),
    rule("For a while", WARM, **{"for": "5s"}),
    rule("Not again so soon", WARM, limits={"cooldown": "30s"}),
    rule("Not when it is old", WARM, limits={"max_lateness": "60s"}),
    rule("Exactly", {"metric": "humidity", "op": "==", "value": 50}),
]


def compiled(documents: list[dict[str, Any]]) -> list[CompiledRule]:
    def metric(each: DeviceMetric) -> Metric:
        return Metric(each.key, each.type, each.unit, each.label, each.min, each.max)

    vocabulary = Vocabulary.of(map(metric, Signal().metrics()))
    return [compile_rule(uuid4(), 1, parse(document), vocabulary) for document in documents]


def readings(seed: int, count: int) -> Iterator[list[Any]]:
    """Waves as devices send them; some come late, some again, some bring a part of their values."""
    chance = random.Random(seed)  # the same course each time
    at_ms = BEGAN_MS
    for n in range(count):
        at_ms += chance.choice((1, 200, 3_000))
        warm = n // 200 % 5 == 4
        values: dict[str, Any] = {
            "temperature": (35 if warm else 20) + chance.choice((0, 0.5, 1)),
            "count": n,
            "humidity": chance.choice((50, 50.0, 60)) if chance.random() < 0.01 else 45,
        }
        if chance.random() < 0.01:
            del values[chance.choice(list(values))]
        late_ms = chance.choice((500, 5_000, 90_000)) if chance.random() < 0.02 else 0
        yield [chance.choice(DEVICES), at_ms - late_ms, n, at_ms + 3, values]


@pytest.mark.parametrize("seed", range(4))
def test_skipping_what_changes_nothing_comes_to_the_same_with_far_fewer_steps(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = compiled(hundred_rules()[:3] + MORE)
    told = list(readings(seed, 6_000))
    found, steps = [], []
    for most in (reference.MOST_CALM, 0):
        taken: list[str] = []

        def counted(rule: CompiledRule, *others: Any, taken: list[str] = taken) -> Any:
            taken.append(rule.key)
            return stepping.step(rule, *others)

        monkeypatch.setattr(reference, "step", counted)
        monkeypatch.setattr(reference, "MOST_CALM", most)
        each = reference.Reference(TENANT, rules)
        each.follow(told)
        each.elapse(told[-1][3] + 100_000)
        found.append(each.expected.episodes)
        steps.append(len(taken))
    assert found[0] == found[1]
    assert len({rule_id for rule_id, _, _ in found[1]}) >= len(MORE), "most rules have raised something"
    assert steps[0] < steps[1] / 3
