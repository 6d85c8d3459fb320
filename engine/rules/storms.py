"""Against too much: a rule or a tenant that fires too often in a minute is muted, and that is said once.

What is muted still opens and ends its alerts, which are rows; it notifies, commands and sets nothing for a while, but
for what ends its own earlier doing: a valve that it has opened it shuts.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar
from uuid import UUID, uuid5

import orjson
from sqlalchemy import text

from engine.journal.model import Entry
from engine.notifications import clocks, messages
from engine.notifications import service as notifications
from engine.store.emit import Event
from engine.store.tx import Tx

OF_RULE = 300
"""So many actions of one rule in a minute are too many."""
OF_TENANT = 1_000
"""So many actions of all rules of a tenant in a minute are too many."""
MUTED = timedelta(minutes=10)
STORM = "storm"
TENANT = "tenant"
"""The subject of a notice that concerns no single rule."""

# A notice that still holds is only counted: it is said once.
_SAY = text(
    """
    INSERT INTO rule_notices AS n (tenant_id, subject, kind, message, since, until, times)
    VALUES (:tenant, :subject, :kind, :message, :now, :until, 1)
    ON CONFLICT (tenant_id, subject, kind) DO UPDATE SET
        times = CASE WHEN n.until > :now THEN n.times + 1 ELSE 1 END,
        since = CASE WHEN n.until > :now THEN n.since ELSE :now END,
        message = CASE WHEN n.until > :now THEN n.message ELSE excluded.message END,
        until = CASE WHEN n.until > :now THEN n.until ELSE excluded.until END
    RETURNING times
    """
)
_HOLDING = text(
    "SELECT subject, kind, message, since, until, times FROM rule_notices WHERE tenant_id = :tenant AND until > :now "
    "AND (CAST(:subject AS text) IS NULL OR subject IN (:subject, 'tenant')) "
    "ORDER BY since DESC, subject, kind LIMIT 200"
)
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('rule_pace:' || :tenant, 0))")
_PACE = text("SELECT minute, counts FROM rule_pace WHERE tenant_id = :tenant")
_KEEP_PACE = text(
    "INSERT INTO rule_pace (tenant_id, minute, counts) VALUES (:tenant, :minute, CAST(:counts AS jsonb)) "
    "ON CONFLICT (tenant_id) DO UPDATE SET minute = excluded.minute, counts = excluded.counts"
)
_MUTED = text("SELECT subject, until FROM rule_notices WHERE tenant_id = :tenant AND kind = 'storm' AND until > :now")


@dataclass(frozen=True, slots=True)
class RuleNoticed(Event):
    """Something about rules should be known: ``subject`` is a rule's id or "tenant", ``notice`` what kind it is."""

    kind: ClassVar[str] = "rule.noticed"
    subject: str
    notice: str
    message: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What should be known about a rule (``subject`` its id) or all of a tenant's ("tenant"), while ``until`` is ahead.

    ``kind``: storm, quota, loop or refused. ``times``: how often it has come about ``since`` it was said.
    """

    subject: str
    kind: str
    message: str
    since: datetime
    until: datetime
    times: int


async def notices(tx: Tx, rule_id: UUID | None = None) -> list[Notice]:
    """The newest 200 of the tenant's notices that hold; if a rule is named, those about it and about all together."""
    subject = None if rule_id is None else str(rule_id)
    rows = await tx.rows(_HOLDING, {"tenant": tx.principal.tenant_id, "now": tx.now, "subject": subject})
    return [Notice(**row) for row in rows]


async def tell_owners(tx: Tx, entry: Entry) -> None:
    """Mail the owners that a rule was muted, since its alerts reach nobody meanwhile. Other notices are on the page."""
    if entry.body["notice"] == STORM:
        rule_id = "" if entry.body["subject"] == TENANT else str(entry.body["subject"])
        said = clocks.by_clock(str(entry.body["message"]), await clocks.tenants_zone(tx), entry.at, entry.at)
        message = messages.rule_muted(said=said, rule_id=rule_id)
        key = uuid5(tx.principal.tenant_id, f"{entry.kind} {entry.pos}")
        await notifications.mail_owners(tx, message, key=key)


class Breaker:
    """One tenant's count of actions, minute by minute.

    It is stored with what was done, so that workers that take turns, and one that was killed, go on counting. Where it
    ``is_shared``, several count at once: each waits until what another did is committed, and goes on from there.
    """

    def __init__(self, *, is_shared: bool = False) -> None:
        self._is_shared = is_shared
        self._minute = 0
        self._counts: Counter[str] = Counter()
        self._muted: dict[str, datetime] | None = None
        self._tripped: set[str] = set()

    async def load(self, tx: Tx) -> None:
        """Recall who is muted and how much was done in the minute counted last; once, where nobody else counts."""
        if self._is_shared:
            await tx.execute(_ONE_AT_A_TIME, {"tenant": str(tx.principal.tenant_id)})
        if self._muted is None or self._is_shared:
            rows = await tx.rows(_MUTED, {"tenant": tx.principal.tenant_id, "now": tx.now})
            self._muted = {row["subject"]: row["until"] for row in rows}
            pace = await tx.one(_PACE, {"tenant": tx.principal.tenant_id})
            if pace is not None:
                self._minute, self._counts = pace["minute"], Counter(pace["counts"])

    def lets(self, rule_id: str, now: datetime, count: int = 1) -> bool:
        """Count so many actions of the rule, that belong together; whether they may be done."""
        minute = int(now.timestamp()) // 60
        if minute != self._minute:
            self._minute, self._counts = minute, Counter()
        muted: Mapping[str, datetime] = self._muted or {}
        if any(muted[subject] > now for subject in (rule_id, TENANT) if subject in muted):
            return False
        for subject, most in ((rule_id, OF_RULE), (TENANT, OF_TENANT)):
            self._counts[subject] += count
            if self._counts[subject] > most:
                self._tripped.add(subject)
        return not self._tripped & {rule_id, TENANT}

    def why(self, rule_id: str) -> str:
        """Why the rule's actions are not done now, for the histories of its alerts; to be asked after ``save``."""
        until = max((self._muted or {}).get(subject, datetime.min.replace(tzinfo=UTC)) for subject in (rule_id, TENANT))
        return f"Too much was going on: nobody is told, and nothing else is done, until {until:%H:%M} UTC."

    async def save(self, tx: Tx, names: Mapping[str, str]) -> None:
        """Store the counts, mute who was too much, and say so; ``names`` of rules by id."""
        counted = {"minute": self._minute, "counts": orjson.dumps(self._counts).decode()}
        await tx.execute(_KEEP_PACE, {"tenant": tx.principal.tenant_id, **counted})
        for subject in sorted(self._tripped):
            until = tx.now + MUTED
            assert self._muted is not None
            self._muted[subject] = until
            who = "All rules together do" if subject == TENANT else f"The rule “{names.get(subject, '?')}” does"
            most = OF_TENANT if subject == TENANT else OF_RULE
            message = (
                f"{who} more than {most} things a minute. Until {until:%H:%M} UTC alerts are still raised, "
                "but nobody is notified and nothing else is done; what was switched on before is still switched off."
            )
            await say(tx, subject, STORM, message, until)
        self._tripped.clear()


async def say(tx: Tx, subject: str, kind: str, message: str, until: datetime) -> bool:
    """Keep a notice of this ``kind`` (storm, quota, loop, refused); told once while it holds. Whether it is new."""
    row = {"tenant": tx.principal.tenant_id, "subject": subject, "kind": kind, "message": message[:500]}
    is_new = int(await tx.scalar(_SAY, {**row, "now": tx.now, "until": until}) or 0) == 1
    if is_new:
        tx.emit(RuleNoticed(subject, kind, message[:500]))
    return is_new
