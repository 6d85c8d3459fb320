"""Windows read back from telemetry: however much there is, so much is read and no more, and the newest points win."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from engine import clock
from engine.rules import remember
from engine.rules.facts import Facts
from engine.rules.ruleset import RuleSet
from engine.rules.windows import Value
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.telemetry.fold import Newest
from engine.tenancy import system
from tests.engine.rules.making import rule
from tests.support.journal import Told
from tests.support.tenant import Tenant

AVERAGE = RuleSet([rule({"metric": "temperature", "agg": {"fn": "avg", "over": "2h"}, "op": ">", "value": 8})])


async def read_back(tx: Tx, newest: Newest, devices: list[str], position: int) -> dict[str, list[Value]]:
    """The values in each device's window."""
    facts = Facts()
    await remember.remember(tx, facts, AVERAGE, newest, devices, position)
    histories = {device: facts.windows.of(device, "temperature") for device in devices}
    return {
        device: [] if history is None else history.within(history.newest, 7_200_000)
        for device, history in histories.items()
    }


async def test_no_statement_brings_more_than_its_share_and_the_newest_points_win(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, newest, sizes = clock.now_ms(), Newest({}), []
    sent = {str((await tenant.device()).id): count for count in (30, 4, 30)}
    for device, count in sent.items():
        told: list[Told] = [(UUID(device), now - (count - n) * 1_000, {"temperature": float(n)}) for n in range(count)]
        tenant.tell(told, received_ms=now)
        newest.learn(device, now - 1_000, now, {"temperature": float(count - 1)})
    monkeypatch.setattr(remember, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(remember, "TENANT_POINTS", 40)
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        drained = await tx.scalar(text("SELECT max(pos) FROM journal"))
        rows = tx.rows

        async def counted(*asked: Any) -> Any:
            found = await rows(*asked)
            sizes.append(len(found))
            return found

        monkeypatch.setattr(tx, "rows", counted)
        found = await read_back(tx, newest, list(sent), drained)
        monkeypatch.setattr(remember, "TENANT_POINTS", 600_000)
        whole = await read_back(tx, newest, list(sent), drained)
    assert max(sizes[:4]) <= 13
    assert sum(map(len, found.values())) <= 40
    for device, count in sent.items():
        assert found[device] == [float(n) for n in range(count)][-13:]
        assert whole[device] == [float(n) for n in range(count)]


async def test_what_is_stored_but_not_yet_drained_takes_nobodys_place(
    tenant: Tenant, worker_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, newest, room = clock.now_ms(), Newest({}), (await tenant.device()).id
    device = str(room)
    monkeypatch.setattr(remember, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(remember, "TENANT_POINTS", 3)
    tenant.tell([(room, now - 9_000 + n, {"temperature": float(n)}) for n in range(5)], received_ms=now)
    newest.learn(device, now - 8_996, now, {"temperature": 4.0})
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        drained = await tx.scalar(text("SELECT max(pos) FROM journal"))
    tenant.tell([(room, now - 5_000 + n, {"temperature": 50.0 + n}) for n in range(3)], received_ms=now)
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        assert await read_back(tx, newest, [device], drained) == {device: [2.0, 3.0, 4.0]}
