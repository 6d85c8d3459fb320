"""Quotas at the gate: a device's, a tenant's, what is refused, whose reading is paused, and who shares with whom."""

import asyncio
import time
from uuid import uuid4

import pytest

from engine.quotas import service as quotas
from engine.quotas.model import QuotaName, Quotas
from engine.quotas.shares import Shares
from engine.settings import Settings
from engine.store.pool import Store
from infra.local.postgres import Postgres
from infra.local.valkey import Valkey
from ingest.adapters.base import Decision, Verdict
from ingest.adapters.mqtt.endpoint import MqttEndpoint
from ingest.adapters.mqtt.packets import V5, V311, Puback
from ingest.adapters.mqtt.reasons import Reason
from ingest.allowances import Allowances
from ingest.batch import Known, Row
from ingest.database import Database
from ingest.normaliser import ANYTHING
from ingest.quota import Allowance, Quota
from ingest.uplink import Pipeline
from tests.ingest.adapters.mqtt.memory import House, MemoryAuthorizer, MemoryPresence, MemoryUplink, turns, until
from tests.ingest.adapters.mqtt.raw_client import RawClient
from tests.support.line import running_line
from tests.support.patience import PATIENCE_S
from tests.support.tenant import Tenant

NEVER = 0.001
"""Messages a second of a bucket that is not filled up while a test lasts; `deep` lets it hold many all the same."""
BASE = Quotas.of(Settings(quota_messages_per_s=100, quota_values_per_s=1_000))


@pytest.fixture
def deep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.quota.BURST_S", 1_000_000)


def _known() -> Known:
    return Known(uuid4(), uuid4(), ANYTHING)


def test_a_devices_bucket_refills_with_time() -> None:
    quota, device = Quota(per_second=10, burst=2), _known()
    assert [quota.takes(device, at) for at in (0.0, 0.0, 0.0, 0.1, 0.1, 5.0, 5.0, 5.0)] == [
        True, True, False, True, False, True, True, False,
    ]  # fmt: skip


def test_a_tenants_devices_share_its_allowance() -> None:
    allowance = Allowance(messages_per_s=1, values_per_s=100, at=0.0)  # five at once
    quota = Quota(allowance_of=lambda _: allowance)
    devices = [_known() for _ in range(3)]
    assert [quota.takes(devices[n % 3], 0.0) for n in range(7)] == [True] * 5 + [False] * 2
    assert allowance.is_short
    assert quota.takes(devices[0], 1.0)
    assert not quota.takes(devices[1], 1.0)
    assert allowance.used == (6.0, 0.0)


def test_values_are_paid_for_after_the_message_was_taken() -> None:
    allowance = Allowance(messages_per_s=1_000, values_per_s=1, at=0.0)  # five at once
    quota, device = Quota(allowance_of=lambda _: allowance), _known()
    values = b'{"humidity":40,"place":{"lat":1,"lon":2},"temperature":1.5}'
    reading = Row(device, 0, 0, 0, values, b"", b"", b"")
    assert quota.takes(device, 0.0)
    quota.pay(device, [reading])
    assert allowance.values_left == 0.0  # an object counts with its members
    assert not quota.takes(device, 0.0)
    assert quota.takes(device, 2.0)
    quota.pay(device, [reading, reading])
    assert allowance.values_left == -8.0
    assert not quota.takes(device, 9.9)
    assert quota.takes(device, 10.1)
    assert allowance.used == (3.0, 15.0)


def test_a_part_of_the_quota_refills_as_fast_as_that_part_is() -> None:
    allowance = Allowance(messages_per_s=10, values_per_s=100)
    allowance.left = 0.0
    now = time.monotonic()
    allowance.split(0.25)
    assert not allowance.has_some(now + 0.3)
    assert allowance.has_some(time.monotonic() + 0.5)


@pytest.mark.usefixtures("deep")
async def test_who_waits_goes_on_in_turn_and_nobody_overtakes() -> None:
    allowance, served = Allowance(messages_per_s=NEVER, values_per_s=100), list[int]()
    quota, device = Quota(allowance_of=lambda _: allowance), _known()
    allowance.left = 0.0

    def go_on(number: int) -> None:
        served.append(number)
        assert quota.takes(device)

    for number in range(4):
        allowance.wait(lambda number=number: go_on(number))  # type: ignore[misc]
    assert not quota.takes(device)
    allowance.left = 3.0
    await until(lambda: served)
    assert served == [0, 1, 2]
    assert not quota.takes(device)  # number 3 has waited longer
    allowance.left = 2.0
    await until(lambda: len(served) == 4)
    assert not allowance.is_short


class _Gate(MemoryAuthorizer):
    """Lets one device of a real tenant in, under the name the raw client calls itself."""

    decision: Decision

    async def authorize(self, *_: object) -> Decision:
        return self.decision


@pytest.mark.usefixtures("deep")
async def test_above_its_quota_a_5_0_client_is_refused_once_then_read_as_fast_as_the_quota_is(
    postgres: Postgres, tenant: Tenant
) -> None:
    codes, _ = await _publish_six(postgres, tenant, V5, stored_at_first=2)
    assert codes == [0, 0, Reason.QUOTA_EXCEEDED, 0, 0, 0]


@pytest.mark.usefixtures("deep")
async def test_above_its_quota_a_3_1_1_client_is_not_read_and_loses_nothing(postgres: Postgres, tenant: Tenant) -> None:
    codes, counts = await _publish_six(postgres, tenant, V311, stored_at_first=3)  # the third is lent
    assert codes == [0] * 6
    assert counts == {}  # nothing but stored


async def _publish_six(
    postgres: Postgres, tenant: Tenant, level: int, stored_at_first: int
) -> tuple[list[int], dict[str, list[int]]]:
    """Six messages while two are left of the quota, then enough: the PUBACKs' codes, and what was not stored."""
    device = await tenant.device()
    allowance = Allowance(NEVER, 1e6)
    allowance.left = 2.0
    gate = _Gate()
    gate.decision = Decision(tenant.id, "acme", device.id, "pump-7", 1)
    async with running_line(postgres) as line:
        line.pipeline = Pipeline(line.directory, line.writer, Quota(allowance_of=lambda _: allowance))
        assert await line.send(tenant, device, {"temperature": 0}) is Verdict.STORED  # known from here on
        allowance.left = 2.0
        endpoint = MqttEndpoint(gate, line.pipeline, MemoryPresence())
        await endpoint.start("127.0.0.1", 0)
        house = House(endpoint, gate, MemoryUplink(), MemoryPresence(), [], [])
        try:
            async with await RawClient.login(house, level=level) as client:
                for number in range(6):
                    client.publish(b'{"temperature":%d}' % number)
                await until(lambda: endpoint.counters.messages_in == 3)
                codes = [(await client.expect(Puback)).code for _ in range(3)]
                await turns()
                assert endpoint.counters.messages_in == 3  # the others are not even read
                assert len(line.stored(tenant)) == 1 + stored_at_first
                allowance.left = 100.0
                codes += [(await client.expect(Puback)).code for _ in range(3)]
                counts = line.counts(tenant) if level == V311 else {}
        finally:
            await endpoint.stop()
    return codes, {device: numbers for device, numbers in counts.items() if any(numbers[2:])}


async def test_a_tenant_above_its_quota_leaves_its_neighbour_alone(
    postgres: Postgres, tenant: Tenant, neighbour: Tenant
) -> None:
    loud, calm = await tenant.device(), await neighbour.device()
    by_tenant = {tenant.id: Allowance(NEVER, 1e6), neighbour.id: Allowance(1e6, 1e6)}
    by_tenant[tenant.id].left = 3.0
    async with running_line(postgres) as line:
        line.pipeline = Pipeline(line.directory, line.writer, Quota(allowance_of=by_tenant.__getitem__))
        at = int(time.time() * 1000)
        told = []
        for n in range(6):
            told.append(line.send(tenant, loud, {"time": at - n, "values": {"temperature": 1}}))
            told.append(line.send(neighbour, calm, {"time": at - n, "values": {"temperature": 1}}))
        verdicts = await asyncio.wait_for(asyncio.gather(*told), PATIENCE_S)
    assert verdicts[::2] == [Verdict.STORED] * 3 + [Verdict.QUOTA] * 3
    assert verdicts[1::2] == [Verdict.STORED] * 6
    assert line.counts(tenant)[str(loud.id)][4] == 3


async def test_a_tenants_own_quota_is_read_and_read_again_when_it_changes(
    postgres: Postgres, tenant: Tenant, neighbour: Tenant, store: Store
) -> None:
    async with store.as_tenant(tenant.principal()) as tx:
        await quotas.change(tx, {QuotaName.MESSAGES_PER_S: 7})
    allowances = Allowances(BASE, Database(postgres.url("ingest")))
    running = asyncio.create_task(allowances.run())
    try:
        own, other = allowances.of(tenant.id), allowances.of(neighbour.id)
        assert own.messages_per_s == 100
        await until(lambda: own.messages_per_s == 7)
        assert own.left <= 35
        async with store.as_tenant(tenant.principal()) as tx:
            await quotas.change(tx, {QuotaName.MESSAGES_PER_S: None, QuotaName.VALUES_PER_S: 5})
        allowances.changed(tenant.id)
        await until(lambda: own.values_per_s == 5)
        assert (own.messages_per_s, other.messages_per_s, other.values_per_s) == (100, 100, 1_000)
    finally:
        running.cancel()
        await allowances.close()


@pytest.fixture
def trio(valkey: Valkey) -> list[Shares]:
    """Three processes' views of who uses what."""
    return [Shares(valkey.url()) for _ in range(3)]


async def test_processes_hear_what_the_others_use_and_without_valkey_believe_they_are_alone(
    trio: list[Shares], valkey: Valkey
) -> None:
    key, foreign = (uuid4(), "ingest"), (uuid4(), "ingest")

    async def heard() -> bool:
        """One round of all three, as close to the beginning of a second as they come."""
        for shares, amount in zip(trio, (0.5, 0.25, 0.0), strict=True):
            shares.tell({key: amount})
            await shares.exchange()
        return [round(shares.others(key), 2) for shares in trio] == [0.25, 0.5, 0.75]

    async with asyncio.timeout(PATIENCE_S):
        while not await heard():
            await asyncio.sleep(1.0 - time.time() % 1.0)
    assert trio[0].others(foreign) == 0.0
    valkey.stop()
    try:
        trio[0].tell({key: 1.0})
        assert not await trio[0].exchange()
    finally:
        valkey.start()
    async with asyncio.timeout(PATIENCE_S):
        while trio[0].others(key):  # what was heard long ago counts no more
            await asyncio.sleep(0.2)
    for shares in trio:
        await shares.close()


async def test_two_processes_above_a_tenants_quota_come_to_give_out_half_of_it_each(
    postgres: Postgres, valkey: Valkey, tenant: Tenant
) -> None:
    both = [Allowances(BASE, Database(postgres.url("ingest")), Shares(valkey.url())) for _ in range(2)]
    running = [asyncio.create_task(allowances.run()) for allowances in both]
    quotas_, device = [Quota(allowance_of=allowances.of) for allowances in both], _known()
    device.tenant_id = tenant.id

    def split() -> bool:
        """Both send as much as they may, in turns."""
        for quota in quotas_:
            while quota.takes(device):
                pass
        return all(0.4 < allowances.of(tenant.id).share < 0.6 for allowances in both)

    try:
        await until(split)
    finally:
        for task, allowances in zip(running, both, strict=True):
            task.cancel()
            await allowances.close()
