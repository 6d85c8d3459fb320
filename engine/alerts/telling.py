"""Whom to tell of an alert next, step by step until somebody takes note of it.

A rule's wish to tell is a row: alert, policy, the step that comes next and when. What is due at the same time with the
same rule, policy and step is told in one message, so that a hundred devices with one trouble are one e-mail. An alert
that is acknowledged or cleared is told no more; one that is snoozed or silenced waits until that is over. The first
step is told of a cleared alert too, however short it was, unless nobody was to be told of it while it was open.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import TypeAlias
from uuid import UUID, uuid5

import orjson
from sqlalchemy import ColumnElement, and_, delete, or_, select, text, update
from sqlalchemy.engine import RowMapping

from engine.alerts import timeline
from engine.alerts.model import AlertStatus, Happening
from engine.alerts.tables import alert_tellings as tellings
from engine.alerts.tables import alerts
from engine.notifications import clocks, policies
from engine.notifications import service as notifications
from engine.notifications.model import Delivery, Message, Outcome, Policy
from engine.store.tx import Tx

AT_ONCE = 500
NAMED = 15
"""Devices named in one message; the others are a number."""
ACKNOWLEDGED_BEFORE = "Somebody took note of it before anybody was told."
CLEARED_IN_QUIET = "It cleared while nobody was to be told of it."

_PLAN = text(
    """
    INSERT INTO alert_tellings (tenant_id, alert_id, policy, step, since, due_at, message)
    SELECT :tenant, a.id, w.policy, 0, CAST(:now AS timestamptz),
           greatest(CAST(:now AS timestamptz), a.silenced_until), w.message
    FROM json_to_recordset(CAST(:wishes AS json)) AS w (alert uuid, policy text, message text)
    JOIN alerts a ON a.tenant_id = :tenant AND a.id = w.alert
    ON CONFLICT DO NOTHING
    """
)
# OFFSET 0: each alert, its rule and device by their own keys, as in `engine.drain`. Of a tenant that was not counted
# yet, all its alerts were gone through for each of them: 30,000 took longer than a minute.
_DUE = text(
    """
    SELECT t.alert_id, t.policy, t.step, t.since, t.message, a.rule_id, a.rule_version, a.device_id, a.severity,
           a.reason, a.raised_at, a.cleared_at, a.cleared_reason,
           greatest(a.snoozed_until, a.silenced_until) AS quiet_until, r.name AS rule, d.name AS device,
           d.labels ->> 'timezone' AS device_zone, (SELECT time_zone FROM tenants WHERE id = :tenant) AS tenant_zone
    FROM alert_tellings t
    CROSS JOIN LATERAL (SELECT * FROM alerts a WHERE a.tenant_id = t.tenant_id AND a.id = t.alert_id OFFSET 0) a
    CROSS JOIN LATERAL (SELECT * FROM rules r WHERE r.tenant_id = t.tenant_id AND r.id = a.rule_id OFFSET 0) r
    CROSS JOIN LATERAL (SELECT * FROM devices d WHERE d.tenant_id = t.tenant_id AND d.id = a.device_id OFFSET 0) d
    WHERE t.tenant_id = :tenant AND t.due_at <= :now
      AND (a.status = 'active' OR (a.status = 'cleared' AND t.step = 0))
    ORDER BY t.policy, t.step, a.rule_id, a.raised_at, a.id
    LIMIT :most FOR UPDATE OF t SKIP LOCKED
    """
)


@dataclass(frozen=True, slots=True)
class Wish:
    """An alert is to be told as ``policy`` says; ``message``: the rule's own words for it."""

    alert: UUID
    policy: str
    message: str | None = None


async def plan(tx: Tx, wishes: Sequence[Wish]) -> None:
    """These alerts are to be told, each from now on, or from the end of its silence."""
    if wishes:
        wanted = orjson.dumps(wishes).decode()
        await tx.execute(_PLAN, {"tenant": tx.principal.tenant_id, "now": tx.now, "wishes": wanted})


async def stop(tx: Tx, alert_ids: Sequence[UUID], *, from_step: int = 0) -> None:
    """Tell nobody any more about these alerts; ``from_step``: what comes before that step is told all the same."""
    if alert_ids:
        mine = and_(tellings.c.tenant_id == tx.principal.tenant_id, tellings.c.alert_id.in_(alert_ids))
        gone = (
            delete(tellings).where(mine, tellings.c.step >= from_step).returning(tellings.c.alert_id, tellings.c.step)
        )
        untold = sorted({row["alert_id"] for row in await tx.rows(gone) if row["step"] == 0})
        await timeline.write_all(tx, [(each, ACKNOWLEDGED_BEFORE) for each in untold], Happening.NOT_TOLD)


async def put_off(tx: Tx, alert_ids: Sequence[UUID], until: datetime) -> None:
    """What comes next about these alerts comes at ``until``."""
    if alert_ids:
        mine = and_(tellings.c.tenant_id == tx.principal.tenant_id, tellings.c.alert_id.in_(alert_ids))
        await tx.execute(update(tellings).where(mine).values(due_at=until))


async def sent(tx: Tx, alert_ids: Sequence[UUID]) -> dict[UUID, list[Delivery]]:
    """What went out about each alert, oldest first: an entry of its history and what it made are of one moment."""
    moments = [
        (alert_id, note.at)
        for alert_id, notes in (await timeline.of(tx, alert_ids)).items()
        for note in notes
        if note.kind in (Happening.TOLD, Happening.NOT_TOLD)
    ]
    return await notifications.about_alerts(tx, moments)


Says: TypeAlias = Callable[[Tx, Collection[tuple[UUID, int]]], Awaitable[Mapping[tuple[UUID, int], str]]]
"""What versions of rules (id, version) say in plain words: whoever knows rules tells it."""


async def run(tx: Tx, says: Says | None = None) -> bool:
    """Tell what is due now; says whether there may be more."""
    due = await tx.rows(_DUE, {"tenant": tx.principal.tenant_id, "now": tx.now, "most": AT_ONCE})
    ready = []
    for row in due:
        quiet_until, cleared_at = row["quiet_until"], row["cleared_at"]
        if quiet_until is not None and cleared_at is not None and cleared_at < quiet_until:
            await timeline.write(tx, row["alert_id"], Happening.NOT_TOLD, CLEARED_IN_QUIET)
            await tx.execute(delete(tellings).where(_this(tx, row)))
        elif quiet_until is not None and quiet_until > tx.now:
            await tx.execute(update(tellings).where(_this(tx, row)).values(due_at=quiet_until))
        else:
            ready.append(row)
    said = {} if says is None else await says(tx, {(row["rule_id"], row["rule_version"]) for row in ready})
    for _, together in groupby(ready, key=lambda row: (row["policy"], row["step"], row["rule_id"])):
        await _tell(tx, list(together), said)
    await _forget_the_ended(tx)
    return len(due) == AT_ONCE


async def _tell(tx: Tx, rows: Sequence[RowMapping], said: Mapping[tuple[UUID, int], str]) -> None:
    """One message about all of these alerts, which share rule, policy and step; then what comes next is planned."""
    policy = await policies.by_key(tx, rows[0]["policy"])
    step, worst = rows[0]["step"], max(rows, key=lambda row: _RANK.index(row["severity"]))["severity"]
    ids = sorted(row["alert_id"] for row in rows)
    key = uuid5(ids[0], "tell " + " ".join(map(str, ids[1:])) + f" {step}")
    sent = step if policy is None else min(step, len(policy.steps) - 1)
    about = ids[0] if len(ids) == 1 else None
    told = message(rows, worst, tx.now, said.get((rows[0]["rule_id"], rows[0]["rule_version"]), ""))
    outcome = await notifications.notify(tx, rows[0]["policy"], told, key=key, about=about, step=sent)
    await _note(tx, rows, policy, step, outcome)
    for row in rows:
        await _next(tx, row, policy)


async def _note(tx: Tx, rows: Sequence[RowMapping], policy: Policy | None, step: int, outcome: Outcome) -> None:
    name = rows[0]["policy"] if policy is None else policy.name
    again = "" if step == 0 else f", step {step + 1}"
    words = f"“{name}”{again}." + (f" {outcome.why}" if outcome.why else "")
    kind = Happening.TOLD if outcome.deliveries else Happening.NOT_TOLD
    await timeline.write_all(tx, [(row["alert_id"], words) for row in rows], kind)


async def _next(tx: Tx, row: RowMapping, policy: Policy | None) -> None:
    """When the next step comes, or the last one again if the policy repeats it; else, or once cleared, it is over."""
    this = _this(tx, row)
    if row["cleared_at"] is not None:
        policy = None
    due = None if policy is None else policy.step_due(row["since"], row["step"] + 1)
    if due is None and policy is not None and policy.repeat_min is not None:
        due = tx.now + timedelta(minutes=policy.repeat_min)
    if due is None:
        await tx.execute(delete(tellings).where(this))
    else:  # a step that should have come while the alert was quiet comes a minute later, not at the same moment
        due = max(due, tx.now + timedelta(minutes=1))
        if policy is not None:  # what would come in quiet hours comes once after them, not heaped up
            due = policy.held_until(row["severity"], due) or due
        await tx.execute(update(tellings).where(this).values(step=row["step"] + 1, due_at=due))


def _this(tx: Tx, row: RowMapping) -> ColumnElement[bool]:
    return and_(
        tellings.c.tenant_id == tx.principal.tenant_id,
        tellings.c.alert_id == row["alert_id"],
        tellings.c.policy == row["policy"],
    )


async def _forget_the_ended(tx: Tx) -> None:
    """What was planned for alerts that somebody took note of meanwhile, or that have cleared."""
    ended = select(alerts.c.id).where(
        alerts.c.tenant_id == tx.principal.tenant_id,
        alerts.c.id == tellings.c.alert_id,
        alerts.c.status != AlertStatus.ACTIVE,
        or_(alerts.c.status != AlertStatus.CLEARED, tellings.c.step > 0),
    )
    mine = and_(tellings.c.tenant_id == tx.principal.tenant_id, tellings.c.due_at <= tx.now)
    await tx.execute(delete(tellings).where(mine, ended.exists()))


_RANK = ("info", "minor", "major", "critical")


def message(rows: Sequence[RowMapping], severity: str, now: datetime, rule_says: str = "") -> Message:
    """What is said of these alerts of one rule (rule, device, device_id, alert_id, reason, message, raised_at, …)."""
    in_words = (("The rule says", rule_says),) if rule_says else ()
    first, devices = rows[0], {row["device_id"] for row in rows}
    reminder = "" if first["step"] == 0 else "Still open: "
    who = first["device"] if len(devices) == 1 else f"{len(devices)} devices"
    times = "" if len(rows) == len(devices) else f", {len(rows)} times"
    title = f"{reminder}{who}: {first['rule']}{times}"
    data = {
        "rule": str(first["rule_id"]),
        "alerts": [{"id": str(row["alert_id"]), "device": str(row["device_id"])} for row in rows],
    }
    if len(rows) == 1:
        happened = " ".join(_sentence(each) for each in (_reason(first, now), _ended(first, now)) if each)
        words = [first["message"], happened] if first["message"] else [happened]
        facts = (("Device", first["device"]), ("Rule", first["rule"]), ("Severity", severity), *in_words)
        link = f"/alerts/{first['alert_id']}"
        return Message("alert.raised", title, "\n\n".join(words), facts, link, "See the alert", severity, data)
    # The rule's own words stand above the list where they are the same for all; else each line has its own.
    is_shared = len({row["message"] for row in rows}) == 1
    said = [_reason(row, now) if is_shared or not row["message"] else row["message"] for row in rows[:NAMED]]
    named = tuple((str(row["device"]), words + _and_over(row)) for row, words in zip(rows, said, strict=False))
    more = len(rows) - len(named)
    text_ = (is_shared and first["message"]) or ""
    if more > 0:
        text_ = f"{text_}\n\n{more} more {'alerts' if times else 'devices'} are not named here.".strip()
    facts = (*named, *in_words)
    return Message("alert.raised", title, text_, facts, "/alerts", "See the alerts", severity, data)


def _reason(row: RowMapping, now: datetime) -> str:
    return _by_clock(row, row["reason"], row["raised_at"], now)


def _ended(row: RowMapping, now: datetime) -> str:
    """That it is over already, where it is, and why."""
    if row["cleared_at"] is None:
        return ""
    return f"it has cleared already: {_by_clock(row, row['cleared_reason'], row['cleared_at'], now)}"


def _and_over(row: RowMapping) -> str:
    return "" if row["cleared_at"] is None else "; it has cleared already"


def _by_clock(row: RowMapping, said: str, said_at: datetime, now: datetime) -> str:
    return clocks.by_clock(said, clocks.zone_for(row["device_zone"], row["tenant_zone"]), said_at, now)


def _sentence(reason: str) -> str:
    return reason[:1].upper() + reason[1:] + ("" if reason.endswith(".") else ".")
