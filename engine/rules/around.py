"""What lies around a rule in its tenant: the names it may use, and the other rules it may come to blows with."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.engine import RowMapping

from engine import pages
from engine.devices import groups
from engine.devices import service as devices
from engine.devices.model import Profile
from engine.notifications import channels, policies
from engine.rules import document as documents
from engine.rules import tables
from engine.rules.errors import RuleInvalid
from engine.rules.feuds import Neighbour, touches_others
from engine.rules.fights import wishes
from engine.rules.model import CallWebhook, InGroup, MetricType, Notify, OfProfile, RuleDocument, SendCommand, leaves
from engine.rules.vocabulary import Metric, Surroundings, Vocabulary
from engine.store.tx import Tx
from engine.tenants import service as tenants

MAX_KEPT = 10_000
_kept: dict[tuple[UUID, int], Neighbour] = {}
"""Rules read once for their neighbours' sake, by id and version."""


async def vocabularies(tx: Tx) -> dict[str, Vocabulary]:
    """What rules may speak of, by the profile's key."""
    profiles = await _profiles(tx)
    names = Vocabulary(
        group_names=await _group_names(tx),
        policy_names={each.key: each.name for each in await policies.listed(tx)},
        channel_names={str(each.id): each.name for each in await channels.listed(tx)},
        profile_names={profile.key: profile.name for profile in profiles},
        zone=(await tenants.current(tx)).time_zone,
    )
    return {each.key: names.speaking_of(_metrics(each), interval_s=each.reporting_interval_s) for each in profiles}


async def surroundings(tx: Tx, document: RuleDocument) -> Surroundings:
    """What else the document may name, as far as it names any; attributes and tags are free, devices get them later."""
    read = [leaf for _, condition in document.conditions for _, leaf in leaves(condition)]
    does = [then for _, then in document.actions]
    found = Surroundings()
    if document.scope.groups or any(isinstance(leaf, InGroup) for leaf in read):
        found = replace(found, groups=frozenset(await _group_names(tx)))
    if any(isinstance(leaf, OfProfile) for leaf in read):
        found = replace(found, profiles=frozenset(profile.key for profile in await _profiles(tx)))
    if any(isinstance(then, Notify) for then in does):
        found = replace(found, policies=frozenset(policy.key for policy in await policies.listed(tx)))
    if any(isinstance(then, CallWebhook) for then in does):
        known = await channels.listed(tx)
        found = replace(found, channels=frozenset(word for each in known for word in (str(each.id), each.name)))
    if any(isinstance(then, SendCommand) for then in does) and document.scope.profile is not None:
        profile = await devices.profile_by_key(tx, document.scope.profile)
        declared = () if profile is None else profile.commands
        found = replace(found, commands={command.key: command for command in declared})
    return found


async def neighbours(tx: Tx, document: RuleDocument, own: UUID | None) -> Sequence[Neighbour]:
    """The tenant's other rules that are on, where they matter: a rule that moves nothing has no quarrel with any."""
    if not touches_others(document):
        return ()
    rules = tables.rules
    query = select(rules.c.id, rules.c.version, rules.c.name, rules.c.document).where(
        rules.c.tenant_id == tx.principal.tenant_id, rules.c.deleted_at.is_(None), rules.c.is_enabled
    )
    rows = await tx.rows(query.order_by(rules.c.id))
    read = (_neighbour(row) for row in rows if row["id"] != own)
    return [each for each in read if each is not None]


async def profiles_named(tx: Tx, document: RuleDocument, others: Sequence[Neighbour]) -> dict[str, str]:
    """The profile's key of each device that commands name, by the device's id."""
    every = (*wishes(document), *(wish for other in others for wish in other.wishes))
    named = {UUID(wish.device) for wish in every if wish.device is not None}
    if not named:
        return {}
    found = await devices.by_ids(tx, sorted(named))
    known = await devices.profiles_by_ids(tx, sorted({device.profile_id for device in found.values()}))
    return {str(each.id): known[each.profile_id].key for each in found.values() if each.profile_id in known}


def _neighbour(row: RowMapping) -> Neighbour | None:
    key = row["id"], row["version"]
    found = _kept.get(key)
    if found is None:
        try:
            found = _kept[key] = Neighbour(row["name"], documents.parse(row["document"]))
        except RuleInvalid:
            return None
        if len(_kept) > MAX_KEPT:
            del _kept[next(iter(_kept))]
    return found


async def _profiles(tx: Tx) -> list[Profile]:
    found: list[Profile] = []
    after: str | None = None
    while True:
        page = await devices.profile_page(tx, first=pages.MAX_FIRST, after=after)
        found += page.items
        if not page.has_next_page:
            return found
        after = page.end_cursor


async def _group_names(tx: Tx) -> dict[str, str]:
    found: dict[str, str] = {}
    after: str | None = None
    while True:
        page = await groups.page(tx, first=pages.MAX_FIRST, after=after)
        found |= {str(group.id): group.name for group in page.items}
        if not page.has_next_page:
            return found
        after = page.end_cursor


def _metrics(profile: Profile) -> dict[str, Metric]:
    return {
        each.key: Metric(each.key, MetricType(each.type), each.unit, each.label or None, each.min, each.max)
        for each in profile.metrics
    }
