"""Rules that set each other off: what one does carries the rules that led to it, so that a circle comes to an end."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from engine.rules.compile import CompiledRule
from engine.rules.moves import deadline
from engine.rules.state import Phase, RuleState

MAX_HOPS = 4
"""So many rules may follow from what others did to a device: then it is a loop, and what comes next is not done."""
SLOW_MS = 60_000
"""Who waits so long before it goes on is no runaway: such a wait ends the chain."""

Chain: TypeAlias = tuple[str, ...]
"""The ids of the rules that led to something, the first one first; empty for what comes from outside."""


def goes_on(rule: CompiledRule, state: RuleState) -> bool:
    """Whether what led to this state also leads to what the rule does next: it is waiting, and not for long."""
    if state.phase is Phase.PENDING:
        over = deadline(rule, state)  # with the hour in which it may fire no more
        waits_ms = 0 if over is None or state.since is None else over - state.since
        return max(rule.held_ms, rule.cooldown_ms, waits_ms) < SLOW_MS
    return state.phase is Phase.CLEARING and rule.clear_held_ms < SLOW_MS


def subject(chain: Chain) -> str:
    """Whom a notice about these rules is kept under: the same one wherever the circle is entered."""
    return min(_circle(chain))


def told(chain: Chain, name_of: Callable[[str], str]) -> str:
    """What to say of rules that led to each other so often that the next action is not done; each is named once."""
    circle = _circle(chain)
    names = [f"“{name_of(rule)}”" for rule in circle]
    if len(circle) == 1:
        return f"The rule {names[0]} sets itself off again and again: after {MAX_HOPS} times it was stopped."
    is_circle = chain[-1] in chain[:-1]
    said = "set each other off in a circle" if is_circle else "followed from each other, which looks like a circle"
    return f"The rules {_listed(names)} {said}: after {MAX_HOPS} steps the next was not done."


def _circle(chain: Chain) -> Chain:
    """The rules between the last one and its turn before: the circle; all of them where none came twice."""
    *before, last = chain
    if last not in before:
        return tuple(dict.fromkeys(chain))
    began = len(before) - 1 - before[::-1].index(last)
    return tuple(dict.fromkeys(before[began:]))


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
