"""Whether a condition can be true at all: its ways to be true, each with what it settles of the facts that are read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from engine.rules.bearing import Said, domain, facts_of, implied, is_counted, whole
from engine.rules.inputs import Input
from engine.rules.model import All, AnyLeaf, AnyOf, Condition, Not
from engine.rules.reach import Reach

Clash: TypeAlias = tuple[tuple[AnyLeaf, bool], ...]
"""Leaves that exclude each other, each with whether it is meant the other way round."""


class Settled(NamedTuple):
    """What is settled of a fact: the values left, and the leaves that left them."""

    reach: Reach
    leaves: Clash
    fact: Input | None = None


Context: TypeAlias = Mapping[str, Settled]
"""What is settled, by subject."""
MAX_VISITS = 2_000
MAX_WAYS = 4
"""So many ways for a condition to be true are kept apart; beyond that, a part that has several settles nothing."""


class Possible:
    """Walks conditions in the profile's units. Sound, not complete: what it calls impossible is, the rest may be.

    ``is_known``: as in `facts_of`.
    """

    def __init__(self, *, is_known: bool = True) -> None:
        self.clash: Clash | None = None
        self.unreachable: list[tuple[str, Clash | None]] = []
        self._path: str | None = None
        self._visits = 0
        self._is_known = is_known

    def clash_path(self, otherwise: str) -> str:
        """Where the clash was met."""
        return self._path or otherwise

    def walk(
        self, condition: Condition, path: str, *, negated: bool = False, beside: Sequence[Context] = ({},)
    ) -> Sequence[Context]:
        """What is settled if ``condition`` (or its opposite) is true ``beside`` one of these; none if it cannot."""
        self._visits += len(beside)
        if self._visits > MAX_VISITS:
            return beside
        match condition:
            case Not(of=inner):
                return self.walk(inner, f"{path}.not", negated=not negated, beside=beside)
            case All(of=parts) | AnyOf(of=parts):
                word = "all" if isinstance(condition, All) else "any"
                placed = [(part, f"{path}.{word}[{at}]") for at, part in enumerate(parts)]
                if isinstance(condition, All) is not negated:
                    return self._together(placed, negated, beside)
                return self._either(placed, negated, beside)
            case leaf:
                said = list(facts_of(leaf, negated=negated, is_known=self._is_known))
                ways = (self._settle(context, said, ((leaf, negated),)) for context in beside)
                found = [each for each in ways if each is not None]
                if not found:
                    self._path = path
                return found

    def _together(
        self, parts: list[tuple[Condition, str]], negated: bool, beside: Sequence[Context]
    ) -> Sequence[Context]:
        """All of ``parts``; simple ones first, so that branches are judged beside all that is settled."""
        for part, path in sorted(parts, key=lambda each: isinstance(each[0], All | AnyOf | Not)):
            beside = self.walk(part, path, negated=negated, beside=beside)
            if not beside:
                break
        return beside

    def _either(
        self, parts: list[tuple[Condition, str]], negated: bool, beside: Sequence[Context]
    ) -> Sequence[Context]:
        found: list[Context] = []
        lost: list[tuple[str, Clash | None]] = []
        for part, path in parts:
            settled = self.walk(part, path, negated=negated, beside=beside)
            if not settled:
                lost.append((path, self.clash))
            if len(found) <= MAX_WAYS:
                found += (way for way in settled if way not in found)
        if not found:
            return ()
        self.unreachable += lost
        return found if len(found) <= MAX_WAYS else beside

    def _settle(self, context: Context, said: Sequence[Said], leaves: Clash) -> Context | None:
        """The context with what is said, and with what follows from that; None if it cannot be."""
        settled = dict(context)
        waiting = [(each, leaves) for each in said]
        while waiting and self._visits <= MAX_VISITS:
            (subject, reach, fact), because = waiting.pop()
            self._visits += 1
            before = settled.get(subject)
            least = domain(fact) if before is None else before.reach
            left_over = reach if least is None else least.cut(reach)
            if is_counted(fact):
                left_over = whole(left_over)
            if before is not None and left_over == before.reach:
                continue
            because = because if before is None else tuple(dict.fromkeys((*before.leaves, *because)))
            if left_over.is_empty:
                self.clash = because
                return None
            now = settled[subject] = Settled(left_over, because, fact)
            waiting += _following(subject, now, settled, is_new=before is None)
        return settled


def _following(subject: str, now: Settled, context: Context, *, is_new: bool) -> Iterator[tuple[Said, Clash]]:
    """What ``now`` says of the other facts that are settled, and if it is new, what they say of it."""
    for name, other in context.items():
        if now.fact is None or other.fact is None or name == subject:
            continue
        if (reach := implied(now.fact, now.reach, other.fact)) is not None:
            yield Said(name, reach, other.fact), now.leaves
        if is_new and (reach := implied(other.fact, other.reach, now.fact)) is not None:
            yield Said(subject, reach, now.fact), other.leaves
