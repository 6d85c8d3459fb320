"""Drafts: rules being written, apart from what is published; saved as they are, however unfinished."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, and_, delete, func, insert, select, update
from sqlalchemy.engine import RowMapping

from engine import ids, pages
from engine.pages import Page
from engine.rules import errors, service
from engine.rules.model import Mode
from engine.rules.service import Rule
from engine.rules.tables import rule_drafts as drafts
from engine.rules.tables import rule_versions
from engine.rules.tried import Draft, Version
from engine.store.tx import Tx

MAX_BYTES = 64 * 1024
MOST = 500


async def page(tx: Tx, *, first: int = 50, after: str | None = None) -> Page[Draft]:
    """The tenant's drafts, newest first."""
    size = pages.page_size(first)
    query = select(drafts).where(_mine(tx))
    if after is not None:
        query = query.where(drafts.c.id < _id_of(after))
    rows = await tx.rows(query.order_by(drafts.c.id.desc()).limit(size + 1))
    return pages.cut([_draft(row) for row in rows], size, lambda draft: str(draft.id))


async def get(tx: Tx, draft_id: UUID) -> Draft:
    """One draft; raises DraftNotFound."""
    row = await tx.one(select(drafts).where(_this(tx, draft_id)))
    if row is None:
        raise errors.DraftNotFound
    return _draft(row)


async def of_rule(tx: Tx, rule_id: UUID) -> Draft | None:
    """The next version of a rule, if one is being written."""
    row = await tx.one(select(drafts).where(_mine(tx), drafts.c.rule_id == rule_id))
    return None if row is None else _draft(row)


async def save(
    tx: Tx,
    document: object,
    *,
    draft_id: UUID | None = None,
    rule_id: UUID | None = None,
    rule_version: int | None = None,
    expected_version: int | None = None,
) -> Draft:
    """Keep a document as it is, right or wrong; without ``draft_id`` as a new draft, of ``rule_id`` its only one.

    ``rule_version``: what of the rule was seen; None: what is in force as the draft is begun. Raises DraftTooLarge,
    DraftNotFound, RuleNotFound, TooManyDrafts, and DraftChanged, also where a draft of this rule was there already.
    """
    if not isinstance(document, dict) or len(orjson.dumps(document)) > MAX_BYTES:
        raise errors.DraftTooLarge
    if draft_id is None and rule_id is not None:
        rule = await service.get(tx, rule_id)
        if await of_rule(tx, rule_id) is not None:
            raise errors.DraftChanged("Somebody has begun a draft of this rule meanwhile; load it, then go on with it.")
        rule_version = rule_version or rule.version
    saved = {"document": document, "saved_by": tx.principal.name or tx.principal.kind, "saved_at": tx.now}
    if draft_id is None:
        return await _make(tx, {**saved, "rule_version": rule_version}, rule_id)
    row = await tx.one(select(drafts).where(_this(tx, draft_id)).with_for_update())
    if row is None:
        raise errors.DraftNotFound
    if expected_version not in (None, row["version"]):
        raise errors.DraftChanged
    if rule_version is not None:
        saved["rule_version"] = rule_version
    query = update(drafts).where(_this(tx, draft_id)).values(**saved, version=drafts.c.version + 1)
    changed = await tx.one(query.returning(drafts))
    assert changed is not None
    return _draft(changed)


async def discard(tx: Tx, draft_id: UUID) -> Draft:
    """Throw a draft away. Raises DraftNotFound."""
    draft = await get(tx, draft_id)
    await tx.execute(delete(drafts).where(_this(tx, draft_id)))
    tx.audit("rule_draft.delete", "rule_draft", draft_id, before={"name": draft.name})
    return draft


async def publish(tx: Tx, draft_id: UUID, mode: Mode | None = None, *, expected_version: int | None = None) -> Rule:
    """Make a draft the rule, or its next version; the draft is gone. ``mode`` None: as it was (a new one: on).

    Raises DraftNotFound, DraftChanged (it is no longer what whoever publishes it saw), RuleChanged (nor is the rule
    what it was begun on; ``version`` says what is in force now), RuleInvalid, TestsFail, TooManyRules.
    """
    row = await tx.one(select(drafts).where(_this(tx, draft_id)).with_for_update())
    if row is None:  # of two who publish it at once only the first does
        raise errors.DraftNotFound
    draft = _draft(row)
    if expected_version not in (None, draft.version):
        raise errors.DraftChanged
    seen = await _refuse_unseen(tx, draft)
    if draft.rule_id is None:
        wanted = mode or Mode.ON
        is_on, is_shadow = wanted is not Mode.OFF, wanted is Mode.SHADOW
        rule = await service.create(tx, draft.document, is_enabled=is_on, is_shadow=is_shadow)
    else:
        rule = await service.change(tx, draft.rule_id, draft.document, expected_version=seen)
        if mode is not None:
            rule = await service.set_mode(tx, draft.rule_id, mode)
    await tx.execute(delete(drafts).where(_this(tx, draft_id)))
    return rule


async def versions(tx: Tx, rule_id: UUID, *, first: int = 50, after: str | None = None) -> Page[Version]:
    """A rule's versions, newest first. Raises RuleNotFound."""
    await service.get(tx, rule_id)
    size, v = pages.page_size(first), rule_versions.c
    query = select(rule_versions).where(v.tenant_id == tx.principal.tenant_id, v.rule_id == rule_id)
    if after is not None:
        query = query.where(v.version < _number_of(after))
    rows = await tx.rows(query.order_by(v.version.desc()).limit(size + 1))
    return pages.cut([_version(row) for row in rows], size, lambda each: str(each.version))


async def revert(tx: Tx, rule_id: UUID, version: int) -> Rule:
    """Publish an earlier version again, as a new one. Raises RuleNotFound, VersionNotFound, RuleInvalid, TestsFail."""
    v = rule_versions.c
    mine = and_(v.tenant_id == tx.principal.tenant_id, v.rule_id == rule_id, v.version == version)
    await service.get(tx, rule_id)
    row = await tx.one(select(rule_versions).where(mine))
    if row is None:
        raise errors.VersionNotFound
    return await service.change(tx, rule_id, row["document"])


async def _refuse_unseen(tx: Tx, draft: Draft) -> int | None:
    """Which version of the rule is in force, None where the draft does not know what it was begun on.

    Raises RuleChanged where another document came into force since then; a new mode is none.
    """
    if draft.rule_id is None or draft.rule_version is None:
        return None
    now, v = await service.get(tx, draft.rule_id), rule_versions.c
    mine = and_(v.tenant_id == tx.principal.tenant_id, v.rule_id == draft.rule_id, v.version == draft.rule_version)
    if await tx.scalar(select(v.document).where(mine)) != now.document:
        raise errors.RuleChanged(version=now.version)
    return now.version


async def _make(tx: Tx, saved: Mapping[str, object], rule_id: UUID | None) -> Draft:
    if int(await tx.scalar(select(func.count()).select_from(drafts).where(_mine(tx)))) >= MOST:
        raise errors.TooManyDrafts
    values = {"tenant_id": tx.principal.tenant_id, "id": ids.uuid7(), "rule_id": rule_id, "version": 1, **saved}
    row = await tx.one(insert(drafts).values(values).returning(drafts))
    assert row is not None
    return _draft(row)


def _mine(tx: Tx) -> ColumnElement[bool]:
    return drafts.c.tenant_id == tx.principal.tenant_id


def _this(tx: Tx, draft_id: UUID) -> ColumnElement[bool]:
    return and_(_mine(tx), drafts.c.id == draft_id)


def _id_of(cursor: str) -> UUID:
    try:
        return UUID(pages.decode(cursor))
    except ValueError as error:
        raise pages.BadCursor from error


def _number_of(cursor: str) -> int:
    try:
        return int(pages.decode(cursor))
    except ValueError as error:
        raise pages.BadCursor from error


def _draft(row: RowMapping) -> Draft:
    return Draft(
        row["id"],
        row["rule_id"],
        row["rule_version"],
        row["document"],
        row["version"],
        row["saved_by"],
        row["saved_at"],
    )


def _version(row: RowMapping) -> Version:
    changes: Sequence[str] = row["changes"]
    return Version(
        row["rule_id"], row["version"], row["document"], tuple(changes), row["created_by"], row["created_at"]
    )
