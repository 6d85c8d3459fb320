"""A tenant's rules: write, check, switch on and off, delete, and compile for running."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, insert, select, text, tuple_, update
from sqlalchemy.engine import RowMapping

from engine import ids, pages
from engine.devices import census
from engine.pages import Page
from engine.rules import document as documents
from engine.rules import errors, events, listing, tables, trial, words
from engine.rules.around import vocabularies
from engine.rules.check import check
from engine.rules.errors import Problem, RuleInvalid
from engine.rules.gallery import GALLERY, template
from engine.rules.inspection import Checked, compare, inspect, spoken_in
from engine.rules.model import Mode, RuleDocument, RuleOrder
from engine.rules.phrases import place
from engine.rules.published import made
from engine.rules.ruleset import RuleSet
from engine.rules.templates import Template, fill, fitting, is_fitting, lack
from engine.rules.vocabulary import Vocabulary
from engine.store.tx import Tx

log = logging.getLogger(__name__)
rules, rule_versions = tables.rules, tables.rule_versions


MAX_RULES = 2_000
_MODE_WORDS = {
    Mode.ON: "It was switched on.",
    Mode.SHADOW: "It was told to watch only.",
    Mode.OFF: "It was switched off.",
}
_REWRITTEN = "It was written anew: what it said before could no longer be read."
_STRENGTH = {Mode.OFF: 0, Mode.SHADOW: 1, Mode.ON: 2}
_MODE_DEEDS = {Mode.ON: "rule.enable", Mode.SHADOW: "rule.shadow", Mode.OFF: "rule.disable"}

# changes with every edit of a rule, a profile or a notification policy, and of the time zone; the compiled set is kept
# until it does
_STAMP = text(
    "SELECT (SELECT (count(*), coalesce(sum(version), 0))::text FROM rules WHERE tenant_id = :tenant) || "
    "(SELECT (count(*), coalesce(sum(version), 0))::text FROM profiles WHERE tenant_id = :tenant) || "
    "(SELECT (count(*), coalesce(sum(version), 0))::text FROM notification_policies WHERE tenant_id = :tenant) || "
    "(SELECT time_zone FROM tenants WHERE id = :tenant)"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as it is published; ``sentence`` is its document in plain words.

    ``is_readable``: the document is one that can be understood today, by the grammar and by what its profile measures.
    A rule that is not does nothing; its sentence says so, where that lies and what to do, and ``problems`` say it all.
    """

    id: UUID
    name: str
    severity: str
    document: dict[str, Any]
    sentence: str
    is_enabled: bool
    version: int
    created_at: datetime
    updated_at: datetime
    is_shadow: bool = False
    is_readable: bool = True
    problems: tuple[Problem, ...] = ()

    @property
    def mode(self) -> Mode:
        """Whether it acts, only watches, or is off."""
        return _mode(is_enabled=self.is_enabled, is_shadow=self.is_shadow)


@dataclass(frozen=True, slots=True)
class Filled:
    """A document made from a template, and what it would be as a rule; no document where a choice is missing."""

    document: dict[str, Any] | None
    checked: Checked


@dataclass(frozen=True, slots=True)
class Offer:
    """A template, and the metrics of a profile that may go into its holes, the likeliest first, by the hole's key."""

    template: Template
    fitting: Mapping[str, tuple[str, ...]]
    is_fitting: bool
    lack: str | None = None


@dataclass(frozen=True, slots=True)
class Beginning:
    """A profile that a new rule may be for: how many devices it has, and how many templates fit it."""

    key: str
    name: str
    devices: int
    templates: int


async def get(tx: Tx, rule_id: UUID) -> Rule:
    """The rule with this id; raises RuleNotFound."""
    return _rule(await _row(tx, rule_id), await vocabularies(tx))


async def by_ids(tx: Tx, rule_ids: Sequence[UUID]) -> dict[UUID, Rule]:
    """Those of ``rule_ids`` that exist, deleted ones included: an old alert still names its rule."""
    words_of = await vocabularies(tx)
    query = select(rules).where(rules.c.tenant_id == tx.principal.tenant_id, rules.c.id.in_(rule_ids))
    return {row["id"]: _rule(row, words_of) for row in await tx.rows(query)}


async def sentences(tx: Tx, versions: Collection[tuple[UUID, int]]) -> dict[tuple[UUID, int], str]:
    """What these versions of rules (id, version) say in plain words, those that exist and can still be read."""
    if not versions:
        return {}
    v, words_of = rule_versions.c, await vocabularies(tx)
    query = select(v.rule_id, v.version, v.document).where(
        v.tenant_id == tx.principal.tenant_id, tuple_(v.rule_id, v.version).in_(sorted(versions))
    )
    said, unreadable = {}, []
    for row in await tx.rows(query):
        try:
            said[row["rule_id"], row["version"]] = _sentence(row, words_of)
        except RuleInvalid:  # written by an older grammar: its alerts are told and shown without its words
            unreadable.append(f"{row['rule_id']} version {row['version']}")
    if unreadable:
        log.warning("rule.unreadable", extra={"rules": unreadable})
    return said


async def page(
    tx: Tx,
    *,
    search: str | None = None,
    order: RuleOrder = RuleOrder.MADE,
    first: int = 50,
    after: str | None = None,
) -> Page[Rule]:
    """Rules as they are asked for; raises BadCursor, BadPageSize."""
    size = pages.page_size(first)
    query = _mine(tx)
    if search:
        query = query.where(rules.c.name.icontains(search, autoescape=True))
    words_of = await vocabularies(tx)
    rows = await tx.rows(listing.ordered(query, order, tx.principal.tenant_id, after).limit(size + 1))
    keys = {row["id"]: listing.key(row, order) for row in rows}
    return pages.cut([_rule(row, words_of) for row in rows], size, lambda rule: keys[rule.id])


async def offers(tx: Tx, profile: str | None = None) -> list[Offer]:
    """The gallery's templates with what fits of a profile (of what all profiles agree on, without one).

    Those that fit come first; of the others is said what the profile lacks.
    """
    known = await vocabularies(tx)
    words_of = Vocabulary.union(known.values()) if profile is None else known.get(profile, Vocabulary())
    found = [
        Offer(
            each,
            {hole.key: fitting(hole, words_of) for hole in each.metric_holes},
            is_fitting(each, words_of),
            lack(each, words_of),
        )
        for each in GALLERY
    ]
    return sorted(found, key=lambda offer: not offer.is_fitting)


async def beginnings(tx: Tx) -> list[Beginning]:
    """The profiles that a new rule may be for: that of most devices first, then that which most templates fit."""
    known, counts = await vocabularies(tx), await census.by_profile(tx)
    found = [
        Beginning(key, words_of.profile_names[key], counts.get(key, 0), sum(is_fitting(t, words_of) for t in GALLERY))
        for key, words_of in known.items()
    ]
    return sorted(found, key=lambda each: (-each.devices, -each.templates, each.name))


async def filled(
    tx: Tx, key: str, choices: Mapping[str, Any], *, profile: str | None = None, policy: str | None = None
) -> Filled:
    """The document that ``choices`` make of a template, and its check. Raises TemplateNotFound."""
    found = template(key)
    if found is None:
        raise errors.TemplateNotFound
    known = await vocabularies(tx)
    words_of = Vocabulary.union(known.values()) if profile is None else known.get(profile, Vocabulary())
    try:
        node = fill(found, choices, words_of, profile=profile, policy=policy)
    except RuleInvalid as invalid:
        return Filled(None, Checked(invalid.problems, None, 0))
    return Filled(node, await inspect(tx, node))


async def create(tx: Tx, node: object, *, is_enabled: bool = True, is_shadow: bool = False) -> Rule:
    """Publish a new rule; it is evaluated from the next drain on.

    Raises RuleInvalid, TooManyRules, and as ``trial.prove`` where one of its tests fails.

    ``is_shadow``: it notes what it would do and does nothing.
    """
    document, sentence = await _valid(tx, node)
    count = await tx.scalar(text("SELECT count(*) FROM rules WHERE deleted_at IS NULL"))
    if count >= MAX_RULES:
        raise errors.TooManyRules
    row = await tx.one(
        insert(rules)
        .values(
            tenant_id=tx.principal.tenant_id,
            id=ids.uuid7(),
            name=document.name,
            severity=document.severity,
            document=node,
            is_enabled=is_enabled,
            is_shadow=is_shadow,
            version=1,
            created_at=tx.now,
            updated_at=tx.now,
        )
        .returning(rules)
    )
    assert row is not None
    await _remember(tx, row, ["It was made."])
    tx.audit("rule.create", "rule", row["id"], after=_told(row, sentence))
    return _from(row, sentence)


async def change(tx: Tx, rule_id: UUID, node: object, *, expected_version: int | None = None) -> Rule:
    """Replace a rule's document.

    Raises RuleNotFound, RuleChanged (a stale version), RuleInvalid, and as ``trial.prove`` where a test of it fails.
    """
    before = await _locked(tx, rule_id, expected_version)
    document, sentence = await _valid(tx, node)
    said = _rule(before, await vocabularies(tx))
    try:
        changes = await compare(tx, before["document"], node)
    except RuleInvalid:
        changes = [_REWRITTEN]
    row = await _save(tx, rule_id, changes, name=document.name, severity=document.severity, document=node)
    tx.audit("rule.change", "rule", rule_id, before=_told(before, said.sentence), after=_told(row, sentence, changes))
    return _from(row, sentence)


async def switch(tx: Tx, rule_id: UUID, *, is_enabled: bool) -> Rule:
    """Switch a rule on or off. Raises as ``set_mode``."""
    return await set_mode(tx, rule_id, Mode.ON if is_enabled else Mode.OFF)


async def set_mode(tx: Tx, rule_id: UUID, mode: Mode) -> Rule:
    """Let a rule act, only watch, or rest; whatever it left open in its mode of before ends.

    What it does when an alert is over it does for these too, so that nothing stays as it has set it. Once it was off,
    all that was open then ends, however soon it is on again.

    Its tests passed when it was published, but what they run on, its profile, may be another now: whoever lets it do
    more than before hears of it. Raises RuleNotFound, and as ``trial.prove``.
    """
    row = await _locked(tx, rule_id)
    wanted = {"is_enabled": mode is not Mode.OFF, "is_shadow": mode is Mode.SHADOW}
    if any(row[name] != value for name, value in wanted.items()):
        if _STRENGTH[mode] > _STRENGTH[_mode(is_enabled=row["is_enabled"], is_shadow=row["is_shadow"])]:
            await trial.prove(tx, documents.parse(row["document"]))
        times_off = row["times_off"] + (mode is Mode.OFF)
        row = await _save(tx, rule_id, [_MODE_WORDS[mode]], **wanted, times_off=times_off)
        sentence = _rule(row, await vocabularies(tx)).sentence
        tx.audit(_MODE_DEEDS[mode], "rule", rule_id, after=_told(row, sentence))
    return _rule(row, await vocabularies(tx))


async def delete(tx: Tx, rule_id: UUID) -> Rule:
    """Take a rule away as if it were switched off; its past alerts stay. Raises RuleNotFound."""
    row = await _locked(tx, rule_id)
    rule = _rule(row, await vocabularies(tx))
    tx.audit("rule.delete", "rule", rule_id, before=_told(row, rule.sentence))
    await _save(tx, rule_id, ["It was deleted."], is_enabled=False, deleted_at=tx.now)
    return rule


class Compiled:
    """One process's memory of each tenant's compiled rules, renewed when a rule or profile has changed."""

    def __init__(self, most: int = 1_000) -> None:
        self._kept: dict[UUID, tuple[str, RuleSet]] = {}
        self._most = most

    async def of(self, tx: Tx) -> RuleSet:
        """The tenant's enabled rules, ready to run. One that its profile no longer fits is left out and logged."""
        tenant_id = tx.principal.tenant_id
        stamp = str(await tx.scalar(_STAMP, {"tenant": tenant_id}))
        kept = self._kept.pop(tenant_id, None)
        if kept is None or kept[0] != stamp:
            kept = stamp, await _compile(tx)
        self._kept[tenant_id] = kept
        if len(self._kept) > self._most:
            self._kept.pop(next(iter(self._kept)))
        return kept[1]


async def _compile(tx: Tx) -> RuleSet:
    known = await vocabularies(tx)
    compiled, shadows = [], set()
    for row in await tx.rows(_mine(tx).where(rules.c.is_enabled).order_by(rules.c.id)):
        try:
            rule = made(row, known)
            if row["is_shadow"]:
                shadows.add(rule.key)
            compiled.append(rule)
        except RuleInvalid:
            log.warning("rule.unusable", extra={"rule": str(row["id"]), "version": row["version"]})
    return RuleSet(compiled, shadows)


async def _valid(tx: Tx, node: object) -> tuple[RuleDocument, str]:
    checked = await inspect(tx, node)
    if checked.problems:
        raise RuleInvalid(checked.problems)
    document = documents.parse(node)
    await trial.prove(tx, document)
    return document, checked.sentence or ""


def _mine(tx: Tx) -> Select[Any]:
    return select(rules).where(rules.c.tenant_id == tx.principal.tenant_id, rules.c.deleted_at.is_(None))


async def _row(tx: Tx, rule_id: UUID) -> RowMapping:
    row = await tx.one(_mine(tx).where(rules.c.id == rule_id))
    if row is None:
        raise errors.RuleNotFound
    return row


async def _locked(tx: Tx, rule_id: UUID, expected_version: int | None = None) -> RowMapping:
    """The rule's row, held until COMMIT: of two edits of one version only the first passes."""
    row = await tx.one(_mine(tx).where(rules.c.id == rule_id).with_for_update())
    if row is None:
        raise errors.RuleNotFound
    if expected_version is not None and row["version"] != expected_version:
        raise errors.RuleChanged(version=row["version"])
    return row


async def _save(tx: Tx, rule_id: UUID, changes: Sequence[str], **values: object) -> RowMapping:
    row = await tx.one(
        update(rules)
        .where(rules.c.tenant_id == tx.principal.tenant_id, rules.c.id == rule_id)
        .values(**values, version=rules.c.version + 1, updated_at=tx.now)
        .returning(rules)
    )
    assert row is not None
    await _remember(tx, row, changes)
    return row


async def _remember(tx: Tx, row: RowMapping, changes: Sequence[str]) -> None:
    await tx.execute(
        insert(rule_versions).values(
            tenant_id=tx.principal.tenant_id,
            rule_id=row["id"],
            version=row["version"],
            document=row["document"],
            changes=list(changes),
            created_by=tx.principal.name or tx.principal.kind,
            created_at=tx.now,
        )
    )
    tx.emit(events.RuleChanged(row["id"]))


def _told(row: RowMapping, sentence: str, changes: Sequence[str] = ()) -> dict[str, object]:
    """What the audit log says of a rule: in words, and the document as it is. ``changes``: how it came to be so."""
    return {
        "name": row["name"],
        "is_enabled": row["is_enabled"],
        "version": row["version"],
        "sentence": sentence,
        **({"changes": list(changes)} if changes else {}),
        "document": row["document"],
    }


def _mode(*, is_enabled: bool, is_shadow: bool) -> Mode:
    return Mode.OFF if not is_enabled else Mode.SHADOW if is_shadow else Mode.ON


def _rule(row: RowMapping, known: dict[str, Vocabulary]) -> Rule:
    """The rule; of one that the grammar or its profile has left behind, what is to be done about it."""
    try:
        document = documents.parse(row["document"])
        vocabulary = spoken_in(document, known)
        problems = tuple(check(document, vocabulary))
    except RuleInvalid as invalid:
        problems = invalid.problems
    if not problems:
        return _from(row, words.sentence(document, vocabulary))
    log.warning("rule.unreadable", extra={"rules": [f"{row['id']} version {row['version']}"]})
    return replace(_from(row, _unreadable(problems)), is_readable=False, problems=problems)


def _unreadable(problems: Sequence[Problem]) -> str:
    """That it does nothing, where the first of what is wrong lies, and the ways out."""
    first, more = problems[0], len(problems) - 1
    others = f" ({more} more like this.)" if more else ""
    mend = f" {first.suggestion}" if first.suggestion else ""
    return (
        f"This rule can no longer be read, so it does nothing: {place(first.path)}: {first.message}{mend}{others} "
        "Mend that and publish it, go back to an earlier version, or delete it."
    )


def _sentence(row: RowMapping, known: dict[str, Vocabulary]) -> str:
    document = documents.parse(row["document"])
    return words.sentence(document, spoken_in(document, known))


def _from(row: RowMapping, sentence: str) -> Rule:
    return Rule(
        row["id"],
        row["name"],
        row["severity"],
        row["document"],
        sentence,
        row["is_enabled"],
        row["version"],
        row["created_at"],
        row["updated_at"],
        row["is_shadow"],
    )
