"""From a rule document to something that can be run: typechecked, in negation normal form, as guarded JSONLogic.

A condition is three-valued (Kleene): true, false, or unknown when a metric it needs is missing or of another type.
JSONLogic knows two values and says that a missing metric is below 50, so each condition becomes two programs, "it is
true" and "it is false". Results count only as ``is True``.
"""

import hashlib
import json
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from uuid import UUID

import datalogic_py

from engine.rules.check import check
from engine.rules.errors import RuleInvalid
from engine.rules.inputs import Input, InputKind, inputs_of, metrics_of
from engine.rules.logic import canonical, guarded, normal, without
from engine.rules.model import Condition, Duration, MetricType, MissingDo, RuleDocument
from engine.rules.resolve import resolved
from engine.rules.vocabulary import Vocabulary

DEFAULT_LATENESS_MS = 3_600_000

ENGINE = datalogic_py.Engine(
    config={"preset": "strict", "missing_var": "error", "loose_equality_errors": True, "ops_budget": 10_000},
    families=["ExtString", "ExtArray", "ExtMath", "ExtControl"],
    strict_operator_names=True,
)


@dataclass(frozen=True, slots=True)
class Program:
    """One condition, ready to be asked."""

    is_true: datalogic_py.Rule
    is_false: datalogic_py.Rule

    def verdict(self, values: datalogic_py.DataHandle) -> bool | None:
        """True, False, or None for unknown."""
        if self.is_true.evaluate_data(values) is True:
            return True
        return False if self.is_false.evaluate_data(values) is True else None


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRule:
    """One version of a rule, ready to run. ``metrics`` are all it reads; ``condition`` is its ``condition_hash``.

    ``inputs`` are the named facts that its programs read, ``clear``'s too; ``is_plain``: they are newest values only,
    so that a message that brings all ``metrics`` can be judged as it is. ``key`` is the id as a text, made once: it is
    needed for every reading.
    """

    id: UUID
    key: str
    version: int
    document: RuleDocument
    vocabulary: Vocabulary
    metrics: tuple[str, ...]
    inputs: tuple[Input, ...]
    is_plain: bool
    when: Program
    clear: Program | None
    condition: str
    profile: str | None
    devices: frozenset[str] | None
    held_ms: int
    clear_held_ms: int
    cooldown_ms: int
    max_lateness_ms: int


def compile_rule(rule_id: UUID, version: int, document: RuleDocument, vocabulary: Vocabulary) -> CompiledRule:
    """The rule ready to run. Raises RuleInvalid if the document misuses the vocabulary's metrics, types or units."""
    if problems := check(document, vocabulary):
        raise RuleInvalid(problems)
    document_in_units = _in_the_profiles_units(document, vocabulary)
    inputs = inputs_of(*(condition for _, condition in document_in_units.conditions))
    types = {metric: vocabulary.metrics[metric].type for metric in metrics_of(inputs)}
    when, clear = document_in_units.when, document_in_units.clear
    limits, scope = document.limits, document.scope
    return CompiledRule(
        id=rule_id,
        key=str(rule_id),
        version=version,
        document=document,
        vocabulary=vocabulary.speaking_of({metric: vocabulary.metrics[metric] for metric in types}),
        metrics=tuple(types),
        inputs=inputs,
        is_plain=all(each.kind is InputKind.METRIC for each in inputs),
        when=program(when, types),
        clear=None if clear is None else program(clear.when, types),
        condition=condition_hash(document_in_units, types),
        profile=scope.profile,
        devices=None if scope.devices is None else frozenset(str(UUID(device)) for device in scope.devices),
        held_ms=_ms(document.held_for),
        clear_held_ms=0 if clear is None else _ms(clear.held_for),
        cooldown_ms=0 if limits is None else _ms(limits.cooldown),
        max_lateness_ms=DEFAULT_LATENESS_MS if limits is None else _ms(limits.max_lateness, DEFAULT_LATENESS_MS),
    )


def program(condition: Condition, types: Mapping[str, MetricType]) -> Program:
    """``condition``, in the profile's units, as two compiled programs; ``types`` names every metric it compares."""
    return Program(
        is_true=ENGINE.compile(guarded(normal(condition), types)),
        is_false=ENGINE.compile(guarded(normal(condition, negated=True), types)),
    )


def condition_hash(document: RuleDocument, types: Mapping[str, MetricType]) -> str:
    """What makes a rule's state meaningful: equal for two documents whose conditions mean the same by their form.

    Order, repetition, nesting of the same kind, ``not`` and the way a number is written do not count; types do. Waits,
    limits, names and severity are no part of it: editing them keeps the state. Values are in the profile's units.
    """
    clear = None if document.clear is None else canonical(document.clear.when)
    whole = [canonical(document.when), clear, sorted(types.items())]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:32]


def ignoring(rule: CompiledRule, known: Container[str]) -> CompiledRule:
    """The rule as it decides where only these facts are ``known``: if it ignores what is missing, without that."""
    missing = rule.document.missing
    if missing is None or missing.do is not MissingDo.IGNORE:
        return rule
    gone = frozenset(metric for metric in rule.metrics if metric not in known)
    return _without(rule, gone) if gone else rule


@lru_cache(maxsize=1_024)
def _without(rule: CompiledRule, metrics: frozenset[str]) -> CompiledRule:
    """The rule without the leaves that read ``metrics``. A condition of nothing else stays, and is not known."""
    document, types = rule.document, {metric: each.type for metric, each in rule.vocabulary.metrics.items()}
    when, clear = without(document.when, metrics) or document.when, document.clear
    if clear is not None:
        clear = replace(clear, when=without(clear.when, metrics) or clear.when)
    left_over = replace(document, when=when, clear=clear)
    ready = _in_the_profiles_units(left_over, rule.vocabulary)
    return replace(
        rule,
        document=left_over,
        when=program(ready.when, types),
        clear=None if ready.clear is None else program(ready.clear.when, types),
    )


def _in_the_profiles_units(document: RuleDocument, vocabulary: Vocabulary) -> RuleDocument:
    clear = document.clear and replace(document.clear, when=resolved(document.clear.when, vocabulary))
    return replace(document, when=resolved(document.when, vocabulary), clear=clear)


def _ms(duration: Duration | None, otherwise: int = 0) -> int:
    return otherwise if duration is None else duration.ms
