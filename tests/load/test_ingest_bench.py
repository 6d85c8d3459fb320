"""The whole bench, small: a platform of its own, measured and judged."""

import dataclasses

import pytest

from infra.bench import report
from infra.bench.ingest import HONEST, measure

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]


def test_the_honest_scenario_loses_nothing_and_tells_what_every_process_used() -> None:
    small = dataclasses.replace(HONEST, connections=40, rate=200, seconds=3, warm_up_s=1)
    measured = measure(small)
    assert measured.verdict.wrong == []
    assert measured.load["acked"] == measured.load["sent"] == 600
    assert measured.verdict.alerts == measured.verdict.alerts_expected > 0
    assert {"ingest", "postgres", "worker", "valkey", "web"} <= set(measured.cpu_us)
    assert 0 < measured.kernel_us["ingest"] < measured.cpu_us["ingest"]
    assert {"ingest", "worker", "app", "itself"} <= set(measured.postgres_us)
    assert sum(measured.postgres_us.values()) == pytest.approx(measured.cpu_us["postgres"], rel=0.2)
    assert measured.us_beside_ingests_code < sum(measured.cpu_us.values())
    assert measured.live["errors"] == []
    assert measured.live["arrived"] + measured.live["skipped"] >= measured.live["expected"] > 0
    floor = measured.floor
    assert floor is not None
    assert floor.load["acked"] == floor.load["sent"] > 0
    assert floor.stored > floor.load["acked"]
    assert floor.lost == 0
    assert set(floor.cpu_us) == {"bare", "postgres"}
    shown = report.ingest(measured)
    assert "600 of 600 acknowledged" in shown
    assert f"{measured.of_bare:.2f} times its CPU a message (derived goal 1.58)" in shown
