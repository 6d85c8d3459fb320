"""A worker looks at what waits, seldom, and counts it over all tenants that have something to do."""

import time

import pytest
from prometheus_client import REGISTRY

from engine import metrics
from engine.store.pool import Store
from tests.support.tenant import Tenant


def gauge(name: str) -> float:
    return REGISTRY.get_sample_value(f"tidegate_worker_{name}") or 0.0


async def test_the_backlog_is_counted_over_the_tenants_that_are_due(
    tenant: Tenant, neighbour: Tenant, worker_store: Store
) -> None:
    now = [0.0]
    backlog = metrics.Backlog(worker_store, lambda: now[0])
    both = [tenant.id, neighbour.id]
    await backlog.look(both)
    before = gauge("journal_backlog")
    for one in (tenant, neighbour):
        device = await one.device()
        one.tell([(device.id, int(time.time() * 1000), {"temperature": 4.5})])
    await backlog.look(both)
    assert gauge("journal_backlog") == before, "it looks seldom"
    now[0] += metrics.LOOK_EVERY_S
    await backlog.look(both)
    assert gauge("journal_backlog") >= before + 2
    assert 0 <= gauge("journal_age_seconds") < 60
    assert gauge("tenants_waiting") == 2
    now[0] += metrics.LOOK_EVERY_S
    await backlog.look([])
    assert (gauge("journal_backlog"), gauge("tenants_waiting")) == (0, 0)


def test_a_turn_is_counted_by_how_it_ended() -> None:
    def turns(result: str) -> float:
        return REGISTRY.get_sample_value("tidegate_worker_drains_total", {"result": result}) or 0.0

    done, failed = turns("done"), turns("failed")
    with metrics.draining():
        pass
    with pytest.raises(RuntimeError), metrics.draining():
        raise RuntimeError
    assert (turns("done"), turns("failed")) == (done + 1, failed + 1)
