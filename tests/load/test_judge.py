"""The judge finds what is planted, and nothing where all is well."""

import asyncio
import dataclasses
import json
import time
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from engine.drain import Drain
from engine.rules import storms
from engine.settings import Settings
from engine.store.pool import Store
from infra.bench.judge import Sent, Verdict, judge
from infra.bench.judged_rules import (
    ACTIONS_A_PERIOD,
    CHANNEL,
    SIGNAL,
    SLOW_GAP_S,
    acting,
    acting_rules,
    judged_rules,
)
from infra.bench.tenant import BenchTenant, enact, found, hook
from infra.local.postgres import Postgres
from tests.support.journal import tell

MESSAGES = 60


@dataclasses.dataclass
class Case:
    """A tenant whose two devices have sent and had stored MESSAGES messages each, and whose webhooks were called."""

    postgres: Postgres
    tenant: BenchTenant
    sent: Sent
    arrived: dict[UUID, int]

    async def judged(self, sent: Sent | None = None) -> Verdict:
        """What the judge says."""
        return await asyncio.to_thread(judge, self.postgres, self.tenant, sent or self.sent, self.arrived)

    def tamper(self, statement: str, *parameters: object) -> None:
        """Change the database behind everybody's back."""
        with psycopg.connect(self.postgres.url("superuser")) as connection:
            changed = connection.execute(statement, [self.tenant.id, *parameters]).rowcount
        assert changed > 0


@pytest.fixture
async def case(postgres: Postgres, worker_store: Store, engines_dir: Path) -> Case:
    """All is well here."""
    tenant = await found(postgres, SIGNAL, 2, [])
    await hook(postgres, tenant.id, Settings(data_dir=engines_dir), CHANNEL, "https://example.com/hook")
    devices = [str(device) for device in tenant.device_ids]
    await enact(postgres, tenant.id, judged_rules() + acting_rules(devices[:1]))
    began_ms = time.time_ns() // 1_000_000 - 7_200_000
    for device, device_id in enumerate(tenant.device_ids):
        readings = [(device_id, began_ms + n * SIGNAL.step_ms, _values(device, n)) for n in range(MESSAGES)]
        tell(postgres, tenant.id, readings)
    drain = Drain(worker_store)
    while await drain.run(tenant.id):  # what a rule derives comes with the next one
        continue
    return Case(postgres, tenant, Sent([MESSAGES] * 2, [[], []]), _delivered(postgres, tenant.id))


def _delivered(postgres: Postgres, tenant_id: UUID) -> dict[UUID, int]:
    """What a worker makes of the deliveries, and what arrived."""
    note = (
        "UPDATE deliveries SET state = 'delivered', next_at = NULL, ended_at = now(), "
        "created_at = created_at - interval '1 minute' WHERE tenant_id = %s RETURNING id"
    )
    with psycopg.connect(postgres.url("superuser")) as connection:
        return {row[0]: 1 for row in connection.execute(note, [tenant_id]).fetchall()}


def _values(device: int, n: int) -> dict[str, object]:

    values: dict[str, object] = json.loads(SIGNAL.payload(device, n, 0))["values"]
    return values


async def test_where_all_is_well_nothing_is_wrong_and_there_were_alerts_to_compare(case: Case) -> None:
    verdict = await case.judged()
    assert verdict.wrong == []
    assert (verdict.acked, verdict.stored, verdict.lost, verdict.twice) == (2 * MESSAGES, 2 * MESSAGES, 0, 0)
    assert verdict.alerts == verdict.alerts_expected > 10
    assert (verdict.calls, verdict.derived, verdict.labelled) == (4, 4, 1), "two warm times of one device"
    assert all(rule.raised == rule.raised_expected for rule in verdict.rules)
    assert {rule.name for rule in verdict.rules if not rule.raised} == {"Excess", "Warm and humid"}, "not so soon"


async def test_several_processes_that_share_the_devices_come_to_the_same(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = await case.judged()
    monkeypatch.setattr("infra.bench.played.MANY_MESSAGES", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert await case.judged() == alone


async def test_a_lost_message_is_found(case: Case) -> None:
    case.tamper(
        "DELETE FROM telemetry WHERE tenant_id = %s AND device_id = %s AND (values->>'count')::int = 7",
        case.tenant.device_ids[1],
    )
    verdict = await case.judged()
    assert verdict.lost == 1
    assert any("device 1: [7]" in wrong for wrong in verdict.wrong)


async def test_a_message_stored_twice_under_another_key_is_found(case: Case) -> None:
    case.tamper(
        "INSERT INTO telemetry SELECT tenant_id, device_id, time, seq + 1000, received_at, values FROM telemetry "
        "WHERE tenant_id = %s AND device_id = %s AND (values->>'count')::int = 9",
        case.tenant.device_ids[0],
    )
    assert (await case.judged()).twice == 1


async def test_a_message_nobody_sent_is_found(case: Case) -> None:
    verdict = await case.judged(Sent([MESSAGES, MESSAGES - 1], [[], []]))
    assert verdict.never_sent == 1


async def test_a_message_without_puback_may_be_stored_or_not(case: Case) -> None:
    case.tamper(
        "DELETE FROM telemetry WHERE tenant_id = %s AND (values->>'count')::int = 59",
    )
    case.tamper("UPDATE counts SET stored = stored - 1, received = received - 1 WHERE tenant_id = %s")
    verdict = await case.judged(Sent([MESSAGES] * 2, [[59], [59]]))
    assert verdict.lost == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE counts SET stored = stored + 1, received = received + 1 WHERE tenant_id = %s",
        "UPDATE counts SET rejected = 1, received = received + 1 WHERE tenant_id = %s",
        "DELETE FROM counts WHERE tenant_id = %s",
    ],
)
async def test_wrong_counts_are_found(case: Case, statement: str) -> None:
    case.tamper(statement)
    assert (await case.judged()).counts_wrong == 2


async def test_duplicates_that_nobody_sent_are_found(case: Case) -> None:
    case.tamper("UPDATE counts SET duplicates = 1, received = received + 1 WHERE tenant_id = %s")
    assert any("nobody sent" in wrong for wrong in (await case.judged()).wrong)
    resent = dataclasses.replace(case.sent, resent=2)
    assert (await case.judged(resent)).wrong == []


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM alerts WHERE tenant_id = %s AND episode = 1",
        "UPDATE alerts SET raised_at = raised_at + interval '1 ms' WHERE tenant_id = %s AND episode = 2",
        "UPDATE alerts SET cleared_at = NULL WHERE tenant_id = %s AND episode = 1",
        "UPDATE alerts SET episode = episode + 100 WHERE tenant_id = %s AND episode = 1",
    ],
)
async def test_alerts_that_differ_from_the_reference_are_found(case: Case, statement: str) -> None:
    case.tamper(statement)
    verdict = await case.judged()
    assert verdict.alerts_different >= 2
    assert any("alerts differ" in wrong for wrong in verdict.wrong)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "DELETE FROM deliveries WHERE id = (SELECT min(id::text)::uuid FROM deliveries WHERE tenant_id = %s)",
            "not called",
        ),
        ("UPDATE deliveries SET id = gen_random_uuid() WHERE tenant_id = %s", "nobody's"),
        ("UPDATE deliveries SET state = 'given_up' WHERE tenant_id = %s", "anything but delivered"),
        ("UPDATE telemetry SET values = '{\"excess\": 1}' WHERE tenant_id = %s AND values ? 'excess'", "derived"),
        ("DELETE FROM telemetry WHERE tenant_id = %s AND values ? 'excess'", "derived"),
        ("UPDATE devices SET labels = labels - 'warmest' WHERE tenant_id = %s AND labels <> '{}'", "labelled"),
        ('UPDATE devices SET labels = labels || \'{"warm": ""}\' WHERE tenant_id = %s', "labelled"),
        ("DELETE FROM journal WHERE tenant_id = %s AND kind = 'alert.raised'", "not told"),
        ("DELETE FROM journal WHERE tenant_id = %s AND kind = 'alert.cleared'", "not told"),
        (
            "UPDATE journal SET body = '{\"r\": [], \"n\": {}}' WHERE tenant_id = %s AND kind = 'telemetry'",
            "does not tell",
        ),
    ],
)
async def test_what_rules_did_beside_alerts_is_compared_too(case: Case, statement: str, said: str) -> None:
    case.tamper(statement)
    assert any(said in wrong for wrong in (await case.judged()).wrong)


async def test_an_alert_told_twice_is_found_and_counted_with_its_rule(case: Case) -> None:
    case.tamper(
        "INSERT INTO journal (tenant_id, pos, at, kind, body) "
        "SELECT tenant_id, pos + 1000, at, kind, body FROM journal "
        "WHERE kind = 'alert.raised' AND tenant_id = %s ORDER BY pos LIMIT 1"
    )
    verdict = await case.judged()
    assert any("not told to the journal once" in wrong for wrong in verdict.wrong)
    assert sum(rule.extra for rule in verdict.rules) == 1
    assert sum(rule.lost for rule in verdict.rules) == 0


async def test_a_call_may_arrive_twice_but_not_never_and_not_without_a_delivery(case: Case) -> None:
    first, *_ = case.arrived
    case.arrived[first] = 2
    verdict = await case.judged()
    assert (verdict.wrong, verdict.calls_again) == ([], 1)
    del case.arrived[first]
    assert any("never arrived" in wrong for wrong in (await case.judged()).wrong)
    case.arrived |= {first: 1, uuid4(): 1}
    assert any("no delivery" in wrong for wrong in (await case.judged()).wrong)


@pytest.mark.parametrize(("devices", "rate"), [(200, 2_000), (100, 500), (2_000, 2_000), (20, 100)])
def test_rules_act_for_slow_devices_and_others_and_stay_below_the_storm_breaker(devices: int, rate: float) -> None:
    slow = devices // 10
    chosen = acting([str(number) for number in range(devices)], rate, slow)
    few = [device for device in chosen if int(device) >= devices - slow]
    many = len(chosen) - len(few)
    assert few
    assert many
    messages_a_min = 60 * (len(few) / SLOW_GAP_S + many * rate / devices)
    assert messages_a_min / SIGNAL.period * ACTIONS_A_PERIOD < storms.OF_RULE * 0.75
