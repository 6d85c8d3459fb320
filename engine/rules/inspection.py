"""Reading a document before it is a rule: what is wrong with it or odd about it, what it says, whom it is for."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from engine.devices import service as devices
from engine.rules import around, scope, words
from engine.rules import document as documents
from engine.rules.around import vocabularies
from engine.rules.check import check
from engine.rules.diff import difference
from engine.rules.errors import Problem, RuleInvalid
from engine.rules.lint import Finding, lint
from engine.rules.model import RuleDocument
from engine.rules.vocabulary import Vocabulary
from engine.store.tx import Tx


@dataclass(frozen=True, slots=True)
class Checked:
    """What a document would be as a rule: its problems, or its sentence and what is odd, and its devices' number."""

    problems: tuple[Problem, ...]
    sentence: str | None
    applies_to: int
    warnings: tuple[Finding, ...] = ()


async def inspect(tx: Tx, node: object, *, replacing: UUID | None = None) -> Checked:
    """What ``node`` would be as a rule; never raises for a bad document, its problems say what is wrong.

    ``replacing`` is the rule whose next version it would be: it has no quarrel with that one.
    """
    try:
        document = documents.parse(node)
    except RuleInvalid as invalid:
        return Checked(invalid.problems, None, 0)
    vocabulary = spoken_in(document, await vocabularies(tx))
    found = check(document, vocabulary, await around.surroundings(tx, document))
    problems = tuple(found) + await _scope_problems(tx, document)
    applies_to = await scope.count(tx, document.scope)
    if problems:
        return Checked(problems, None, applies_to)
    others = await around.neighbours(tx, document, replacing)
    warnings = lint(document, vocabulary, others, await around.profiles_named(tx, document, others))
    return Checked((), words.sentence(document, vocabulary), applies_to, tuple(warnings))


async def compare(tx: Tx, before: object, after: object) -> list[str]:
    """What changed from one document to another, a sentence for each change. Raises RuleInvalid if either is broken."""
    one, other = documents.parse(before), documents.parse(after)
    return difference(one, other, spoken_in(other, await vocabularies(tx)))


async def vocabulary_of(tx: Tx, document: RuleDocument) -> Vocabulary:
    """What the document may speak of."""
    return spoken_in(document, await vocabularies(tx))


def spoken_in(document: RuleDocument, known: Mapping[str, Vocabulary]) -> Vocabulary:
    """What the document may speak of, of what is known by the profile's key."""
    if document.scope.profile is None:
        return Vocabulary.union(known.values())
    found = known.get(document.scope.profile)
    return Vocabulary.union(known.values()).speaking_of({}) if found is None else found


async def _scope_problems(tx: Tx, document: RuleDocument) -> tuple[Problem, ...]:
    profile, chosen = document.scope.profile, document.scope.devices
    if profile is not None and await devices.profile_by_key(tx, profile) is None:
        return (Problem("$.scope.profile", f"There is no profile “{profile}”.", "Choose one from the list."),)
    if chosen is not None:
        wanted = [UUID(device) for device in chosen]
        missing = set(wanted) - set(await devices.by_ids(tx, wanted))
        if missing:
            return (Problem("$.scope.devices", f"{len(missing)} of the chosen devices do not exist."),)
    return ()
