"""The judge finds what is planted, and nothing where all is well."""

import asyncio
import dataclasses
import json
import time

import psycopg
import pytest

from engine.drain import Drain
from engine.store.pool import Store
from infra.bench.judge import Sent, Verdict, judge
from infra.bench.readings import Signal
from infra.bench.tenant import BenchTenant, found, judged_rules
from infra.local.postgres import Postgres
from tests.support.journal import tell

MESSAGES = 60
SIGNAL = Signal(period=20)


@dataclasses.dataclass
class Case:
    """A tenant whose two devices have sent and had stored MESSAGES messages each."""

    postgres: Postgres
    tenant: BenchTenant
    sent: Sent

    async def judged(self, sent: Sent | None = None) -> Verdict:
        """What the judge says."""
        return await asyncio.to_thread(judge, self.postgres, self.tenant, sent or self.sent)

    def tamper(self, statement: str, *parameters: object) -> None:
        """Change the database behind everybody's back."""
        with psycopg.connect(self.postgres.url("superuser")) as connection:
            changed = connection.execute(statement, [self.tenant.id, *parameters]).rowcount
        assert changed > 0


@pytest.fixture
async def case(postgres: Postgres, worker_store: Store) -> Case:
    """All is well here."""
    tenant = await found(postgres, SIGNAL, 2, judged_rules())
    began_ms = time.time_ns() // 1_000_000 - 60_000
    for device, device_id in enumerate(tenant.device_ids):
        readings = [(device_id, began_ms + n, _values(device, n)) for n in range(MESSAGES)]
        tell(postgres, tenant.id, readings)
    await Drain(worker_store).run(tenant.id)
    return Case(postgres, tenant, Sent([MESSAGES] * 2, [[], []]))


def _values(device: int, n: int) -> dict[str, object]:

    values: dict[str, object] = json.loads(SIGNAL.payload(device, n, 0))["values"]
    return values


async def test_where_all_is_well_nothing_is_wrong_and_there_were_alerts_to_compare(case: Case) -> None:
    verdict = await case.judged()
    assert verdict.wrong == []
    assert (verdict.acked, verdict.stored, verdict.lost, verdict.twice) == (2 * MESSAGES, 2 * MESSAGES, 0, 0)
    assert verdict.alerts == verdict.alerts_expected > 10


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
