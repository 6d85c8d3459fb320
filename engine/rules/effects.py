"""What a firing or a clearing leads to: each action of the document with the values it needs, as an `Effect`."""

from collections.abc import Mapping, Sequence

from engine.clock import from_ms
from engine.rules import words
from engine.rules.acting import TELLING, Effect
from engine.rules.circles import Chain
from engine.rules.compile import CompiledRule
from engine.rules.facts import Facts, Moment
from engine.rules.findings import is_number
from engine.rules.inputs import windows_of
from engine.rules.model import (
    DeriveMetric,
    OtherMetric,
    RaiseAlert,
    Scalar,
    Then,
    WindowValue,
)
from engine.rules.plan import plan_of
from engine.rules.state import Clear, Known, Raise
from engine.rules.values import plain


def effects_of(
    rule: CompiledRule,
    device_id: str,
    action: Raise | Clear,
    thens: Sequence[Then],
    reason: str,
    facts: Facts,
    led_by: Chain,
) -> list[Effect]:
    """The effects of ``thens`` (those that raise an alert apart) when ``action`` happens, led to by these rules."""
    is_raise = isinstance(action, Raise)
    value, shown = words.value_seen(rule, action)
    told = placeholders(rule, device_id, action.seen, action.at, facts, value)
    has_done = not is_raise and any(not isinstance(then, TELLING) for then in plan_of(rule).then)
    return [
        Effect(
            rule_id=rule.key,
            version=rule.version,
            rule_name=rule.document.name,
            severity=rule.document.severity.value,
            device_id=device_id,
            episode=action.episode,
            place=f"{'then' if is_raise else 'on_clear'}.{place}",
            then=then,
            at_ms=action.at,
            is_raise=is_raise,
            reason=reason,
            facts=told,
            value=_value(then, device_id, action, facts) if isinstance(then, DeriveMetric) else None,
            chain=(*led_by, rule.key),
            shown=shown,
            zone=facts.zone(device_id, None),
            undoes=has_done and not isinstance(then, TELLING),
        )
        for place, then in enumerate(thens)
        if not isinstance(then, RaiseAlert)
    ]


def placeholders(
    rule: CompiledRule,
    device_id: str,
    seen: Mapping[str, Known],
    at_ms: int,
    facts: Facts,
    value: Scalar | None,
) -> Mapping[str, str]:
    """What the placeholders of a text stand for, by the name in their braces; ``value`` made the rule fire."""
    about = facts.of(device_id)
    names = (*rule.metrics, *plan_of(rule).named)
    values = {name: _shown(seen[name].value) for name in names if name in seen and seen[name].value is not None}
    return {
        "device": about.name or device_id,
        "device.key": about.key or device_id,
        "rule": rule.document.name,
        "severity": rule.document.severity.value,
        "time": f"{from_ms(at_ms).astimezone(facts.zone(device_id, None)):%Y-%m-%d %H:%M}",
        **({} if value is None else {"value": _shown(value)}),
        **{f"metric:{metric}": value for metric, value in values.items()},
        **{f"attribute:{key}": value for key, value in about.labels.items()},
    }


def _value(then: DeriveMetric, device_id: str, action: Raise | Clear, facts: Facts) -> Scalar | None:
    match then.value:
        case WindowValue() as window:
            return facts.read(device_id, windows_of(window), Moment(action.at))
        case OtherMetric(metric=metric, plus=plus, times=times):
            entry = action.seen.get(metric)
            if entry is None or not is_number(entry.value):
                return None
            # Too large to be a number is unknown, as it is in conditions.
            return plain(float(entry.value or 0) * (1.0 if times is None else times) + (plus or 0.0))
        case number:
            return number


def _shown(value: Scalar | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)
