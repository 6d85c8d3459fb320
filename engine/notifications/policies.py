"""Notification policies of a tenant: whom to tell of what, in which order, and when not to disturb."""

import re
from collections.abc import Sequence
from datetime import time
from itertools import pairwise
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.sql import ColumnElement

from engine import ids
from engine.notifications import errors
from engine.notifications.model import SEVERITIES, Policy, QuietHours, Step, reachable
from engine.notifications.tables import channels, policies
from engine.store.tx import Tx

MOST = 100
MOST_STEPS = 5
MOST_CHANNELS = 10
LONGEST_MIN = 7 * 24 * 60
_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


async def listed(tx: Tx) -> list[Policy]:
    """The tenant's policies by name."""
    rows = await tx.rows(select(policies).where(_of(tx)).order_by(policies.c.name, policies.c.key))
    return [_policy(row) for row in rows]


async def get(tx: Tx, policy_id: UUID) -> Policy:
    """One policy; raises PolicyNotFound."""
    row = await tx.one(select(policies).where(_the(tx, policy_id)))
    if row is None:
        raise errors.PolicyNotFound
    return _policy(row)


async def by_key(tx: Tx, key: str) -> Policy | None:
    """The policy that rules name so, or None."""
    row = await tx.one(select(policies).where(_of(tx), policies.c.key == key))
    return None if row is None else _policy(row)


async def create(
    tx: Tx,
    *,
    name: str,
    steps: Sequence[Step],
    key: str | None = None,
    severities: Sequence[str] = SEVERITIES,
    quiet_hours: QuietHours | None = None,
    repeat_min: int | None = None,
) -> Policy:
    """A new policy; without a key it gets one from its name. Raises PolicyMalformed, ChannelNotFound, PolicyKeyTaken,
    TooManyPolicies.
    """
    clean_name, chosen = _name(name), key or _key_of(name)
    if not _KEY.fullmatch(chosen):
        raise errors.PolicyMalformed("A key has 1 to 40 small letters, digits and dashes, like on-call.")
    if await by_key(tx, chosen) is not None:
        raise errors.PolicyKeyTaken
    if int(await tx.scalar(select(func.count()).select_from(policies).where(_of(tx)))) >= MOST:
        raise errors.TooManyPolicies
    values = {
        "tenant_id": tx.principal.tenant_id,
        "id": ids.uuid7(),
        "key": chosen,
        "name": clean_name,
        "severities": _severities(severities),
        "steps": await _steps(tx, steps),
        "quiet_hours": _quiet_json(quiet_hours),
        "repeat_min": _repeat(repeat_min),
        "version": 1,
        "created_at": tx.now,
        "updated_at": tx.now,
    }
    row = await tx.one(insert(policies).values(values).returning(policies))
    assert row is not None
    policy = _policy(row)
    tx.audit("notification_policy.create", "notification_policy", policy.id, after=_shown(policy))
    return policy


async def change(
    tx: Tx,
    policy_id: UUID,
    *,
    name: str | None = None,
    steps: Sequence[Step] | None = None,
    severities: Sequence[str] | None = None,
    quiet_hours: QuietHours | None = None,
    always_loud: bool = False,
    repeat_min: int | None = None,
    expected_version: int | None = None,
) -> Policy:
    """Change what is given; ``always_loud`` takes the quiet hours away, 0 minutes the repetition.

    The key stays, since rules name it.

    Raises PolicyNotFound, Stale, PolicyMalformed, ChannelNotFound.
    """
    row = await tx.one(select(policies).where(_the(tx, policy_id)).with_for_update())
    if row is None:
        raise errors.PolicyNotFound
    before = _policy(row)
    if expected_version not in (None, before.version):
        raise errors.Stale
    values: dict[str, Any] = {"version": before.version + 1, "updated_at": tx.now}
    if name is not None:
        values["name"] = _name(name)
    if steps is not None:
        values["steps"] = await _steps(tx, steps)
    if severities is not None:
        values["severities"] = _severities(severities)
    if quiet_hours is not None or always_loud:
        values["quiet_hours"] = _quiet_json(None if always_loud else quiet_hours)
    if repeat_min is not None:
        values["repeat_min"] = _repeat(repeat_min)
    changed = await tx.one(update(policies).where(_the(tx, policy_id)).values(values).returning(policies))
    assert changed is not None
    after = _policy(changed)
    tx.audit("notification_policy.change", "notification_policy", policy_id, before=_shown(before), after=_shown(after))
    return after


async def remove(tx: Tx, policy_id: UUID) -> Policy:
    """Remove a policy; a rule that still names it tells nobody. Raises PolicyNotFound."""
    policy = await get(tx, policy_id)
    await tx.execute(delete(policies).where(_the(tx, policy_id)))
    tx.audit("notification_policy.delete", "notification_policy", policy_id, before=_shown(policy))
    return policy


def quiet_hours(start: str, end: str, time_zone: str) -> QuietHours:
    """Quiet hours from texts like 22:00, 07:00 and Europe/Berlin. Raises PolicyMalformed."""
    try:
        made = QuietHours(time.fromisoformat(start), time.fromisoformat(end), time_zone)
        ZoneInfo(time_zone)
    except (ValueError, ZoneInfoNotFoundError, OSError):
        raise errors.PolicyMalformed("Quiet hours are like 22:00 to 07:00 in a time zone like Europe/Berlin.") from None
    if made.start == made.end or made.start.tzinfo or made.end.tzinfo:
        raise errors.PolicyMalformed("Quiet hours begin at one time of day and end at another.")
    return made


async def _steps(tx: Tx, steps: Sequence[Step]) -> list[dict[str, object]]:
    if not 1 <= len(steps) <= MOST_STEPS or not all(1 <= len(set(step.channels)) <= MOST_CHANNELS for step in steps):
        raise errors.PolicyMalformed(f"A policy has 1 to {MOST_STEPS} steps, each with 1 to {MOST_CHANNELS} channels.")
    waits = [step.after_min for step in steps]
    if waits[0] != 0 or waits[-1] > LONGEST_MIN or any(a >= b for a, b in pairwise(waits)):
        raise errors.PolicyMalformed("The first step comes at once, each further one later, all within a week.")
    wanted = reachable(steps)
    there = await tx.rows(
        select(channels.c.id).where(channels.c.tenant_id == tx.principal.tenant_id, channels.c.id.in_(wanted))
    )
    if len(there) != len(wanted):
        raise errors.ChannelNotFound
    return [
        {"after_min": step.after_min, "channels": [str(each) for each in dict.fromkeys(step.channels)]}
        for step in steps
    ]


def _severities(severities: Sequence[str]) -> list[str]:
    if not severities or not set(severities) <= set(SEVERITIES):
        raise errors.PolicyMalformed("Say of which alerts it tells: info, minor, major, critical.")
    return [each for each in SEVERITIES if each in severities]


def _repeat(minutes: int | None) -> int | None:
    if minutes is not None and not 0 <= minutes <= LONGEST_MIN:
        raise errors.PolicyMalformed(f"The last step is repeated every 1 to {LONGEST_MIN} minutes, or never.")
    return minutes or None


def _name(name: str) -> str:
    clean = name.strip()
    if not 1 <= len(clean) <= 60 or not clean.isprintable():
        raise errors.PolicyMalformed("A notification policy's name has 1 to 60 characters.")
    return clean


def _key_of(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].rstrip("-") or ids.uuid7().hex[-8:]


def _quiet_json(quiet: QuietHours | None) -> dict[str, str] | None:
    if quiet is None:
        return None
    return {"start": f"{quiet.start:%H:%M}", "end": f"{quiet.end:%H:%M}", "time_zone": quiet.time_zone}


def _shown(policy: Policy) -> dict[str, object]:
    return {
        "key": policy.key,
        "name": policy.name,
        "severities": list(policy.severities),
        "steps": [{"after_min": each.after_min, "channels": list(map(str, each.channels))} for each in policy.steps],
        "quiet_hours": _quiet_json(policy.quiet_hours),
        "repeat_min": policy.repeat_min,
    }


def _of(tx: Tx) -> ColumnElement[bool]:
    return policies.c.tenant_id == tx.principal.tenant_id


def _the(tx: Tx, policy_id: UUID) -> ColumnElement[bool]:
    return _of(tx) & (policies.c.id == policy_id)


def _policy(row: RowMapping) -> Policy:
    quiet = row["quiet_hours"]
    return Policy(
        id=row["id"],
        key=row["key"],
        name=row["name"],
        severities=tuple(row["severities"]),
        steps=tuple(Step(each["after_min"], tuple(UUID(one) for one in each["channels"])) for each in row["steps"]),
        quiet_hours=quiet_hours(quiet["start"], quiet["end"], quiet["time_zone"]) if quiet else None,
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        repeat_min=row["repeat_min"],
    )
