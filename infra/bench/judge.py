"""Judges a platform after a load: acknowledged messages stored, none twice, counts exact, rules obeyed exactly once.

What rules must have done is computed by `Reference` from the journal, which must tell each stored message once. Judged
is what follows from it: which alerts there are, when each was raised and cleared (to the millisecond), and that the
journal tells of each once; that each call of a webhook is one delivery, which arrived at least once (ADR 31 promises no
more); that each derived reading is stored once; how devices are labelled in the end. Of what timers do after the last
message, that must be done which has been due for a while.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any
from uuid import UUID

import psycopg

from engine.rules.compile import CompiledRule
from infra.bench.played import Bounds, Part, journal, playing, rules_of, together
from infra.bench.reference import Derived, Episodes, Times
from infra.bench.telling import Progress, Tell, nobody
from infra.bench.tenant import BenchTenant
from infra.local.postgres import Postgres

MAX_SHOWN = 5

_NOW = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint), pg_export_snapshot()"
# A device's readings in a row of its own, whatever their order: in Python a row costs more than what is in it.
_STORED = """
SELECT device_id::text, array_agg(round(date_part('epoch', time) * 1000)::bigint), array_agg(seq),
       array_agg((values -> 'count')::bigint), json_agg(values) FILTER (WHERE NOT values ? 'count')
FROM telemetry WHERE tenant_id = %s AND device_id = ANY (%s) GROUP BY device_id
"""
GATHERED_AT_ONCE = 2_000_000
"""About so many readings the server gathers at once, in its memory; each time it looks through all."""
_COUNTS = """
SELECT device_id::text, sum(received)::bigint, sum(stored)::bigint, sum(duplicates)::bigint, sum(rejected)::bigint,
       sum(refused)::bigint
FROM counts WHERE tenant_id = %s GROUP BY device_id
"""
_ALERTS = (
    "SELECT id::text, rule_id::text, device_id::text, episode, raised_at, cleared_at FROM alerts WHERE tenant_id = %s"
)
_DELIVERIES = "SELECT id, state, created_at > now() - interval '10 s' FROM deliveries WHERE tenant_id = %s"
_UNSENT = "SELECT id FROM deliveries WHERE tenant_id = %s AND next_at IS NOT NULL"
_LABELS = "SELECT id::text, labels FROM devices WHERE tenant_id = %s AND labels <> '{}'"
_NOTICES = "SELECT message FROM rule_notices WHERE tenant_id = %s"
_BEHIND = """
SELECT max(h.pos - r.pos) FROM journal_head h JOIN readers r ON r.tenant_id = h.tenant_id
WHERE h.tenant_id = %s
"""


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


@dataclass(slots=True)
class RuleTally:
    """One rule's alerts: how often the reference raises and clears, how often the journal says so, what differs.

    `lost`: raised or cleared by the reference alone, or not told; `extra`: not by the reference, or told once more;
    `moved`: at another time.
    """

    name: str
    raised_expected: int = 0
    raised: int = 0
    cleared_expected: int = 0
    cleared: int = 0
    lost: int = 0
    extra: int = 0
    moved: int = 0

    def compare(self, must: Times | None, may: Times | None, found: Times | None) -> None:
        """Take in one episode: as it must be by now, as it may be, as it is."""
        for moment in range(2):  # raised, cleared
            due, most, is_ = (None if times is None else times[moment] for times in (must, may, found))
            is_expected = due is not None or (most is not None and is_ is not None)
            if moment == 0:
                self.raised_expected += is_expected
            else:
                self.cleared_expected += is_expected
            self.lost += due is not None and is_ is None
            self.extra += most is None and is_ is not None
            self.moved += is_ is not None and most is not None and is_ != most

    def hear(self, raised: int, cleared: int, *, is_cleared: bool) -> None:
        """Take in how often the journal tells of an alert that is there."""
        self.raised, self.cleared = self.raised + raised, self.cleared + cleared
        for times, due in ((raised, 1), (cleared, int(is_cleared))):
            self.lost, self.extra = self.lost + max(0, due - times), self.extra + max(0, times - due)


@dataclass
class Verdict:
    """What was found; `wrong` is empty when everything is as promised.

    `calls` are deliveries, of which `calls_arrived` came, some of them (`calls_again`) more than once.
    """

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
    calls_expected: int = 0
    calls: int = 0
    calls_arrived: int = 0
    calls_again: int = 0
    derived_expected: int = 0
    derived: int = 0
    labelled: int = 0
    rules: list[RuleTally] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def blame(self, kind: str, count: int, example: object) -> None:
        """Note something that is not as promised."""
        if count:
            self.wrong.append(f"{count} {kind}, for example {example}")


def wait_for_drain(postgres: Postgres, tenant_id: UUID, timeout_s: float, tell: Tell = nobody) -> float | None:
    """Wait until the worker has read the whole journal; the seconds that took, None if it did not in time."""
    began, progress = time.monotonic(), Progress(tell, "entries of the journal drained")
    with psycopg.connect(postgres.url("superuser"), autocommit=True) as connection:
        while time.monotonic() - began < timeout_s:
            row = connection.execute(_BEHIND, [tenant_id]).fetchone()
            if row == (0,):
                return time.monotonic() - began
            progress.remain(row[0] if row else 0)
            time.sleep(0.1)
    return None


def wait_for_deliveries(postgres: Postgres, tenant_id: UUID, arrived: Mapping[UUID, int], timeout_s: float) -> bool:
    """Wait until each delivery has arrived or was given up; whether that came in time.

    One that has arrived may not be noted yet: whoever sent it may have died, and it is sent again when its lease ends.
    """
    until = time.monotonic() + timeout_s
    with psycopg.connect(postgres.url("superuser"), autocommit=True) as connection:
        while any(row[0] not in arrived for row in connection.execute(_UNSENT, [tenant_id])):
            if time.monotonic() > until:
                return False
            time.sleep(0.5)
    return True


def judge(
    postgres: Postgres,
    tenant: BenchTenant,
    sent: Sent,
    arrived: Mapping[UUID, int] | None = None,
    *,
    may_repeat: bool = False,
    tell: Tell = nobody,
) -> Verdict:
    """Compare what clients were told with what the database holds. Call it when the journal is drained.

    ``arrived``: how often each delivery came where it was sent, as of now. ``may_repeat``: ingest had to try again
    where it could not know what had become of a COMMIT; what had taken effect is a duplicate then that nobody sent.
    ``tell`` hears how far it has come. Several processes play the rules over the journal; a million
    messages take six seconds of CPU, and minutes where rules have windows.
    """
    verdict, urls = Verdict(), (postgres.url("superuser"), postgres.url("worker"))
    rules, _ = asyncio.run(rules_of(urls[1], tenant.id))
    number_of = {str(device_id): number for number, device_id in enumerate(tenant.device_ids)}
    with psycopg.connect(urls[0]) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        now_ms, snapshot = connection.execute(_NOW).fetchone()  # type: ignore[misc]  # one row
        with playing(Part(*urls, tenant.id, snapshot, now_ms), sum(sent.made)) as parts:
            progress = Progress(tell, "messages compared with what is stored", sum(sent.made))
            stored = _stored(connection, tenant, sent, progress)
            seen, derived = _judge_stored(verdict, sent, stored, number_of)
            progress = Progress(tell, "entries of the journal judged")
            told = _told(verdict, journal(connection, tenant.id, progress), seen)
            tell("looked through; the rules are being played over the journal")
            bounds = together(parts)
        _judge_counts(
            verdict,
            sent,
            {number_of[device]: count for device, (count, _) in seen.items()},
            {number_of[row[0]]: row[1:] for row in connection.execute(_COUNTS, [tenant.id])},
            may_repeat=may_repeat,
        )
        _judge_alerts(verdict, bounds, connection.execute(_ALERTS, [tenant.id]).fetchall(), told, rules)
        _judge_calls(verdict, bounds, connection.execute(_DELIVERIES, [tenant.id]).fetchall(), arrived or {})
        _judge_derived(verdict, bounds, derived)
        _judge_labels(verdict, bounds, dict(connection.execute(_LABELS, [tenant.id]).fetchall()))
        notices = connection.execute(_NOTICES, [tenant.id]).fetchall()
        verdict.blame("notices that rules could not do something", len(notices), notices[:1])
    return verdict


_Print = tuple[int, int]
"""Which readings of a device there are, whatever their order: how many, and the sum of their keys' hashes."""


def _judge_stored(
    verdict: Verdict, sent: Sent, stored: Iterator[tuple[Any, ...]], number_of: Mapping[str, int]
) -> tuple[dict[str, _Print], Derived]:
    """What each device has stored is what it sent; returns which readings those are, and those that no device sent."""
    seen: dict[str, _Print] = {}
    derived: Derived = {}
    for device, times, seqs, numbers, unnumbered in stored:
        seen[device] = len(times), sum(map(hash, zip(times, seqs, strict=True)))
        made = [place for place in zip(times, seqs, numbers, strict=True) if place[2] is None] if unnumbered else ()
        for (at_ms, seq, _), values in zip(made, unnumbered or (), strict=True):
            derived[device, at_ms, seq] = values
        _judge_device(verdict, sent, number_of[device], [number for number in numbers if number is not None])
    for device in number_of.keys() - seen.keys():
        _judge_device(verdict, sent, number_of[device], [])
    return seen, derived


def _told(verdict: Verdict, journal: Iterator[tuple[Any, ...]], seen: Mapping[str, _Print]) -> Counter[tuple[str, str]]:
    """Whether the journal is whole and tells what is stored once; returns how often it tells of each alert, by kind."""
    told: Counter[tuple[str, str]] = Counter()
    counts, marks = Counter[str](), defaultdict[str, int](int)
    missing, expected = 0, 1
    for pos, kind, body in journal:
        missing, expected = missing + pos - expected, pos + 1
        if kind == "telemetry":
            for device, at_ms, seq, _, _ in body["r"]:
                marks[device] += hash((at_ms, seq))
            counts.update(map(_DEVICE, body["r"]))
        elif kind in ("alert.raised", "alert.cleared"):
            told[kind, body["alert"]] += 1
    verdict.blame("entries of the journal are missing", missing, "it is kept for an hour")
    none = 0, 0
    other = [device for device in seen.keys() | counts if seen.get(device, none) != (counts[device], marks[device])]
    verdict.blame("devices have stored what the journal does not tell once", len(other), other[:MAX_SHOWN])
    return told


_DEVICE = itemgetter(0)


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


def _judge_counts(
    verdict: Verdict,
    sent: Sent,
    seen: Mapping[int, int],
    counts: Mapping[int, tuple[int, ...]],
    *,
    may_repeat: bool,
) -> None:
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
    if verdict.duplicates > sent.resent and not may_repeat:
        verdict.blame(
            "duplicates are counted that nobody sent", verdict.duplicates - sent.resent, f"{sent.resent} sent again"
        )


def _expected(must: Collection[object], may: Collection[object], found: Collection[object]) -> int:
    """How many there must be: those that a timer may have caused by now count if it has."""
    return len(must) + sum(each not in must and each in found for each in may)


def _judge_alerts(
    verdict: Verdict,
    bounds: Bounds,
    rows: Sequence[tuple[Any, ...]],
    told: Counter[tuple[str, str]],
    rules: Sequence[CompiledRule],
) -> None:
    must, may = bounds.must.episodes, bounds.may.episodes
    found: Episodes = {(rule, device, episode): (raised, cleared) for _, rule, device, episode, raised, cleared in rows}
    different = {
        place
        for place in must.keys() | may.keys() | found.keys()
        if found.get(place) not in (must.get(place), may.get(place))
    }
    verdict.alerts, verdict.alerts_different = len(found), len(different)
    verdict.alerts_expected = _expected(must, may, found)
    shown = [(place, must.get(place), may.get(place), found.get(place)) for place in sorted(different)[:MAX_SHOWN]]
    verdict.blame("alerts differ from the reference", len(different), shown)
    tallies = {rule.key: RuleTally(rule.document.name) for rule in rules}
    for place in must.keys() | found.keys():
        tallies[place[0]].compare(must.get(place), may.get(place), found.get(place))
    untold = []
    for alert, rule, device, episode, _, cleared in rows:
        times = told.pop(("alert.raised", alert), 0), told.pop(("alert.cleared", alert), 0)
        tallies[rule].hear(*times, is_cleared=cleared is not None)
        if times != (1, int(cleared is not None)):
            untold.append((rule, device, episode, times))
    verdict.blame("alerts are not told to the journal once", len(untold), untold[:MAX_SHOWN])
    verdict.blame("alerts that the journal tells of are not there", len(told), list(told)[:MAX_SHOWN])
    verdict.rules = list(tallies.values())


def _judge_calls(
    verdict: Verdict, bounds: Bounds, rows: Sequence[tuple[UUID, str, bool]], arrived: Mapping[UUID, int]
) -> None:
    """One that a timer has just caused need not have been sent yet."""
    must, may = bounds.must.calls, bounds.may.calls
    found, fresh = {row[0]: row[1] for row in rows}, {row[0] for row in rows if row[2]}
    verdict.calls, verdict.calls_expected = len(found), _expected(must, may, found)
    verdict.calls_arrived = sum(delivery in arrived for delivery in found)
    verdict.calls_again = sum(times - 1 for times in arrived.values())
    lost, extra = must - found.keys(), found.keys() - may
    verdict.blame("webhooks were not called", len(lost), list(lost)[:MAX_SHOWN])
    verdict.blame("deliveries are nobody's", len(extra), list(extra)[:MAX_SHOWN])
    away = [(delivery, state) for delivery, state in found.items() if delivery not in fresh and delivery not in arrived]
    verdict.blame("deliveries never arrived", len(away), away[:MAX_SHOWN])
    failed = [each for each, state in found.items() if each not in fresh and state not in ("delivered", "sending")]
    verdict.blame("deliveries are noted as anything but delivered", len(failed), failed[:MAX_SHOWN])
    strange = arrived.keys() - found.keys()
    verdict.blame("calls arrived that are no delivery", len(strange), list(strange)[:MAX_SHOWN])


def _judge_derived(verdict: Verdict, bounds: Bounds, found: Derived) -> None:
    must, may = bounds.must.derived, bounds.may.derived
    verdict.derived, verdict.derived_expected = len(found), _expected(must, may, found)
    different = [
        place for place in must.keys() | found.keys() if found.get(place) not in (must.get(place), may.get(place))
    ]
    verdict.blame("derived readings differ from the reference", len(different), different[:MAX_SHOWN])


def _judge_labels(verdict: Verdict, bounds: Bounds, found: Mapping[str, Mapping[str, str]]) -> None:
    must, may, none = bounds.must.labels, bounds.may.labels, dict[str, str]()
    verdict.labelled = len(found)
    different = [
        (device, must.get(device), found.get(device))
        for device in must.keys() | found.keys()
        if found.get(device, none) not in (must.get(device, none), may.get(device, none))
    ]
    verdict.blame("devices are labelled otherwise", len(different), different[:MAX_SHOWN])


def _stored(
    connection: "psycopg.Connection[Any]", tenant: BenchTenant, sent: Sent, progress: Progress
) -> Iterator[tuple[Any, ...]]:
    done = 0
    for devices in _in_parts(tenant.device_ids, sent.made):
        with connection.cursor(name="stored") as cursor:
            cursor.itersize = 16
            cursor.execute(_STORED, [tenant.id, devices], binary=True)
            for row in cursor:
                yield row
                done += len(row[1])
                progress.reach(done)


def _in_parts(devices: Sequence[UUID], made: Sequence[int]) -> Iterator[list[UUID]]:
    """The devices, as many at a time as have made about GATHERED_AT_ONCE messages together."""
    part, messages = list[UUID](), 0
    for device, count in zip(devices, made, strict=True):
        part.append(device)
        messages += count
        if messages >= GATHERED_AT_ONCE:
            yield part
            part, messages = [], 0
    yield part
