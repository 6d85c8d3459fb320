"""What a rule's actions would say of a device as it is now, by the same words as when it really fires."""

from collections.abc import Mapping

from engine.rules import words
from engine.rules.acting import said
from engine.rules.compile import CompiledRule, ignoring
from engine.rules.effects import effects_of
from engine.rules.explain import explain
from engine.rules.rehearsal import Stage
from engine.rules.state import Clear, EndReason, Known, Raise
from engine.rules.tried import Preview

_THEN = "the reason, as it will be then"


def previews(
    rule: CompiledRule, stage: Stage, device_id: str, latest: Mapping[str, Known], at_ms: int
) -> list[Preview]:
    """Of each action that has words or values: these, from the windows on the stage and the device's latest values."""
    seen = {**latest, **{name: known for name, known in stage.seen(at_ms).items() if known.value is not None}}
    fired = Raise(1, at_ms, at_ms, seen, {})
    is_met = explain(ignoring(rule, seen).document.when, rule.vocabulary, seen)["is"] is True
    why = words.why_raised(rule, fired) if is_met else _THEN
    over = Clear(1, at_ms, at_ms, seen, EndReason.CLEARED)
    found = []
    for word, action, thens, reason in (
        ("then", fired, rule.document.then, why),
        ("on_clear", over, rule.document.on_clear or (), _THEN),
    ):
        for effect in effects_of(rule, device_id, action, thens, reason, stage.facts, ()):
            text = said(effect)
            if text is not None:
                found.append(Preview(f"$.{word}[{effect.place.rpartition('.')[2]}]", text))
    return found
