"""Judges a platform after a load: every acknowledged message stored, none twice, counts exact, alerts as they must be.

The reference for the alerts is computed here, in one process, by the rules' own `step` over what was stored, in the
order in which each device sent it. Devices keep one message in flight, so that this is also the order of the journal.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

import psycopg

from engine.clock import from_ms
from engine.rules.service import Compiled
from engine.rules.state import Raise, Reading, RuleState
from engine.rules.step import step
from engine.store.pool import Store
from engine.tenancy import system
from infra.bench.tenant import PROFILE, BenchTenant
from infra.local.postgres import Postgres

MAX_SHOWN = 5

_STORED = """
SELECT device_id::text, time, seq, received_at, values FROM telemetry WHERE tenant_id = %s
ORDER BY device_id, time, seq
"""
_COUNTS = """
SELECT device_id::text, sum(received)::bigint, sum(stored)::bigint, sum(duplicates)::bigint, sum(rejected)::bigint,
       sum(refused)::bigint
FROM counts WHERE tenant_id = %s GROUP BY device_id
"""
_ALERTS = """
SELECT rule_id::text, device_id::text, episode, raised_at, cleared_at FROM alerts WHERE tenant_id = %s
"""
_BEHIND = """
SELECT h.pos - r.pos FROM journal_head h JOIN readers r ON r.tenant_id = h.tenant_id AND r.reader = 'drain'
WHERE h.tenant_id = %s
"""

Episodes = dict[tuple[str, str, int], tuple[datetime, datetime | None]]
"""(rule, device, episode) → when it was raised and cleared."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What the clients know, by the number of the device: messages made, those without PUBACK, and sendings in all."""

    made: Sequence[int]
    unacked: Sequence[Sequence[int]]
    refused: Sequence[tuple[int, int, int]] = ()
    resent: int = 0

    def acked(self, device: int) -> set[int]:
        """The numbers of the acknowledged messages of a device."""
        no = {n for refused, n, _ in self.refused if refused == device}
        return set(range(self.made[device])) - set(self.unacked[device]) - no


@dataclass
class Verdict:
    """What was found; `wrong` is empty when everything is as promised."""

    acked: int = 0
    stored: int = 0
    lost: int = 0
    twice: int = 0
    never_sent: int = 0
    duplicates: int = 0
    alerts: int = 0
    alerts_expected: int = 0
    alerts_different: int = 0
    counts_wrong: int = 0
    wrong: list[str] = field(default_factory=list)

    def blame(self, kind: str, count: int, example: object) -> None:
        """Note something that is not as promised."""
        if count:
            self.wrong.append(f"{count} {kind}, for example {example}")


def wait_for_drain(postgres: Postgres, tenant_id: UUID, timeout_s: float) -> float | None:
    """Wait until the worker has read the whole journal; the seconds that took, None if it did not in time."""
    began = time.monotonic()
    with psycopg.connect(postgres.url("superuser"), autocommit=True) as connection:
        while time.monotonic() - began < timeout_s:
            row = connection.execute(_BEHIND, [tenant_id]).fetchone()
            if row == (0,):
                return time.monotonic() - began
            time.sleep(0.1)
    return None


def judge(postgres: Postgres, tenant: BenchTenant, sent: Sent) -> Verdict:
    """Compare what clients were told with what the database holds. Call it when the journal is drained."""
    verdict = Verdict()
    rules = asyncio.run(_rules(postgres, tenant.id))
    number_of = {str(device_id): number for number, device_id in enumerate(tenant.device_ids)}
    expected: Episodes = {}
    seen: dict[int, int] = {}
    with psycopg.connect(postgres.url("superuser")) as connection:
        for device, rows in groupby(_stored(connection, tenant.id), key=lambda row: row[0]):
            found = list(rows)
            number = number_of[device]
            seen[number] = len(found)
            _judge_device(verdict, sent, number, [row[4]["count"] for row in found])
            expected |= reference(rules, device, found)
        for number in set(number_of.values()) - set(seen):
            _judge_device(verdict, sent, number, [])
        _judge_counts(
            verdict, sent, seen, {number_of[row[0]]: row[1:] for row in connection.execute(_COUNTS, [tenant.id])}
        )
        _judge_alerts(verdict, expected, _alerts(connection, tenant.id))
    return verdict


def reference(rules: Iterable[Any], device: str, rows: Sequence[tuple[Any, ...]]) -> Episodes:
    """The episodes that one device's rows lead to, each rule stepped by itself."""
    episodes: Episodes = {}
    states = {rule.id: RuleState(condition=rule.condition) for rule in rules}
    for _, at, seq, received_at, values in rows:
        reading = Reading(int(at.timestamp() * 1000 + 0.5), seq, values)
        received = from_ms(int(received_at.timestamp() * 1000))
        for rule in rules:
            states[rule.id], actions = step(rule, states[rule.id], reading, received)
            for action in actions:
                place = str(rule.id), device, action.episode
                if isinstance(action, Raise):
                    episodes[place] = from_ms(action.at), None
                else:
                    episodes[place] = episodes[place][0], from_ms(action.at)
    return episodes


def _judge_device(verdict: Verdict, sent: Sent, device: int, stored: Sequence[int]) -> None:
    acked, held = sent.acked(device), set(stored)
    lost, twice = acked - held, len(stored) - len(held)
    never_sent = held - set(range(sent.made[device]))
    verdict.acked += len(acked)
    verdict.stored += len(stored)
    verdict.lost += len(lost)
    verdict.twice += twice
    verdict.never_sent += len(never_sent)
    verdict.blame("acknowledged messages are not stored", len(lost), f"device {device}: {sorted(lost)[:MAX_SHOWN]}")
    verdict.blame("messages are stored twice", twice, f"device {device}")
    verdict.blame(
        "stored messages were never sent", len(never_sent), f"device {device}: {sorted(never_sent)[:MAX_SHOWN]}"
    )


def _judge_counts(verdict: Verdict, sent: Sent, seen: Mapping[int, int], counts: Mapping[int, tuple[int, ...]]) -> None:
    """Received = stored + duplicates + rejected + refused, and stored is what the table holds, for every device."""
    wrong = []
    for device in range(len(sent.made)):
        received, stored, duplicates, rejected, refused = counts.get(device, (0, 0, 0, 0, 0))
        verdict.duplicates += duplicates
        adds_up = received == stored + duplicates + rejected + refused
        if not adds_up or stored != seen.get(device, 0) or rejected or refused:
            wrong.append((device, counts.get(device), seen.get(device, 0)))
    verdict.counts_wrong = len(wrong)
    verdict.blame("devices have wrong counts", len(wrong), wrong[:MAX_SHOWN])
    if verdict.duplicates > sent.resent:
        verdict.blame(
            "duplicates are counted that nobody sent", verdict.duplicates - sent.resent, f"{sent.resent} sent again"
        )


def _judge_alerts(verdict: Verdict, expected: Episodes, found: Episodes) -> None:
    different = {place for place in expected.keys() | found.keys() if expected.get(place) != found.get(place)}
    verdict.alerts, verdict.alerts_expected, verdict.alerts_different = len(found), len(expected), len(different)
    shown = [(place, expected.get(place), found.get(place)) for place in sorted(different)[:MAX_SHOWN]]
    verdict.blame("alerts differ from the reference", len(different), shown)


def _stored(connection: "psycopg.Connection[Any]", tenant_id: UUID) -> Iterator[tuple[Any, ...]]:
    with connection.cursor(name="stored") as cursor:
        cursor.itersize = 20_000
        cursor.execute(_STORED, [tenant_id])
        yield from cursor


def _alerts(connection: "psycopg.Connection[Any]", tenant_id: UUID) -> Episodes:
    rows = connection.execute(_ALERTS, [tenant_id]).fetchall()
    return {(rule, device, episode): (raised_at, cleared_at) for rule, device, episode, raised_at, cleared_at in rows}


async def _rules(postgres: Postgres, tenant_id: UUID) -> list[Any]:
    """The tenant's compiled rules that watch the bench's devices."""
    store = Store(postgres.url("worker"), size=1)
    try:
        async with store.as_tenant(system(tenant_id), read_only=True) as tx:
            return [rule for rule in await Compiled().of(tx) if rule.profile in (None, PROFILE)]
    finally:
        await store.close()
